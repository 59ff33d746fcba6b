"""Files that gancli wrote are told from the user's by their records."""

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gancli.core.data import own_outputs
from gancli.core.data.load import load_dataset, open_source
from gancli.core.data.picture_files import PictureFiles
from gancli.files.provenance import TEXT_KEYWORD

OWN, FOREIGN = b'{"command": "gancli sample"}', b'{"command": "other sample"}'


def write_pictures(folder: Path, n: int = 12) -> None:
    folder.mkdir(exist_ok=True)
    for i in range(n):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (8, 8), np.uint8)).save(folder / f"{i:02d}.png")


def write_own_png(path: Path) -> None:
    record = PngInfo()
    record.add_text(TEXT_KEYWORD, "{}")
    Image.new("L", (8, 8)).save(path, pnginfo=record)


def pictures_in(path: Path) -> set[str]:
    source = open_source(path)
    assert isinstance(source, PictureFiles)
    return {*source.files.names}


def find_own(files: dict[str, bytes], *, is_root: bool = False) -> set[str]:
    return own_outputs.find_own_files(files.keys(), files.__getitem__, is_root=is_root)


@pytest.mark.parametrize("name", ["x.gif", "x.webp", "x.mp4", "x.npz", "X.GIF"])
def test_the_record_next_to_a_file_says_who_wrote_it(name: str) -> None:
    assert find_own({name: b"", f"{name}.json": OWN, "y.gif": b""}) == {name, f"{name}.json"}
    for content in (FOREIGN, b"{}", b"["):
        assert find_own({name: b"", f"{name}.json": content}) == set()
    assert find_own({name: b""}) == set()


def test_a_record_next_to_a_png_does_not_count() -> None:
    assert find_own({"x.png": b"", "x.png.json": OWN}) == set()


def test_the_pictures_next_to_scores_are_their_nearest_pairs_only() -> None:
    names = ["nearest.png", "nearest-2.png", "nearest-cat.png", "my-nearest.png"]
    files = dict.fromkeys(names, b"")
    assert find_own(files) == set()
    assert find_own({**files, "scores.json": b""}) == {"scores.json", "nearest.png", "nearest-2.png"}


def test_a_sample_grid_in_a_zip_is_skipped_by_its_record(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos")
    write_own_png(tmp_path / "photos/grid.png")
    Image.new("L", (8, 8)).save(tmp_path / "grid.png")
    for grid, is_read in (("photos/grid.png", False), ("grid.png", True)):
        with zipfile.ZipFile(tmp_path / "photos.zip", "w") as opened:
            for path in sorted((tmp_path / "photos").glob("[0-9]*.png")):
                opened.write(path, path.name)
            opened.write(tmp_path / grid, "grid.png")
        assert ("grid.png" in pictures_in(tmp_path / "photos.zip")) == is_read


def test_an_npz_of_samples_is_in_the_note_about_outputs(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos")
    (tmp_path / "photos/mine.npz").write_bytes(b"")
    (tmp_path / "photos/mine.npz.json").write_bytes(OWN)
    (tmp_path / "photos/other.npz").write_bytes(b"")
    notes = load_dataset(str(tmp_path / "photos")).notes
    assert [note for note in notes if "skipped" in note] == [
        "skipped files without a picture extension: 1 .npz",
        "skipped files that gancli wrote: mine.npz",
    ]


def test_pngs_are_looked_at_again_when_the_folder_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_outputs, "MANY_PNGS", 2)
    folder = tmp_path / "photos"
    write_pictures(folder)
    write_own_png(folder / "mine.png")
    before = load_dataset(str(folder)).digest
    write_own_png(folder / "more.png")
    assert load_dataset(str(folder)).digest == before
    time = (folder / "mine.png").stat().st_mtime_ns
    Image.new("L", (8, 8), 9).save(folder / "mine.png")  # now the user's own
    os.utime(folder / "mine.png", ns=(time, time + 1))
    assert len(load_dataset(str(folder)).images) == 13


def test_the_remembered_pngs_are_those_of_one_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_outputs, "MANY_PNGS", 1)
    write_own_png(tmp_path / "a.png")
    for listing in ("before", "after"):
        assert own_outputs.find_own_pngs(tmp_path, ["a.png"], listing) == {"a.png"}
    (kept,) = own_outputs.known_pngs_folder().iterdir()
    assert json.loads(kept.read_bytes()) == {"listing": "after", "own": ["a.png"]}
    kept.write_text(json.dumps({"listing": "after", "own": []}))
    assert own_outputs.find_own_pngs(tmp_path, ["a.png"], "after") == set(), "remembered"
    assert own_outputs.find_own_pngs(tmp_path, ["a.png"], "later") == {"a.png"}, "read again"
