"""A safetensors file with named tensors, JSON metadata, a format version and a digest of all this. It holds no code."""

import hashlib
import json
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from gancli.errors import DamagedFileError
from gancli.files.tensor_header import FORMAT_VERSION, METADATA_KEY, RESTORE_HINT, read_tensor_header, unreadable_error


def pack_tensors(kind: str, tensors: dict[str, Tensor], meta: dict[str, Any]) -> bytes:
    """Return the bytes of a file of one kind ("model", "checkpoint"); the same contents give the same bytes."""
    ready, text = contiguous_tensors(tensors), json.dumps(meta, sort_keys=True)
    header = {"kind": kind, "format_version": FORMAT_VERSION, "meta": text, "sha256": content_digest(kind, ready, text)}
    return safetensors.torch.save(ready, metadata={METADATA_KEY: json.dumps(header)})


def contiguous_tensors(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors as safetensors needs them: contiguous, on the CPU, without gradients."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def unpack_tensors(kind: str, path: Path) -> tuple[dict[str, Tensor], dict[str, Any], str]:
    """Read the tensors, metadata and digest from a file of `pack_tensors`. Raises FileFormatError, DamagedFileError."""
    header = read_tensor_header(kind, path)
    try:
        tensors = safetensors.torch.load(path.read_bytes())
    except (OSError, MemoryError) as err:
        raise unreadable_error(path, err) from err
    except (safetensors.SafetensorError, ValueError, KeyError, RecursionError) as err:
        raise DamagedFileError(f"{path} is damaged or not a safetensors file; {RESTORE_HINT}") from err
    try:
        meta = json.loads(header["meta"])
        is_whole = header["sha256"] == content_digest(kind, tensors, header["meta"])
    except (ValueError, TypeError, RecursionError) as err:
        raise DamagedFileError(f"{path} is damaged: its header cannot be read; {RESTORE_HINT}") from err
    if not is_whole or not isinstance(meta, dict):
        raise DamagedFileError(f"{path} is damaged: its contents do not match its sha256; {RESTORE_HINT}")
    return tensors, meta, header["sha256"]


def content_digest(kind: str, tensors: dict[str, Tensor], meta: str) -> str:
    """Return the sha256 over the kind, the metadata, and each tensor's name, type, shape and bytes."""
    sha = hashlib.sha256(f"{kind}\n{meta}\n".encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()
