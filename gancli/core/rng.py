"""Named, seeded random streams: a draw depends only on (seed, stream, nimg), never on earlier draws."""

import hashlib

import torch


def generator(seed: int, stream: str, nimg: int = 0) -> torch.Generator:
    """Return a CPU generator for one purpose (stream) at one point of a run."""
    return torch.Generator().manual_seed(generator_seed(seed, stream, nimg))


def generator_seed(seed: int, stream: str, nimg: int = 0) -> int:
    """Return the 63-bit seed of `generator`."""
    digest = hashlib.sha256(f"{seed}/{stream}/{nimg}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
