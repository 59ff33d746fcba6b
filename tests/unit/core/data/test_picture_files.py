import contextlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gancli.core.data import archive as zips
from gancli.core.data import labels
from gancli.core.data.load import open_source
from gancli.core.data.source import ImageSource
from gancli.errors import DataError

Make = Callable[[Path, dict[str, bytes]], Path]


def folder(place: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = place / "made" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return place / "made"


def zipped(place: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(place / "made.zip", "w") as archive:
        for name, content in reversed(files.items()):
            archive.writestr(name, content)
    return place / "made.zip"


@pytest.fixture(params=[folder, zipped])
def make(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return made


def files(*names: str) -> dict[str, bytes]:
    return {name: name.encode() for name in names}


def list_pictures(path: Path, *, conditional: bool = True) -> ImageSource:
    return open_source(path).for_training(conditional=conditional)


def names(found: ImageSource) -> list[str]:
    return [found.name(row) for row in range(len(found))]


def contents(found: ImageSource) -> list[object]:
    return [found.read(row) for row in range(len(found))]


def classes(found: ImageSource) -> dict[str, str]:
    assert found.labels is not None
    return {name: found.class_names[label] for name, label in zip(names(found), found.labels, strict=True)}


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        list_pictures(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


def test_a_flat_set_is_sorted_and_has_no_labels(tmp_path: Path, make: Make) -> None:
    found = list_pictures(make(tmp_path, files("b.PNG", "a.jpeg", "c.Tiff", "notes.txt", ".hidden.png", ".git/d.png")))
    assert (names(found), found.labels, found.class_names) == (["a.jpeg", "b.PNG", "c.Tiff"], None, ())
    assert contents(found) == [b"a.jpeg", b"b.PNG", b"c.Tiff"]


def test_first_folders_are_classes_however_deep_the_pictures_lie(tmp_path: Path, make: Make) -> None:
    found = list_pictures(make(tmp_path, files("dog/x.png", "cat/old/1.png", "cat/2.png")))
    assert found.class_names == ("cat", "dog")
    assert classes(found) == {"cat/2.png": "cat", "cat/old/1.png": "cat", "dog/x.png": "dog"}


def test_classes_that_are_numbers_are_in_their_order(tmp_path: Path, make: Make) -> None:
    found = list_pictures(make(tmp_path, files(*(f"{n}/a.png" for n in (10, 9, 0)))))
    assert found.class_names == ("0", "9", "10")


@pytest.mark.slow
def test_classes_with_equal_numbers_have_the_same_order_in_every_process(tmp_path: Path) -> None:
    path = folder(tmp_path, files(*(f"{name}/a.png" for name in ("1", "01", "001", "0001"))))
    code = "import sys; from pathlib import Path; from gancli.core.data.load import open_source; "
    code += "print(*open_source(Path(sys.argv[1])).for_training(conditional=True).class_names)"
    for seed in range(2):
        environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
        child = subprocess.run([sys.executable, "-c", code, path], env=environment, capture_output=True, text=True)
        assert child.stdout.split() == ["0001", "001", "01", "1"]


def test_a_single_outer_folder_is_not_a_class(tmp_path: Path, make: Make) -> None:
    found = list_pictures(make(tmp_path, files("set/all/cat/1.png", "set/all/cat-2/1.png")))
    assert found.class_names == ("cat", "cat-2")
    (tmp_path / "flat").mkdir()
    assert list_pictures(make(tmp_path / "flat", files("pictures/1.png", "pictures/2.png"))).labels is None


@pytest.mark.parametrize(
    "paths", [("./cat/1.png", "dog/1.png"), ("/cat/1.png", "dog/1.png"), ("x//cat/1.png", "x/./dog/1.png")]
)
def test_classes_in_a_zip_do_not_depend_on_how_a_path_is_written(tmp_path: Path, paths: tuple[str, str]) -> None:
    assert classes(list_pictures(zipped(tmp_path, files(*paths)))) == dict(zip(paths, ("cat", "dog"), strict=True))


def test_backslashes_in_a_zip_separate_folders(tmp_path: Path) -> None:
    assert list_pictures(zipped(tmp_path, files("set\\cat\\1.png", "set\\dog\\1.png"))).class_names == ("cat", "dog")


def test_classes_outside_a_zip_are_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path, files("../../../cat/1.png", "dog/1.png"))
    assert (
        "has file names that point outside it, such as ../../../cat/1.png; make it again, or give --uncond"
        in refusal(path)
    )
    assert list_pictures(path, conditional=False).labels is None


@pytest.mark.parametrize("letter", ["1", "x", "\x1b"])
def test_class_names_longer_than_a_folder_name_are_refused(tmp_path: Path, letter: str) -> None:
    path = zipped(tmp_path, files(f"{letter * 5000}/1.png", f"{letter * 5001}/1.png"))
    assert "has a class folder with a name longer than 255 characters" in refusal(path)
    assert list_pictures(path, conditional=False).labels is None


def test_a_zip_with_one_name_twice_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path, files("a.png", "b.png"))
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("b.png", b"another")
    assert refusal(path).endswith("holds several files of the same name, such as b.png; make it again")


def test_a_link_cycle_is_one_bad_file(tmp_path: Path) -> None:
    path = folder(tmp_path, files("a.png"))
    for name in ("circle.png", "circle.txt"):
        (path / name).symlink_to(path / name)
    found = list_pictures(path)
    assert names(found) == ["a.png", "circle.png"]
    with pytest.raises(DataError, match="symbolic links"):
        found.read(1)


def test_the_first_by_name_of_two_links_to_a_folder_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder(tmp_path, files("z/1.png"))
    for name in "abc":
        (path / name).symlink_to(tmp_path / "made" / "z")
    scandir = os.scandir
    seen = []
    for step in (1, -1):

        @contextlib.contextmanager
        def scanned(place: str, step: int = step) -> Iterator[list[os.DirEntry[str]]]:
            with scandir(place) as entries:
                yield sorted(entries, key=lambda entry: entry.name)[::step]

        monkeypatch.setattr(os, "scandir", scanned)
        seen.append(names(list_pictures(path)))
    assert seen[0] == seen[1] and len(seen[0]) == 1


def test_pictures_next_to_class_folders_are_refused_unless_labels_are_ignored(tmp_path: Path, make: Make) -> None:
    path = make(tmp_path, files("cat/1.png", "dog/1.png", "stray.png"))
    assert "has class folders (cat, dog), but 1 picture outside them, such as stray.png" in refusal(path)
    assert list_pictures(path, conditional=False).labels is None


def test_more_classes_than_a_model_takes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "MOST_CLASSES", 3)
    path = zipped(tmp_path, files(*(f"{n}/a.png" for n in range(4))))
    assert "has 4 class folders, but at most 3 classes are supported; merge some, or give --unconditional" in refusal(
        path
    )


def dataset_json(labels: object) -> dict[str, bytes]:
    return files("00000/a.png", "00000/b.png", "00001/c.png") | {
        "dataset.json": json.dumps({"labels": labels}).encode()
    }


def test_labels_come_from_stylegans_dataset_json(tmp_path: Path, make: Make) -> None:
    labels = [["00001/c.png", 0], ["00000/a.png", 2], ["00000\\b.png", 0], ["00000/gone.png", 1]]
    found = list_pictures(make(tmp_path, dataset_json(labels)))
    assert classes(found) == {"00000/a.png": "2", "00000/b.png": "0", "00001/c.png": "0"}
    assert found.class_names == ("0", "1", "2")
    assert len(found.notes) == 1 and "has labels for 1 missing picture" in found.notes[0]


@pytest.mark.parametrize("before", ["./", "/", "all//"])
def test_labels_in_a_zip_do_not_depend_on_how_a_path_is_written(tmp_path: Path, before: str) -> None:
    labels = [["00001/c.png", 1], ["00000/a.png", 2], ["00000/b.png", 0]]
    found = list_pictures(zipped(tmp_path, {before + name: content for name, content in dataset_json(labels).items()}))
    assert [*classes(found).values()] == ["2", "0", "1"]


def test_null_labels_mean_none_whatever_the_folders(tmp_path: Path, make: Make) -> None:
    assert list_pictures(make(tmp_path, dataset_json(None))).labels is None


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ([["00000/a.png", 1]], "no label for 2 pictures, such as 00000/b.png"),
        ([[name, [0, 1]] for name in ("00000/a.png", "00000/b.png", "00001/c.png")], "not whole numbers from 0"),
        ([[name, -1] for name in ("00000/a.png", "00000/b.png", "00001/c.png")], "not whole numbers from 0"),
        (
            [[name, 5000] for name in ("00000/a.png", "00000/b.png", "00001/c.png")],
            "has labels up to 5,000, but at most 1,000",
        ),
        ([[name, 10**4300 - 1] for name in ("00000/a.png", "00000/b.png", "00001/c.png")], "not whole numbers from 0"),
        ("text", "is damaged"),
        ([1, 2], "is damaged"),
        ([[1, 2]], "is damaged"),
    ],
)
def test_impossible_labels_are_refused(tmp_path: Path, make: Make, labels: object, reason: str) -> None:
    path = make(tmp_path, dataset_json(labels))
    assert reason in refusal(path)
    assert list_pictures(path, conditional=False).labels is None


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000])
def test_a_damaged_dataset_json_is_refused(tmp_path: Path, make: Make, content: bytes) -> None:
    assert "dataset.json" in refusal(make(tmp_path, files("a.png") | {"dataset.json": content}))


