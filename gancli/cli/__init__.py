"""The command line: one file a command, which parses, calls a workflow and shows the result.

Comes in: words. Goes out: lines, bars and exit codes. Read first: app.py, the commands and the one place that turns
errors into lines; train.py is the longest command, report.py the shortest. render.py draws, options.py has the flags
that commands share. Files here import torch in the bodies of functions alone, so that --help costs nothing.
"""
