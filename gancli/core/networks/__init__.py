"""Generators and discriminators, and the files that hold them.

Comes in: a `ModelSpec` of plain numbers. Goes out: `nn.Module`s, and safetensors files with their digest.
Read first: build.py, the registry of families; mlp.py is the shortest one. model_file.py holds what `gancli sample`
needs, tensor_file.py the format that it shares with checkpoints. Networks know no settings and no data.
"""
