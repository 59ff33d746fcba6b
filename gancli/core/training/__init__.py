"""Train a model from images.

Input: an `ImageSet` and a `TrainConfig`. Output: a run folder, and events that report what is on disk.
Read first: trainer.py, the loop; engine.py, the next batch; step.py, the maths. losses.py, augment.py and schedules.py
hold pure functions, adam.py the optimiser. run_config.py builds config.json, checkpoint.py saves and restores a run,
monitor.py and warnings.py watch its health. trial.py and autotune.py try a few steps before a run starts.
"""
