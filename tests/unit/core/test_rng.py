import hashlib

import torch

from gancli.core import rng


def draw(seed: int, stream: str, nimg: int = 0) -> torch.Tensor:
    return torch.rand(4, generator=rng.generator(seed, stream, nimg))


def test_same_names_draw_the_same_whatever_was_drawn_before() -> None:
    first = draw(3, "latent", 64)
    torch.rand(5)
    draw(3, "order")
    assert torch.equal(draw(3, "latent", 64), first)


def test_seed_stream_and_nimg_each_change_the_draw() -> None:
    draws = [draw(3, "latent", 64), draw(4, "latent", 64), draw(3, "order", 64), draw(3, "latent", 128)]
    assert len({tuple(values.tolist()) for values in draws}) == 4


def test_global_generator_is_not_touched() -> None:
    before = torch.get_rng_state()
    draw(0, "x")
    assert torch.equal(torch.get_rng_state(), before)


def test_state_is_sha256_of_the_names_without_its_lowest_bit() -> None:
    digest = hashlib.sha256(b"3/latent/64").digest()
    assert rng.generator(3, "latent", 64).initial_seed() == int.from_bytes(digest[:8], "little") // 2
    assert rng.generator(2**63 - 1, "latent").initial_seed() < 2**63
