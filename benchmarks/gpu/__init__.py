"""The parts of scripts/gpu_check, which finds out whether gancli works on a GPU and how fast it is.

runner.py runs each part of parts.py in its own process. A part yields rows (rows.py), the lines of the table.
"""
