"""What this machine and installation can do, for a bug report.

Comes in: nothing. Goes out: versions, devices, folders and rates as plain values; no names of machines or users.
Read first: diagnosis.py, which needs no torch; benchmark.py measures speed with it.
"""
