"""Named, seeded random streams: every draw depends on (seed, stream, nimg) and on nothing drawn before."""

import hashlib

import torch


def generator(seed: int, stream: str, nimg: int = 0) -> torch.Generator:
    """A CPU generator for one purpose at one point of a run."""
    digest = hashlib.sha256(f"{seed}/{stream}/{nimg}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
