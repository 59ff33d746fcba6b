"""Images to train on, and what is known of them.

Comes in: a data set's name, or the path of a folder, zip, npz or IDX folder, from anybody. Goes out: an `ImageSet` of
uint8 [N,C,H,W] with labels, held-out images and a digest.
Read first: load.py, which tells names from paths; then dataset.py, what an image set is. Pictures of any size and
format come from a source (source.py), pass decode.py and resize.py, and are kept by pixel_cache.py.
Everything here treats files as a stranger's: sizes are checked before memory is taken, and every bad file is named.
"""