def test_a_folder_without_pictures_is_refused_with_its_contents(tmp_path: Path, make: Make) -> None:
    path = make(tmp_path, files("a.heic", "b.HEIC", "c.txt", "README"))
    assert f"no pictures in {path}; it has 2 .heic, 1 .txt, 1 nameless files; give a folder" in refusal(path)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert f"no pictures in {empty}; give a folder" in refusal(empty)


def test_ignored_files_next_to_pictures_are_counted(tmp_path: Path, make: Make) -> None:
    path = make(tmp_path, files("cat/a.png", "cat/b.HEIC", "owl/c.heic", "owl/d.png", "note.txt", ".hidden.txt"))
    assert list_pictures(path).notes == ("skipped files without a picture extension: 2 .heic, 1 .txt",)
    assert list_pictures(path, conditional=False).notes == list_pictures(path).notes


def test_runs_below_the_data_are_skipped(tmp_path: Path, make: Make) -> None:
    run = [f"runs/00000-x/{name}" for name in ("config.json", "metrics.jsonl", "s.png", "frames/0.png")]
    listed = list_pictures(make(tmp_path, files("a.png", *run)))
    assert [*listed.files.names] == ["a.png"]
    assert listed.notes == ("skipped files that gancli wrote: runs/00000-x",)


