"""Images without labels, which quick puts into clusters: train, resume, sample."""

import json
from pathlib import Path

import pytest
from commands import FAST, gancli, read, trained
from conftest import idx_bytes, tiny_pixels


@pytest.fixture
def unlabelled() -> Path:
    """240 pictures of 8x8, 216 of them to train on."""
    folder = Path("plain")
    folder.mkdir()
    pixels = b"".join(tiny_pixels(i % 64) for i in range(240))
    (folder / "train-images-idx3-ubyte").write_bytes(idx_bytes((240, 8, 8), pixels))
    return folder


@pytest.fixture
def run(unlabelled: Path) -> Path:
    return trained(unlabelled, "--kimg", "0.2")


def test_a_run_on_clusters_is_resumed_and_sampled_like_one_on_classes(run: Path, unlabelled: Path) -> None:
    record = json.loads((run / "config.json").read_text())
    assert record["data"]["class_names"] == ["cluster 0", "cluster 1"] and sum(record["data"]["class_counts"]) == 216
    result = gancli("train", "--resume", run, "--kimg", "0.4")
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["nimg"] == 400
    for chosen in ("1", "cluster 1"):
        result = gancli("sample", run, "--class", chosen, "--n", "4", "-o", f"{chosen}.png")
        assert result.exit_code == 0, result.output
    assert (read(Path("1.png")) == read(Path("cluster 1.png"))).all()
    result = gancli("sample", run, "--n", "4", "-o", "mixed.png")
    assert result.exit_code == 0 and (read(Path("mixed.png")) != read(Path("1.png"))).any()


def test_changed_clusters_are_refused_and_nothing_is_written(run: Path) -> None:
    path = run / "config.json"
    record = json.loads(path.read_text())
    record["data"]["clusters"] = "0" * 64
    path.write_text(json.dumps(record))
    before = {each: each.read_bytes() for each in sorted(run.rglob("*")) if each.is_file()}
    result = gancli("train", "--resume", run, "--kimg", "0.4")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("error: the clusters of plain")
    assert {each: each.read_bytes() for each in sorted(run.rglob("*")) if each.is_file()} == before


@pytest.mark.parametrize("name", [".", "model.safetensors"], ids=["run", "model"])
def test_fine_tuning_recognises_the_clusters_of_the_same_pictures(run: Path, unlabelled: Path, name: str) -> None:
    result = gancli("train", "--data", unlabelled, "--init", run / name, "--kimg", "0.1", *FAST[4:])
    assert result.exit_code == 0, result.output
    init = json.loads(Path("runs/00001-quick-plain/config.json").read_text())["init"]
    assert init["remade"] == (["D"] if name == "model.safetensors" else []) and init["new_classes"] == []
