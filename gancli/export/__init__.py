"""A model in forms that others use.

Comes in: a model file. Goes out: a folder for the Hugging Face Hub with a model card, or an ONNX file that was
compared with PyTorch's pixels. Read first: hub.py and onnx.py, one form each; card.py writes the card by card.md.jinja.
"""
