"""Where commands write their outputs."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gancli.errors import RunError
from gancli.files import outputs
from gancli.files.outputs import create_output_file, create_output_folder, reserve_output
from gancli.files.provenance import FilmRecord

RECORD = FilmRecord.make("gancli animate", ["run"], [0])


def fill(path: Path, *names: str, force: bool = False) -> None:
    with create_output_folder(path, RECORD, force=force) as folder:
        for name in names:
            (folder / name).write_text("made")


def content(path: Path) -> dict[str, bytes | None]:
    return {str(p.relative_to(path)): p.read_bytes() if p.is_file() else None for p in path.rglob("*")}


def names(path: Path) -> list[str]:
    return sorted(os.listdir(path))


def test_a_folder_of_gancli_is_replaced_as_a_whole_and_only_with_force(tmp_path: Path) -> None:
    fill(tmp_path / "x", "a", "b")
    with pytest.raises(RunError, match=r"x exists.*--force"):
        fill(tmp_path / "x", "c")
    assert names(tmp_path / "x") == ["a", "b", "provenance.json"]
    for _ in range(2):
        fill(tmp_path / "x", "c", force=True)
        assert names(tmp_path / "x") == ["c", "provenance.json"]


def test_an_empty_folder_is_free(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    fill(tmp_path / "x", "a")
    assert names(tmp_path / "x") == ["a", "provenance.json"]


def photos(path: Path) -> None:
    path.mkdir()
    for name in ("00001.png", "00500.png", "beach.jpg"):
        (path / name).write_text("mine")
    (path / "provenance.json").write_text('{"files": ["00001.png", "00500.png", "beach.jpg"]}')


def unsaid(path: Path) -> None:
    path.mkdir()
    (path / "a").write_text("mine")


def another_file(path: Path) -> None:
    fill(path, "a")
    (path / "mine.png").write_text("mine")


def folder_inside(path: Path) -> None:
    fill(path, "a")
    (path / "a").unlink()
    (path / "a").mkdir()
    (path / "a" / "mine").write_text("mine")


def link_inside(path: Path) -> None:
    fill(path, "a")
    (path / "a").unlink()
    (path / "a").symlink_to(path)


@pytest.mark.parametrize("make", [photos, unsaid, another_file, folder_inside, link_inside])
def test_a_folder_with_anything_that_gancli_did_not_make_stays(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "x")
    before = content(tmp_path)
    with pytest.raises(RunError, match="x holds files"):
        fill(tmp_path / "x", "a", force=True)
    assert content(tmp_path) == before


def test_a_file_that_appears_while_the_folder_is_written_stays(tmp_path: Path) -> None:
    fill(tmp_path / "x", "a")
    with pytest.raises(RunError, match="such as mine"), create_output_folder(tmp_path / "x", RECORD, force=True):
        (tmp_path / "x" / "mine").touch()
    with pytest.raises(RunError, match="y exists"), create_output_folder(tmp_path / "y", RECORD, force=False):
        fill(tmp_path / "y", "theirs")
    assert names(tmp_path) == ["home", "x", "y"]
    assert names(tmp_path / "x") == ["a", "mine", "provenance.json"]
    assert names(tmp_path / "y") == ["provenance.json", "theirs"]


def test_a_link_is_treated_as_its_target_folder(tmp_path: Path) -> None:
    fill(tmp_path / "x", "a")
    (tmp_path / "link").symlink_to("x")
    fill(tmp_path / "link", "b", force=True)
    assert (tmp_path / "link").is_symlink() and names(tmp_path / "x") == ["b", "provenance.json"]


def test_the_current_folder_and_mount_points_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path / "home")
    for path in (Path(), tmp_path / "home", Path("/proc")):
        with pytest.raises(RunError, match="mount point"):
            fill(path, "a", force=True)
    assert names(tmp_path / "home") == []


def test_an_unusable_output_place_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    before = names(tmp_path)
    refused = 0
    for check, name, force, words in [
        (outputs.check_output_file, "file", False, "file exists"),
        (outputs.check_output_file, "dangling", False, "dangling exists"),
        (outputs.check_output_file, "folder", True, "folder exists and is not a file"),
        (outputs.check_output_file, "pipe", True, "pipe exists and is not a file"),
        (outputs.check_output_file, "none/x.png", False, "there is no folder .*none"),
        (outputs.check_output_file, "file/x.png", False, "file is not a folder"),
        (outputs.check_output_file, "-", False, "the terminal"),
        (outputs.check_output_folder, "-", False, "the terminal"),
        (outputs.check_output_folder, "file", True, "file exists and is not a folder"),
        (outputs.check_output_folder, "dangling", True, "dangling exists and is not a folder"),
        (outputs.check_output_folder, "file/x/y", False, "file is not a folder"),
    ]:
        with pytest.raises(RunError, match=words):
            check(tmp_path / name, force=force)
        refused += 1
    assert refused == 11 and names(tmp_path) == before
    outputs.check_output_file(tmp_path / "dangling", force=True)
    outputs.check_output_folder(tmp_path / "none" / "x", force=False)


def test_an_unwritable_place_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path)  # root may always write
    for check in (outputs.check_output_file, outputs.check_output_folder):
        with pytest.raises(RunError, match=r"x: no permission to write to"):
            check(tmp_path / "x", force=False)


def test_a_file_and_its_record_are_written_together(tmp_path: Path) -> None:
    path = tmp_path / "x.gif"
    with create_output_file(path, RECORD, force=False) as file:
        file.write(b"film")
        assert names(tmp_path)[-1] == "home"
    assert {"x.gif", "x.gif.json"} < {*names(tmp_path)}
    path.unlink()
    with pytest.raises(RunError, match=r"x\.gif\.json exists"), create_output_file(path, RECORD, force=False):
        pass
    (tmp_path / "x.gif.json").unlink()
    (tmp_path / "x.gif.json").mkdir()
    with (
        pytest.raises(RunError, match=r"x\.gif\.json exists and is not a file"),
        create_output_file(path, RECORD, force=True),
    ):
        pass
    assert not path.exists()


def test_a_file_whose_record_cannot_be_written_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "full")

    monkeypatch.setattr("gancli.files.provenance.atomic_write", full)
    refused = pytest.raises(RunError, match=r"cannot write .*/x\.npz: No space")
    with refused, create_output_file(tmp_path / "x.npz", RECORD, force=False) as file:
        file.write(b"images")
    assert names(tmp_path) == ["home"]


def test_errors_name_the_requested_folder(tmp_path: Path) -> None:
    for error in (lambda _: OSError(28, "full"), lambda path: RunError(f"cannot write {path}: full")):
        refused = pytest.raises(RunError, match=rf"cannot write {tmp_path}/x[:/]")
        with refused as caught, create_output_folder(tmp_path / "x", RECORD, force=False) as folder:
            raise error(folder / "images.npz")
        assert "partial" not in str(caught.value)
    assert names(tmp_path) == ["home"]


def test_without_an_output_each_gets_its_own_number(tmp_path: Path) -> None:
    with (
        reserve_output(None, tmp_path / "walks", "walk.gif") as first,
        reserve_output(None, tmp_path / "walks") as second,
    ):
        assert (first, second) == (tmp_path / "walks/00000/walk.gif", tmp_path / "walks/00001")
        fill(second, "a")
    assert names(tmp_path / "walks") == ["00001"]
    with reserve_output(tmp_path / "mine", tmp_path / "walks") as given:
        assert given == tmp_path / "mine"


def test_the_root_folder_is_refused_in_one_line() -> None:
    with pytest.raises(RunError, match="cannot replace /, a mount point"):
        outputs.check_output_folder(Path("/"), force=True)
