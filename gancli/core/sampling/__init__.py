"""Generate images with a model.

Input: a model and seeds. Output: uint8 [N,C,H,W], pictures, folders and npz files.
Read first: generate.py, which generates the images of every command; latents.py defines what a seed means.
interpolate.py walks between latents, write.py arranges grids and writes files.
"""
