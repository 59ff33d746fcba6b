"""Training and sampling, without a terminal.

Input: a path or name of images, and the settings of a run. Output: a run folder, a model file, images.
data reads images, networks builds G and D and their files, sampling generates images, training trains models.
Read first: training/trainer.py, the loop; training/step.py, the maths of one step; sampling/generate.py, which makes
all images. The modules here are shared by all four: devices, random streams, pixels and processes.
"""
