"""The command line: one file per command, which parses arguments, calls a workflow and shows the result.

Input: arguments. Output: lines, progress bars and exit codes. Read first: app.py, which assembles the commands and
turns errors into lines. train.py is the longest command, report.py the shortest. render.py draws; options.py holds
the flags that commands share. Files here import torch inside functions only, so that --help stays fast.
"""
