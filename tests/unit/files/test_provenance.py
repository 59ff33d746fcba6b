import json
from pathlib import Path

import pytest

import gancli
from gancli.errors import FileFormatError
from gancli.files import provenance

RECORD = provenance.make_sample_record(
    "gancli sample --n 3",
    Path("m.safetensors"),
    "abc",
    seeds=[0, 1, 2, 9],
    classes=["bag", "\x1b é\udcff"],
    trunc=0.7,
    settings={"grid": "2x4", "scale": 3},
)


def test_a_record_comes_back_from_the_text_of_a_picture() -> None:
    text = provenance.record_to_text(RECORD)
    assert text.keys() == {"gancli"} and text["gancli"].isascii()
    assert provenance.parse_record(text["gancli"], "x") == RECORD
    assert provenance.parse_record(provenance.record_to_text(RECORD)[provenance.TEXT_KEYWORD], "x") == RECORD
    assert RECORD.version == gancli.__version__ and RECORD.seeds == "0-2,9"


def test_a_model_below_the_current_folder_is_named_from_there(tmp_path: Path) -> None:
    def named(path: Path | str) -> str:
        return provenance.make_sample_record("", Path(path), "", seeds=[]).model

    assert named(tmp_path / "runs" / "m.safetensors") == "runs/m.safetensors"
    assert named("runs/../m.safetensors") == "m.safetensors"
    assert named("../m.safetensors") == "../m.safetensors"
    assert named("/elsewhere/m.safetensors") == "/elsewhere/m.safetensors"


def test_the_record_is_next_to_a_file_or_in_a_folder_and_lists_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "grid.png").touch()
    for output, expected in ((folder, "out/provenance.json"), (tmp_path / "x.gif", "x.gif.json")):
        provenance.write_sidecar(output, RECORD)
        values = json.loads((tmp_path / expected).read_text())
        assert values.pop("files", None) == (["grid.png"] if output == folder else None)
        assert provenance.parse_record(json.dumps(values), "x") == RECORD
    assert provenance.recorded_files(folder) == {"grid.png", "provenance.json"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"files": ["a"]}',
        '{"command": "other", "files": ["a"]}',
        '{"command": "gancli sample"}',
        '{"command": "gancli sample", "files": [3]}',
        "[" * 10_000,
    ],
)
def test_a_folder_without_a_record_has_no_files_of_gancli(tmp_path: Path, text: str) -> None:
    assert provenance.recorded_files(tmp_path) == set()
    (tmp_path / "provenance.json").write_text(text)
    assert provenance.recorded_files(tmp_path) == set()


def test_the_record_of_a_single_image_says_how_to_make_it_alone() -> None:
    own = provenance.single_image_record(RECORD, [9], ["bag"], grid="1x1")
    assert (own.seeds, own.classes, own.settings) == ("9", ("bag",), {"grid": "1x1", "scale": 3})
    assert (own.command, own.trunc, own.sha256) == (RECORD.command, RECORD.trunc, RECORD.sha256)
    assert RECORD.settings["grid"] == "2x4"


def test_fields_of_another_version_are_refused_with_that_version() -> None:
    values = json.loads(provenance.record_to_text(RECORD)[provenance.TEXT_KEYWORD])
    with pytest.raises(FileFormatError, match=f"x was made by gancli 9.0, and gancli {gancli.__version__} cannot read"):
        provenance.parse_record(json.dumps({**values, "version": "9.0", "more": 1}), "x")
    with pytest.raises(FileFormatError, match="x has no valid record"):
        provenance.parse_record(json.dumps({**values, "more": 1}), "x")


@pytest.mark.parametrize("name", ["command", "version", "model", "sha256", "seeds", "classes", "trunc", "settings"])
def test_a_field_that_is_missing_or_of_another_type_is_refused(name: str) -> None:
    values = json.loads(provenance.record_to_text(RECORD)[provenance.TEXT_KEYWORD])
    for wrong in ({**values, name: None}, {**values, name: [3]}, {k: v for k, v in values.items() if k != name}):
        with pytest.raises(FileFormatError, match="has no valid record of gancli sample"):
            provenance.parse_record(json.dumps(wrong), "x")
