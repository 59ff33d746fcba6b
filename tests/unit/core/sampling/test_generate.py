import dataclasses
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gancli.config import ModelSpec
from gancli.core.networks import model_file, tensor_file
from gancli.core.networks.build import MODELS, build_generator
from gancli.core.sampling import generate, latents
from gancli.core.sampling.generate import SampleRequest, generate_samples
from gancli.errors import ConfigError, FileFormatError


def make_model(name: str, n_classes: int = 3, resolution: int = 28) -> model_file.Model:
    spec = ModelSpec(
        model=name,  # type: ignore[arg-type]
        z_dim=16,
        g_width=16,
        d_width=16,
        resolution=resolution,
        channels=1,
        n_classes=n_classes,
    )
    torch.manual_seed(0)
    G = build_generator(spec).requires_grad_(False)
    names, counts = ("a", "b", "c")[:n_classes], (5, 3, 2)[:n_classes]
    return model_file.Model(
        G, model_file.ModelInfo(spec, "test", 0, {"name": "made", "digest": "0"}, names, counts), ""
    )


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_seed_has_the_same_pixels_at_every_place_and_count(name: str) -> None:
    model = make_model(name)
    seeds = list(range(150))
    every = torch.cat([batch.pictures for batch in generate_samples(model, SampleRequest(seeds))])
    assert every.shape == (150, 1, 28, 28) and every.dtype == torch.uint8
    assert every.float().std() > 1
    compared = 0
    for some in ([7], [149, 7], list(range(7, 100)), list(reversed(seeds)), [7] * 65):
        made = torch.cat([batch.pictures for batch in generate_samples(model, SampleRequest(some))])
        for seed, picture in zip(some, made, strict=True):
            assert torch.equal(picture, every[seed]), f"seed {seed} in a list of {len(some)}"
            compared += 1
    assert compared == 1 + 2 + 93 + 150 + 65


def test_a_seed_gets_its_own_class() -> None:
    model = make_model("mlp")
    labels = [label for batch in generate_samples(model, SampleRequest(range(100))) for label in batch.labels or []]
    classes = torch.tensor(labels)
    assert torch.equal(classes, latents.classes_from_seeds(range(100), (5, 3, 2)))
    assert classes.bincount().tolist() == [50, 30, 20]
    (chosen,) = generate_samples(model, SampleRequest([4, 5], (2, 1)))
    assert (chosen.seeds, chosen.labels) == ([4, 4, 5, 5], [2, 1, 2, 1])
    z = latents.latents_from_seeds([4, 4, 5, 5], 16)
    assert torch.equal(chosen.pictures, generate.generate(model.G, z, torch.tensor([2, 1, 2, 1])))


def test_g_sees_one_batch_shape_only() -> None:
    G = Ramp()
    shapes = []
    G.register_forward_pre_hook(lambda _, inputs: shapes.append(tuple(inputs[0].shape)))
    assert len(generate.generate(G, torch.zeros(70, 1))) == 70
    assert shapes == [(64, 1), (64, 1)]


