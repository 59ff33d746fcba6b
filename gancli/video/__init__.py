"""Frames to film files: GIF, WebP, MP4 or a folder.

Comes in: a stream of uint8 pictures and how long each is shown. Goes out: one file, complete or not at all.
Read first: formats.py, which ending is written by which file; timing.py, what each format can show.
"""
