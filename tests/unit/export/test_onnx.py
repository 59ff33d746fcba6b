"""An ONNX generator gives the same images as PyTorch at any batch size, and describes itself."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from gancli.config import ModelSpec
from gancli.core.networks.build import build_networks
from gancli.core.networks.model_file import Model, ModelInfo
from gancli.core.sampling import generate, latents
from gancli.errors import FileFormatError, RunError
from gancli.export import onnx as exporting


def model(name: str, n_classes: int, resolution: int = 8, channels: int = 1) -> Model:
    """With outputs beyond [-1, 1], so that clipping and rounding count."""
    shape = {"resolution": resolution, "channels": channels, "n_classes": n_classes}
    spec = ModelSpec(model=name, z_dim=6, g_width=8, d_width=8, **shape)
    G = build_networks(spec, 0)[0].eval().requires_grad_(False)
    for parameter in G.parameters():
        parameter.mul_(1.5)
    names = tuple(f"kind {i}" for i in range(n_classes))
    info = ModelInfo(spec, "quick", 1000, {"name": "tiny", "digest": "0" * 64}, names, (5,) * n_classes)
    return Model(G, info, "a" * 64)


@pytest.mark.parametrize(
    ("name", "n_classes", "resolution", "channels"),
    [("conv", 3, 12, 3), ("mlp", 0, 8, 1), ("resnet", 3, 12, 1)],
    ids=["conv", "mlp", "resnet"],
)
def test_pictures_are_those_of_pytorch_at_any_batch_size(
    tmp_path: Path, name: str, n_classes: int, resolution: int, channels: int
) -> None:
    made, path = model(name, n_classes, resolution, channels), tmp_path / "x.onnx"
    exporting.write_onnx(path, made, force=False)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    asked = {"z": ("tensor(float)", 6)} | ({"labels": ("tensor(int64)", None)} if n_classes else {})
    assert {each.name: each.type for each in session.get_inputs()} == {key: kind for key, (kind, _) in asked.items()}
    assert [(each.name, each.type, each.shape[1:]) for each in session.get_outputs()] == [
        ("images", "tensor(uint8)", [resolution, resolution, channels])
    ]
    for n in (1, 2, 65):
        z = latents.latents_from_seeds(range(100, 100 + n), 6)
        labels = torch.arange(n) % 3 if n_classes else None
        given = {"z": z.numpy()} | ({} if labels is None else {"labels": labels.numpy()})
        (pictures,) = session.run(None, given)
        expected = generate.generate(made.G, z, labels).permute(0, 2, 3, 1).numpy()
        assert pictures.shape == expected.shape and np.abs(pictures.astype(int) - expected).max() <= 1
        assert expected.std() > 1


def test_texts_that_are_not_unicode_are_escaped() -> None:
    odd = model("mlp", 0)
    info = dataclasses.replace(odd.info, preset="q\ud800")
    assert exporting.onnx_metadata(dataclasses.replace(odd, info=info))["preset"] == "q\\ud800"


def test_the_file_describes_itself_without_local_paths(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    exporting.write_onnx(path, model("mlp", 3), force=False)
    said = {each.key: each.value for each in onnx.load(path).metadata_props}
    assert json.loads(said["class_names"]) == ["kind 0", "kind 1", "kind 2"]
    assert json.loads(said["spec"])["z_dim"] == 6 and json.loads(said["nimg"]) == 1000
    assert said["sha256"] == "a" * 64 and said["preset"] == "quick"
    assert b"/gancli/" not in path.read_bytes() and str(tmp_path).encode() not in path.read_bytes()


def test_a_file_that_differs_from_pytorch_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content, path = exporting.convert_to_onnx(model("mlp", 0)), tmp_path / "x.onnx"
    monkeypatch.setattr(exporting, "convert_to_onnx", lambda _: content)
    other = model("mlp", 0)
    for parameter in other.G.parameters():
        parameter.neg_()
    with pytest.raises(FileFormatError, match=r"x\.onnx .*differs .*\d"):
        exporting.write_onnx(path, other, force=False)
    assert list(tmp_path.iterdir()) == [tmp_path / "home"]


def test_an_existing_file_is_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "convert_to_onnx", pytest.fail)
    path = tmp_path / "x.onnx"
    path.write_text("mine")
    with pytest.raises(RunError, match="add --force"):
        exporting.write_onnx(path, model("mlp", 0), force=False)
    assert path.read_text() == "mine"
