"""From images to a model.

Comes in: an `ImageSet` and a `TrainConfig`. Goes out: a run folder, and events that say what is on disk.
Read first: trainer.py, the loop; engine.py, the next batch; step.py, the maths. losses.py, augment.py, schedules.py and
adam.py are pure. run_config.py is what config.json says, checkpoint.py what a resumed run needs, monitor.py and
warnings.py what a run knows of its own health. trial.py and autotune.py try a few steps before a run begins.
"""
