"""Generators and discriminators, and the files that hold them.

Input: a `ModelSpec` of plain numbers. Output: `nn.Module`s, and safetensors files with their digest.
Read first: build.py, the registry of families; mlp.py is the shortest family. model_file.py reads and writes models,
in the format of tensor_file.py, which checkpoints share. Networks do not depend on settings or data.
"""
