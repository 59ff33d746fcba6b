"""Export a model for other tools.

Input: a model file. Output: a folder for the Hugging Face Hub with a model card, or an ONNX file whose pixels
were compared with PyTorch's. Read first: hub.py and onnx.py, one format each; card.py renders card.md.jinja.
"""
