"""Whole jobs that the commands and the Python library share, without a terminal.

Input: settings and paths. Output: a finished run, scores, images, files. Read first: training.py, which plans,
creates and runs a trainer. evaluation.py scores models or images (fakes.py), sampling.py makes samples and walks,
remake.py makes a sample again from its record, notebook.py shows runs and models in Jupyter, live.py a run in training,
pace.py limits the time for drawing.
Under torchrun, followers.py runs in all processes except the first.
"""
