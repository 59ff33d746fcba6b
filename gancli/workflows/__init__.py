"""What the commands and the Python library share: whole jobs, with nothing of a terminal.

Comes in: settings and paths. Goes out: a finished run, scores, files. training.py goes from settings to a trainer and
follows it, evaluation.py from a model or images to scores. Under torchrun followers.py is what all processes but the
first do. Read first: training.py.
"""
