"""gancli export: a folder for the Hub, and ONNX."""

import json
import re
import sys
from pathlib import Path

import pytest
from commands import gancli

from gancli._version import install_hint, install_step
from gancli.core.networks import tensor_file
from gancli.export import card as written

FOR_HUB = {"README.md", "config.json", "grid.png", "model.safetensors", "progress.gif", "provenance.json"}


def export(*arguments: str | Path) -> str:
    result = gancli("export", *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def card(folder: Path) -> str:
    return (folder / "README.md").read_text(encoding="utf-8")


def test_the_hub_folder_has_the_unchanged_model_pictures_and_card(run: Path) -> None:
    said = export(run, "--to", "hub", "-o", "hub")
    hub = Path("hub")
    assert {path.name for path in hub.iterdir()} == FOR_HUB
    for name in ("model.safetensors", "progress.gif"):
        assert (hub / name).read_bytes() == (run / name).read_bytes()
    assert "hf upload USER/NAME hub ." in said
    about = json.loads((hub / "config.json").read_text())
    assert about["library_name"] == "gancli" and about["class_names"] == ["0", "1", "2"] and about["nimg"] == 104
    assert about["sha256"] == tensor_file.read_tensor_header("model", run / "model.safetensors")["sha256"]
    front = card(hub).split("---\n")[1].splitlines()
    assert front[1:3] == ["library_name: gancli", "pipeline_tag: unconditional-image-generation"]
    assert not [line for line in front if line.startswith("license")]
    pictures = re.findall(r"!\[.+?\]\((.+?)\)", card(hub))
    assert pictures == ["grid.png", "progress.gif"]
    assert f"\nFirst {install_step()}. Then run:\n" in card(hub)
    assert "Class-conditional GAN trained on `tiny`" in card(hub) and "64 images, each seen about 1.62 times" in card(
        hub
    )


def test_the_hub_folder_contains_no_local_path(run: Path) -> None:
    export(run.resolve(), "-o", "hub")
    here = str(Path().resolve()).encode()
    files = [path for path in Path("hub").iterdir() if path.is_file()]
    assert len(files) == len(FOR_HUB)
    assert not [path.name for path in files if here in path.read_bytes()]


def test_a_film_that_is_a_link_or_not_a_film_is_not_exported(run: Path) -> None:
    film, key = run / "progress.gif", Path("key")
    key.write_text("GIF89a private")
    film.unlink()
    film.symlink_to(key.resolve())
    export(run, "-o", "first")
    film.unlink()
    film.write_text("private")
    export(run, "-o", "second")
    for hub in (Path("first"), Path("second")):
        assert {path.name for path in hub.iterdir()} == FOR_HUB - {"progress.gif"} and "progress.gif" not in card(hub)


def test_the_hub_folder_can_be_sampled_and_scored(run: Path, tiny_idx: Path) -> None:
    export(run, "-o", "hub")
    for source in ("hub", "hub/model.safetensors"):
        assert gancli("sample", source, "--n", "2", "-o", "x.npz", "--force").exit_code == 0
        result = gancli("evaluate", source, "--data", tiny_idx, "--n", "40", "--metrics", "kid", "-q")
        assert result.exit_code == 0, result.output
    assert not Path("hub/report.html").exists()


@pytest.mark.parametrize("words", ["[a](http://b.c) ![d](e)", "<!-- <img src=x> `", "a|b *c* _d_ \\"])
def test_markdown_in_names_is_escaped(words: str) -> None:
    shown = written.escape_markdown(words)
    assert not re.search(r"(?<!\\)[\[\]<>|`*_!]", shown) and "://" not in shown
    assert shown.replace("\\", "") == words.replace("\\", "")


def test_the_grid_can_be_reproduced_from_the_hub_folder(run: Path) -> None:
    export(run, "-o", "hub")
    result = gancli("sample", "--like", "hub/grid.png", "hub/model.safetensors", "-o", "again.png", "--json")
    assert json.loads(result.stdout)["identical"] is True


def test_a_model_without_a_run_has_no_film_and_no_scores(run: Path) -> None:
    Path("lone.safetensors").write_bytes((run / "model.safetensors").read_bytes())
    shown = json.loads(export("lone.safetensors", "--json"))
    hub = Path(shown["output"])
    assert hub == Path("exports/00000") and shown["to"] == "hub"
    assert {path.name for path in hub.iterdir()} == FOR_HUB - {"progress.gif"}
    assert "Not scored." in card(hub) and "progress.gif" not in card(hub)


def test_scores_come_from_training_or_the_last_evaluation_of_this_model(run: Path) -> None:
    record = json.loads((run / "config.json").read_text())
    record["eval"] = {"score": "fd_x", "floor": 0.5, "coverage_floor": 0.9, "n_fake": 2000, "features": "x"}
    (run / "config.json").write_text(json.dumps(record))
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "eval", "nimg": 96, "fd_x": 7.0}\n{"kind": "eval", "nimg": 104, "fd_x": 2.0}\n')
    export(run, "-o", "first")
    assert "| `fd_x` | 2.00 | 0.500 | lower is better |" in card(Path("first"))

    def evaluated(number: int, sha256: str, value: float, digest: str = record["data"]["digest"]) -> None:
        folder = run / "scores" / f"{number:05}"
        folder.mkdir(parents=True)
        score = {"value": value, "floor": 0.25, "reading": "a|b"}
        about = {"sha256": sha256, "data_digest": digest, "n_fake": 9}
        entry = {"scores": {"fd_y": score, "gone": {"value": None}}, "conditions": about}
        (folder / "scores.json").write_text(json.dumps({"models": [3, entry]}))

    mine = tensor_file.read_tensor_header("model", run / "model.safetensors")["sha256"]
    evaluated(0, mine, 1.0)
    evaluated(1, mine, 3.0)
    evaluated(2, "0" * 64, 8.0)
    evaluated(3, mine, 9.0, digest="other pictures")
    export(run, "-o", "second")
    assert "| `fd_y` | 3.00 | 0.250 | a\\|b |" in card(Path("second"))
    assert "fd_x" not in card(Path("second")) and "gone" not in card(Path("second"))


def test_a_folder_is_replaced_only_with_force_and_only_if_gancli_made_it(run: Path) -> None:
    export(run, "-o", "hub")
    assert gancli("export", run, "-o", "hub").exit_code == 1
    export(run, "-o", "hub", "--force")
    Path("hub/notes.txt").write_text("mine")
    assert gancli("export", run, "-o", "hub", "--force").exit_code == 1
    assert Path("hub/notes.txt").read_text() == "mine"


def test_onnx_goes_to_a_new_folder_of_the_run(run: Path) -> None:
    shown = json.loads(export(run, "--to", "onnx", "--json"))
    assert shown["output"] == str(run / "exports" / "00000" / "model.onnx") and shown["to"] == "onnx"
    assert [path.name for path in (run / "exports" / "00000").iterdir()] == ["model.onnx"]


def test_missing_onnx_is_one_line(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gancli.export.onnx", raising=False)
    monkeypatch.delattr("gancli.export.onnx", raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    result = gancli("export", run, "--to", "onnx")
    assert (result.exit_code, result.stderr) == (
        2, f"error: --to onnx needs the package onnxruntime; {install_hint('onnx')}\n"
    )  # fmt: skip
    assert not (run / "exports").exists()
