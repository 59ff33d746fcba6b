"""Named, seeded random streams: every draw depends on (seed, stream, nimg) and on nothing drawn before."""

import hashlib

import torch


def generator(seed: int, stream: str, nimg: int = 0) -> torch.Generator:
    """A CPU generator for one purpose at one point of a run."""
    return torch.Generator().manual_seed(generator_seed(seed, stream, nimg))


def generator_seed(seed: int, stream: str, nimg: int = 0) -> int:
    """What a generator is seeded with for one purpose at one point of a run: 63 bits."""
    digest = hashlib.sha256(f"{seed}/{stream}/{nimg}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
