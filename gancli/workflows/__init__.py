"""What the commands and the Python library share: whole jobs, with nothing of a terminal.

Comes in: settings and paths. Goes out: a finished run, scores, pictures, files. Read first: training.py, from settings
to a trainer that is followed to its end. evaluation.py goes from models or images (fakes.py) to scores, sampling.py to
pictures and walks, remake.py from a picture to the same one again. Under torchrun followers.py is what all processes
but the first do.
"""
