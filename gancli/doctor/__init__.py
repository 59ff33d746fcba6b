"""A report on the machine and the installation, for bug reports.

Input: none. Output: versions, devices, folders and rates as plain values; no machine or user names.
Read first: diagnosis.py, which needs no torch; benchmark.py measures speed with torch.
"""
