"""Log a run to a tracker in addition to its run folder: TensorBoard, or your own tracker.

Input: the events of a training run. Output: whatever the tracker writes; its failures never stop training.
Read first: registry.py (the table, and the protocol of three methods); tensorboard.py is an example.
"""
