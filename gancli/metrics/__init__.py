"""Score images: extract features, then compute scores from them. Pure, except for loading bundled weights.

Input: uint8 images, real and fake. Output: `Score`s, each with its conditions and its floor.
Read first: suite.py (the table of scores) and scores.py (each score). features.py has the feature extractors;
frechet.py, kernel.py, prdc.py, memorization.py and classes.py have the maths and name their sources.
"""