def test_a_run_folder_is_refused_if_it_is_named_itself_or_alone(tmp_path: Path) -> None:
    path = folder(tmp_path, files("runs/0/config.json", "runs/0/metrics.jsonl", "runs/0/s.png"))
    assert f"{path}/runs/0 is a run folder, not training data" in refusal(path / "runs" / "0")
    assert f"no pictures in {path}; gancli wrote runs/0; give a folder" in refusal(path)


def test_a_run_that_is_just_starting_is_skipped(tmp_path: Path) -> None:
    path = folder(tmp_path, files("a.png", "runs/00001-y/.lock", "runs/00001-y/frames/0.png"))
    assert [*list_pictures(path).files.names] == ["a.png"]


def test_links_are_followed_once_and_dead_ones_skipped(tmp_path: Path) -> None:
    path = folder(tmp_path, files("cat/1.png", "dog/2.png"))
    (path / "cat" / "back").symlink_to(path)
    (path / "dog" / "dead.png").symlink_to(tmp_path / "nowhere")
    (path / "dog" / "linked.png").symlink_to(path / "dog" / "2.png")
    (path / "dog" / "folder.png").mkdir()
    os.mkfifo(path / "dog" / "pipe.png")
    assert names(list_pictures(path)) == ["cat/1.png", "dog/2.png", "dog/linked.png"]


