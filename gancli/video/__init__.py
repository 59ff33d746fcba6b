"""Write frames to film files: GIF, WebP, MP4 or a folder.

Input: a stream of uint8 pictures and the time of each. Output: one complete file, or none.
Read first: formats.py (the table of formats) and timing.py (the times of frames).
"""
