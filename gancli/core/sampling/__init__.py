"""From a model to images.

Comes in: a model and seeds. Goes out: uint8 [N,C,H,W], pictures, folders and npz files.
Read first: generate.py, the one door that every image of every command passes; latents.py says what a seed is.
interpolate.py walks between latents, write.py lays out grids and files.
"""