class Ramp(nn.Module):
    """z -> constant images of that value, to see range and rounding; odd in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return z.view(-1, 1, 1, 1).expand(-1, 1, 4, 4) + (9.0 if self.training else 0.0)


def test_generate_sets_range_rounding_and_eval_mode() -> None:
    G = Ramp().train()
    z = torch.tensor([[-2.0], [-1.0], [0.0], [1 / 255], [1.0], [3.0]])
    values = generate.generate(G, z)[:, 0, 0, 0]
    assert values.tolist() == [0, 0, 128, 128, 255, 255]
    assert G.training


@pytest.mark.parametrize("n_classes", [0, 3])
def test_a_model_file_restores_the_same_model(tmp_path: Path, n_classes: int) -> None:
    model = make_model("conv", n_classes)
    path = tmp_path / "m.safetensors"
    model_file.save_model(path, model.G, model.info)
    again = model_file.load_model(path)
    assert again.info == model.info and len(again.digest) == 64
    pairs = zip(
        generate_samples(model, SampleRequest(range(10))),
        generate_samples(again, SampleRequest(range(10))),
        strict=True,
    )
    for (_, before, _), (_, after, _) in pairs:
        assert torch.equal(before, after)


def test_a_model_file_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    model = make_model("mlp")
    path = tmp_path / "m.safetensors"
    other = make_model("mlp", resolution=32).info
    model_file.save_model(path, model.G, other)
    with pytest.raises(FileFormatError, match="do not fit"):
        model_file.load_model(path)


@pytest.mark.parametrize("names", [("bag", "bag", "hat"), ("bag", "x" * 256, "hat")])
def test_a_model_file_with_ambiguous_or_untypeable_classes_is_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    model = make_model("mlp", 3)
    model_file.save_model(tmp_path / "m.safetensors", model.G, dataclasses.replace(model.info, class_names=names))
    with pytest.raises(FileFormatError, match=r"m\.safetensors holds class names that repeat"):
        model_file.load_model(tmp_path / "m.safetensors")


@pytest.mark.parametrize("names", ["bag", [["bag"], "hat", "cap"], {"bag": 1, "hat": 2, "cap": 3}], ids=str)
def test_a_model_file_whose_classes_are_not_texts_is_refused(tmp_path: Path, names: object) -> None:
    path, model = tmp_path / "m.safetensors", make_model("mlp", 3)
    model_file.save_model(path, model.G, model.info)
    tensors, meta, _ = tensor_file.unpack_tensors("model", path)
    path.write_bytes(tensor_file.pack_tensors("model", tensors, {**meta, "class_names": names}))
    with pytest.raises(FileFormatError, match=r"m\.safetensors holds class names"):
        model_file.load_model(path)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float16, torch.int8, torch.complex64], ids=str)
def test_a_model_file_with_weights_of_another_type_is_refused(tmp_path: Path, dtype: torch.dtype) -> None:
    model = make_model("mlp")
    tensors = {name: weight.to(dtype) for name, weight in model.G.state_dict().items()}
    (tmp_path / "m.safetensors").write_bytes(tensor_file.pack_tensors("model", tensors, dataclasses.asdict(model.info)))
    with pytest.raises(FileFormatError, match="weights that do not fit"):
        model_file.load_model(tmp_path / "m.safetensors")


def test_classes_are_named_or_numbered_and_separated_by_commas() -> None:
    names = ("shoe", "bag", "hat, red", "cap")
    info = dataclasses.replace(make_model("mlp").info, class_names=names)
    assert info.class_indices("bag") == [1]
    assert info.class_indices("bag, 2,bag") == [1, 2, 1]
    assert info.class_indices("hat, red") == [2]  # the whole text is a name
    for text, wrong in (
        ("bag,hut", "'hut'"),
        ("4", "'4'"),
        ("01", "'01'"),
        ("9" * 5000, ""),
        ("", "''"),
        ("bag,", "''"),
    ):
        with pytest.raises(ConfigError, match=f"unknown class {wrong}"):
            info.class_indices(text)
    with pytest.raises(ConfigError, match="unconditional"):
        make_model("mlp", 0).info.class_indices("1")


@pytest.mark.parametrize("names", [("1", "2", "3", "11"), ("0", "bag", "2", "7")], ids=str)
def test_numbers_are_only_names_if_a_class_name_is_a_number(names: tuple[str, ...]) -> None:
    info = dataclasses.replace(make_model("mlp").info, class_names=names)
    assert info.class_indices(f"{names[3]},{names[2]}") == [3, 2]
    with pytest.raises(ConfigError, match=re.escape(f"unknown class '01' (known: {', '.join(names)})")):
        info.class_indices("01")
    unnamed = {"0", "1", "2", "3"} - {*names}
    assert unnamed
    for number in unnamed:
        with pytest.raises(ConfigError, match=f"unknown class '{number}'"):
            info.class_indices(f"{names[3]},{number}")


def test_the_list_of_a_thousand_known_classes_is_cut() -> None:
    info = dataclasses.replace(make_model("mlp").info, class_names=tuple(map(str, range(1000))))
    with pytest.raises(ConfigError, match=r"known: 0, 1, .*, 59 and 940 others\)$"):
        info.class_index("-1")
