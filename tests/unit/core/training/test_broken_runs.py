"""Broken runs get their warning once; a healthy run gets none."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import idx_bytes

from gancli import events, presets
from gancli.core.data import load
from gancli.core.data.dataset import ImageSet
from gancli.core.training import run_config
from gancli.core.training.trainer import Trainer
from gancli.files.run_folder import RunDir, read_jsonl
from gancli.workflows import evaluation

SETTINGS = {
    "g_width": 8, "d_width": 8, "z_dim": 8, "batch_size": 16, "batch_ramp_kimg": 0, "tick_kimg": 0.1, "kimg": 3.1,
    "snapshot_kimg": 100, "eval_kimg": 0, "threads": 1,
}  # fmt: skip


def noise(folder: Path, n: int) -> ImageSet:
    """n training and 64 test images of 8x8, each of its own noise, so D learns nothing about one image from another."""
    draws = np.random.default_rng(0)
    for split, size in (("train", n), ("t10k", 64)):
        pixels = draws.integers(0, 256, (size, 8, 8), np.uint8)
        (folder / f"{split}-images-idx3-ubyte").write_bytes(idx_bytes(pixels.shape, pixels.tobytes()))
    return load.load_dataset(str(folder))


def warned(
    tmp_path: Path, images: ImageSet, hook: Callable[[Trainer], None] | None = None, **settings: object
) -> dict[str, events.Warned]:
    """Train, and return the warnings by name; each must occur once, and be logged."""
    name, config, sources = presets.resolve_config("quick", {**SETTINGS, **settings, "data": images.source})
    record = run_config.build_run_config(name, config, sources, images)
    probe = evaluation.build_scorer(images, record.model_spec, images.class_counts) if config.eval_kimg else None
    trainer = Trainer(RunDir.create(tmp_path / "runs", name), record, images, probe)
    if hook:
        hook(trainer)
    found = [event for event in trainer.run() if isinstance(event, events.Warned)]
    written = [line["name"] for line in read_jsonl(trainer.run_dir.events) if line["event"] == "warning"]
    assert written == [event.name for event in found]
    assert len(set(written)) == len(written)
    return {event.name: event for event in found}


def do_nothing() -> None:
    pass


def test_a_discriminator_that_does_not_learn_is_reported_as_losing(tmp_path: Path) -> None:
    def freeze(trainer: Trainer) -> None:
        trainer.state.opt_D.step = do_nothing  # type: ignore[method-assign,assignment]

    assert "no better than chance" in warned(tmp_path, noise(tmp_path, 64), freeze)["discriminator_lost"].text


def test_a_generator_that_does_not_learn_lets_the_discriminator_win(tmp_path: Path) -> None:
    def freeze(trainer: Trainer) -> None:
        trainer.state.opt_G.step = do_nothing  # type: ignore[method-assign,assignment]

    assert (
        "the discriminator wins: it has been right"
        in warned(tmp_path, noise(tmp_path, 64), freeze, gamma=0)["discriminator_wins"].text
    )


def test_an_absurd_learning_rate_collapses(tmp_path: Path) -> None:
    found = warned(tmp_path, noise(tmp_path, 64), model="mlp", lr=1, gamma=0, conditional=False, d_width=64)
    assert "collapse" in found


def test_a_generator_that_ignores_its_latents_has_nearly_identical_images(tmp_path: Path) -> None:
    def cut(trainer: Trainer) -> None:
        torch.nn.init.zeros_(trainer.state.G.layers[0].weight)  # type: ignore[union-attr,index,arg-type]
        trainer.state.opt_G.step = do_nothing  # type: ignore[method-assign,assignment]

    found = warned(tmp_path, noise(tmp_path, 64), cut, model="mlp", conditional=False, ema_kimg=0)
    assert "nearly identical since 0.1" in found["collapse"].text


@pytest.mark.long
def test_ten_images_are_overfitted(tmp_path: Path) -> None:
    settings = {"kimg": 6, "gamma": 0.01, "d_width": 32, "lr": 1e-3, "shift": 0, "augment": "none"}
    found = warned(tmp_path, noise(tmp_path, 10), **settings)["overfitting"]
    assert "memorised its training images" in found.text and found.nimg <= 6000


@pytest.mark.long
def test_a_collapsed_model_of_digits_misses_classes(tmp_path: Path) -> None:
    found = warned(
        tmp_path,
        load.load_dataset("mnist-5k"),
        model="mlp",
        conditional=False,
        lr=0.1,
        gamma=0,
        kimg=1.6,
        eval_kimg=0.4,
    )
    assert "hardly any generated image has shown" in found["missing_classes"].text


@pytest.mark.long
def test_a_healthy_run_has_no_warnings(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    quick = {name: getattr(presets.PRESETS["quick"], name) for name in ("g_width", "d_width", "z_dim", "batch_size")}
    settings = {**quick, "batch_ramp_kimg": 20, "kimg": 4.2, "tick_kimg": 0.16, "eval_kimg": 2}
    assert warned(tmp_path, load.load_dataset("mnist-5k"), **settings) == {}
