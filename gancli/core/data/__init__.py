"""Training images: reading, decoding and caching them.

Input: a data set's name, or the path of a folder, zip, npz or IDX folder, from anybody. Output: an `ImageSet` of
uint8 [N,C,H,W] with labels, held-out images and a digest.
Read first: load.py (it takes a name or a path), then dataset.py (it defines an image set). Pictures of any size and
format come from a source (source.py), are decoded (decode.py), resized (resize.py) and cached (pixel_cache.py).
No file is trusted: sizes are checked before memory is allocated, and every bad file is reported by name.
"""
