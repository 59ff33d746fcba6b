import json
import os
from pathlib import Path

import pytest
import safetensors.torch
import torch

from gancli.core.networks import tensor_file
from gancli.errors import DamagedFileError, FileFormatError
from gancli.files import tensor_header

TENSORS = {
    "a": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "step": torch.tensor(3.0),
    "n": torch.tensor([1, 2]),
}
META = {"name": "x", "list": [1, 2.5, None]}


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    path = tmp_path / "file.safetensors"
    path.write_bytes(tensor_file.pack_tensors("model", TENSORS, META))
    return path


def test_packed_tensors_can_be_unpacked(packed: Path) -> None:
    tensors, meta, digest = tensor_file.unpack_tensors("model", packed)
    assert meta == META and len(digest) == 64
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert torch.equal(tensors[name], tensor) and tensors[name].dtype == tensor.dtype


def test_packing_is_deterministic() -> None:
    assert tensor_file.pack_tensors("model", TENSORS, META) == tensor_file.pack_tensors(
        "model", dict(reversed(TENSORS.items())), META
    )


def test_channels_last_weights_are_stored_plainly(tmp_path: Path) -> None:
    weight = torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last)
    path = tmp_path / "w.safetensors"
    path.write_bytes(tensor_file.pack_tensors("model", {"w": weight}, {}))
    assert torch.equal(tensor_file.unpack_tensors("model", path)[0]["w"], weight)


@pytest.mark.parametrize("bit", range(8))
def test_every_flipped_bit_is_noticed_or_harmless(packed: Path, bit: int) -> None:
    """Padding spaces in the header do not matter; any other change must be detected."""
    good = packed.read_bytes()
    refused = 0
    for position in range(len(good)):
        damaged = bytearray(good)
        damaged[position] ^= 1 << bit
        packed.write_bytes(damaged)
        try:
            tensors, meta, _ = tensor_file.unpack_tensors("model", packed)
        except FileFormatError:
            refused += 1
            continue
        assert meta == META and all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
    assert refused > 0.95 * len(good)


def test_every_truncation_is_noticed(packed: Path) -> None:
    good = packed.read_bytes()
    for length in range(0, len(good), 16):
        packed.write_bytes(good[:length])
        with pytest.raises(DamagedFileError, match=r"file\.safetensors"):
            tensor_file.unpack_tensors("model", packed)


def test_foreign_newer_and_other_files_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    safetensors.torch.save_file({"w": torch.zeros(2)}, path)
    with pytest.raises(FileFormatError, match="gancli did not write it"):
        tensor_file.unpack_tensors("model", path)
    path.write_bytes(tensor_file.pack_tensors("checkpoint", TENSORS, META))
    with pytest.raises(FileFormatError, match="checkpoint, not a model"):
        tensor_file.unpack_tensors("model", path)
    header = {"kind": "model", "format_version": 99, "meta": "{}", "sha256": ""}
    path.write_bytes(safetensors.torch.save({"w": torch.zeros(2)}, metadata={"gancli": json.dumps(header)}))
    with pytest.raises(FileFormatError, match="format 99"):
        tensor_file.unpack_tensors("model", path)
    with pytest.raises(FileFormatError, match="there is no file"):
        tensor_file.unpack_tensors("model", tmp_path / "absent.safetensors")
    with pytest.raises(FileFormatError, match="is not a file"):
        tensor_file.unpack_tensors("model", tmp_path)


def test_the_header_is_read_without_the_tensors(packed: Path) -> None:
    digest = tensor_file.unpack_tensors("model", packed)[2]
    data = packed.read_bytes()
    packed.write_bytes(data[: 8 + int.from_bytes(data[:8], "little")])
    assert tensor_header.read_tensor_header("model", packed)["sha256"] == digest


@pytest.mark.parametrize("length", [1 << 63, tensor_header.MOST_HEADER + 1])
def test_a_header_that_would_exhaust_memory_is_not_read(packed: Path, length: int) -> None:
    packed.write_bytes(length.to_bytes(8, "little") + packed.read_bytes()[8:])
    with pytest.raises(DamagedFileError):
        tensor_header.read_tensor_header("model", packed)


def test_a_path_of_any_bytes_can_be_read(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/o\xff"))
    folder.mkdir()
    (folder / "m.safetensors").write_bytes(tensor_file.pack_tensors("model", TENSORS, META))
    assert tensor_file.unpack_tensors("model", folder / "m.safetensors")[1] == META


@pytest.mark.parametrize(
    ("key", "value"),
    [("meta", 5), ("meta", "no json"), ("meta", "[1]"), ("meta", "[" * 9999), ("format_version", "x"), ("sha256", 1)],
)
def test_a_malicious_header_is_reported_as_damaged(tmp_path: Path, key: str, value: object) -> None:
    header = {"kind": "model", "format_version": 1, "meta": "{}", "sha256": "", key: value}
    path = tmp_path / "m.safetensors"
    path.write_bytes(safetensors.torch.save({"w": torch.zeros(2)}, metadata={"gancli": json.dumps(header)}))
    with pytest.raises(DamagedFileError, match="is damaged"):
        tensor_file.unpack_tensors("model", path)
