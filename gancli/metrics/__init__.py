"""Images to features to scores; pure, apart from the weights that the package carries.

Comes in: uint8 images, real and fake. Goes out: `Score`s that name their conditions and stand beside their floor.
Read first: suite.py, the table of scores; scores.py, what each of them is. features.py has the networks that
scores look through; frechet.py, kernel.py, prdc.py, memorization.py and classes.py are the maths with their sources.
"""