def test_names_that_are_not_text_can_be_read(tmp_path: Path) -> None:
    path = folder(tmp_path, {})
    os.makedirs(os.fsencode(tmp_path / "made") + b"/caf\xe9")
    for name in (b"/caf\xe9/\xff.png", b"/other.png"):
        target = os.fsencode(tmp_path / "made") + name.replace(b"/other", b"/z/other")
        os.makedirs(os.path.dirname(target), exist_ok=True)
        Path(os.fsdecode(target)).write_bytes(b"seen")
    found = list_pictures(path)
    assert found.class_names == ("caf\\udce9", "z")
    assert contents(found) == [b"seen", b"seen"]


def test_the_stamp_depends_on_names_sizes_times_and_labels(tmp_path: Path) -> None:
    path = folder(tmp_path, files("a/1.png", "b/2.png"))
    stamps = [list_pictures(path).stamp, list_pictures(path).stamp]
    assert stamps[0] == stamps[1]
    os.utime(path / "a" / "1.png", (1, 1))
    stamps.append(list_pictures(path).stamp)
    (path / "a" / "1.png").write_bytes(b"longer than before")
    os.utime(path / "a" / "1.png", (1, 1))
    stamps.append(list_pictures(path).stamp)
    (path / "b" / "2.png").rename(path / "b" / "3.png")
    stamps.append(list_pictures(path).stamp)
    (path / "dataset.json").write_text(json.dumps({"labels": [["a/1.png", 1], ["b/3.png", 1]]}))
    stamps.append(list_pictures(path).stamp)
    assert len(set(stamps)) == 5


def test_names_in_a_zip_are_only_names(tmp_path: Path) -> None:
    path = zipped(tmp_path, files("../../up.png", "/root.png", "C:\\windows.png"))
    found = list_pictures(path, conditional=False)
    assert contents(found) == [name.encode() for name in names(found)] and len(found) == 3
    assert sorted(os.listdir(tmp_path)) == ["home", "made.zip"]


def test_a_highly_compressed_entry_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "SMALL_BYTES", 1000)
    with zipfile.ZipFile(tmp_path / "made.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", bytes(1_000_000))
        archive.writestr("small.png", bytes(1000))
    found = open_source(tmp_path / "made.zip")
    assert names(found) == ["bomb.png", "small.png"] and found.read(1) == bytes(1000)
    with pytest.raises(DataError, match="compressed by a factor of more than 200"):
        found.read(0)


@pytest.mark.parametrize("times", [199, 200, 201])
def test_the_limit_of_the_compression_ratio(times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "SMALL_BYTES", 1000)
    info = zipfile.ZipInfo("a.png")
    info.compress_size, info.file_size = 1000, 1000 * times
    with pytest.raises(DataError) if times > 200 else contextlib.nullcontext():
        zips.check_compression(info)


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder(tmp_path, files("a/1.png"))

    def refuse(place: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    assert "cannot read the folder" in refusal(path)


def test_a_zip_whose_entries_overlap_is_refused(tmp_path: Path) -> None:
    """As in a zip bomb where many names share one entry: the directory at the end lists the first entry three times."""
    path = zipped(tmp_path, files("a.png", "b.png", "c.png"))
    data = bytearray(path.read_bytes())
    start = data.index(b"PK\1\2")
    for _ in range(3):
        data[start + 20 : start + 24] = (len(data) // 2).to_bytes(4, "little")  # the compressed size of each
        start = data.index(b"PK\1\2", start + 4) if b"PK\1\2" in data[start + 4 :] else start
    path.write_bytes(data)
    assert refusal(path).endswith("is damaged or malicious: its entries overlap; do not use it")
