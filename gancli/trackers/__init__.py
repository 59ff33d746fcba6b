"""Where else a run reports to: TensorBoard, or a tracker of your own.

Comes in: the events of a training. Goes out: whatever the tracker writes; its troubles end no training.
Read first: registry.py, the table and the protocol of three methods; tensorboard.py is an example.
"""
