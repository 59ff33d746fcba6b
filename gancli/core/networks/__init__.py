"""Generators and discriminators, and the files that hold them.

Comes in: a `ModelSpec` of plain numbers. Goes out: `nn.Module`s, and safetensors files with their digest.
Read first: build.py, the registry of families; mlp.py is the shortest family. model_file.py reads and writes models,
in the format of tensor_file.py, which checkpoints share. Networks do not depend on settings or data.
"""
