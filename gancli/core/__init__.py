"""Training and sampling: tensors, files and no terminal.

Comes in: a path or a name of images, and the settings of a run. Goes out: a run folder, a model file, images.
data reads images, networks holds G, D and their files, sampling makes images, training makes models.
Read first: training/trainer.py, the loop; training/step.py, the maths of one step; sampling/generate.py, the one door
for images. What all four share lies beside them: devices, random streams, pixels and processes.
"""
