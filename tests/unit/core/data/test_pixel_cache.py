import dataclasses
import io
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from picture_files import FilesInMemory
from PIL import Image

from gancli.core.data import archive, cache_files, pixel_cache, resize, source, transform
from gancli.core.data import load as loading
from gancli.core.data.cache_files import JournalLine, JournalStart
from gancli.core.data.data_report import Copies, find_copies, format_faults
from gancli.core.data.dataset import ImageSet, heldout_mask, tensors_digest
from gancli.core.data.decode import NOT_A_PICTURE, ImageHeader
from gancli.core.data.fast_png import TRUNCATED
from gancli.core.data.resize import Transform
from gancli.core.data.source import DecodedBlock, ImageSource, decode_block
from gancli.core.data.transform import TransformOptions
from gancli.errors import DataError

N = 230
PIXELS = np.random.default_rng(0).integers(0, 256, (N, 8, 8), dtype=np.uint8)
UNREAD = "No such file or directory; make it readable"


def silent(what: str, done: int, total: int) -> None:
    pass


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Many small tasks, with the journal written after each."""
    monkeypatch.setattr(source, "TASK_IMAGES", 16)
    monkeypatch.setattr(pixel_cache, "SYNC_S", 0)
    monkeypatch.setenv("GANCLI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pictures"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """230 grey pictures of 8x8 in two classes, of which 23 are held out."""
    path = tmp_path / "mine"
    for i, pixels in enumerate(PIXELS):
        (path / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path / "ab"[i % 2] / f"{i:03d}.png")
    return path


def load(path: Path, **options: Any) -> ImageSet:
    return loading.load_pictures(path, TransformOptions(**options), silent)


def contents(cache: Path) -> dict[str, bytes]:
    """The files of the only cache, without anything that depends on the time."""
    (made,) = [place for place in cache.iterdir() if place.is_dir()]
    found = {path.name: path.read_bytes() for path in made.iterdir()}
    found["meta.json"] = json.dumps({**json.loads(found["meta.json"]), "files": None, "sha256": None}).encode()
    return found


def expected(labels: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    """What training and held-out images must be: by class, then by number."""
    order = [i for start in (0, 1) for i in range(start, N, 2)]
    images = torch.from_numpy(PIXELS[order])[:, None]
    held = heldout_mask(N, torch.tensor([i % 2 for i in order]) if labels else None)
    return images[~held], images[held]


def test_every_picture_is_in_the_cache_once_in_order_with_its_label(folder: Path, cache: Path) -> None:
    found = load(folder)
    images, heldout = expected()
    assert torch.equal(found.images, images) and torch.equal(found.heldout_images, heldout)
    assert len(found.images) == 207 and len(found.heldout_images) == 23
    assert found.class_names == ("a", "b") and found.labels is not None and found.heldout_labels is not None
    assert found.labels.tolist() == [0] * 104 + [1] * 103
    assert found.digest == tensors_digest(found.images, found.labels, found.heldout_images, found.heldout_labels)
    assert (found.name, found.source, found.notes) == ("mine", str(folder), ())
    assert contents(cache).keys() == {"train.u8", "heldout.u8", "meta.json"}


def test_a_second_start_decodes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(folder)
    monkeypatch.setattr(source, "decode_block", None)
    second = load(folder)
    assert torch.equal(first.images, second.images) and first.digest == second.digest
    assert first.report == second.report


def test_threads_give_the_same_bytes_as_one(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a" / "bad.png").write_bytes(b"bad")
    load(folder)
    alone = contents(cache)
    shutil.rmtree(cache)
    monkeypatch.setattr(source, "THREADED_BYTES", 0)
    monkeypatch.setattr("gancli.core.devices.count_cores", lambda: 3)
    load(folder)
    assert contents(cache) == alone


@pytest.mark.parametrize("n_tasks", [0, 1, 7, 14])
def test_an_interrupted_process_continues_where_it_stopped(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, n_tasks: int
) -> None:
    (folder / "b" / "bad.png").write_bytes(b"bad")
    for name in ("000-circle.png", "040-circle.png"):
        (folder / "a" / name).symlink_to(name)
    load(folder)
    whole = contents(cache)
    assert json.loads(whole["meta.json"])["unread"] == [0, 21], "in the first block and in the second"
    shutil.rmtree(cache)
    blocks, decoded = ImageSource.decode, []

    def failing(*arguments: Any) -> Iterator[DecodedBlock]:
        for n, block in enumerate(blocks(*arguments)):
            if n == n_tasks:
                raise KeyboardInterrupt
            yield block

    def counting(*arguments: Any) -> Iterator[DecodedBlock]:
        for block in blocks(*arguments):
            decoded.append(block.n)
            yield block

    monkeypatch.setattr(ImageSource, "decode", failing)
    with pytest.raises(KeyboardInterrupt):
        load(folder)
    (made,) = [place for place in cache.iterdir() if place.is_dir()]
    with open(made / "train.u8", "ab") as file:
        file.write(b"rows that the journal does not know")
    monkeypatch.setattr(ImageSource, "decode", counting)
    load(folder)
    assert contents(cache) == whole
    assert sum(decoded) == N + 3 - 16 * n_tasks


KILLED = """
import os, signal, sys
from pathlib import Path
from gancli.core.data import load, pixel_cache, source
from gancli.core.data.transform import TransformOptions
source.TASK_IMAGES, pixel_cache.SYNC_S = 16, 0
blocks = source.ImageSource.decode
def killing(*arguments):
    for n, block in enumerate(blocks(*arguments)):
        if n == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        yield block
source.ImageSource.decode = killing
load.load_pictures(Path(sys.argv[1]), TransformOptions(), lambda *_: None)
"""


def test_a_killed_process_continues_where_it_stopped(folder: Path, cache: Path) -> None:
    load(folder)
    whole = contents(cache)
    shutil.rmtree(cache)
    child = subprocess.run([sys.executable, "-c", KILLED, str(folder)], env=os.environ.copy(), timeout=100)
    assert child.returncode == -signal.SIGKILL
    (journal,) = cache.glob("*/journal")
    assert json.loads(journal.read_text().splitlines()[-1])["done"] == 80
    load(folder)
    assert contents(cache) == whole


def journal(**changes: Any) -> str:
    """A journal of the folder after 32 pictures, with false claims."""
    n_held = int(heldout_mask(N, torch.tensor([0] * 115 + [1] * 115))[:32].sum())
    line = JournalLine(**{"done": 32, "written": [32 - n_held, n_held], **changes})
    return "".join(cache_files.seal_json(one) + "\n" for one in (JournalStart(Transform(8, 1)), line))


@pytest.mark.parametrize("n_bytes", [0, 8 * 8 * 32])
def test_a_journal_that_claims_too_many_rows_is_not_used(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, n_bytes: int
) -> None:
    load(folder)
    whole = contents(cache)
    (made,) = [place for place in cache.iterdir() if place.is_dir()]
    (made / "meta.json").unlink()
    (made / "train.u8").write_bytes(bytes(n_bytes))
    (made / "journal").write_text(journal())
    load(folder)
    assert (contents(cache)["train.u8"] == whole["train.u8"]) == (n_bytes == 0), "what it promises is there: go on"


@pytest.mark.parametrize("line", [{"written": [1, 31]}, {"done": 500}, {"faults": [[400, "x"]]}])
def test_a_journal_of_another_split_is_not_continued(folder: Path, cache: Path, line: dict[str, Any]) -> None:
    """Like one from an older version: its rows exist, but at other places."""
    load(folder)
    whole = contents(cache)
    (made,) = [place for place in cache.iterdir() if place.is_dir()]
    (made / "meta.json").unlink()
    for split in ("train", "heldout"):
        (made / f"{split}.u8").write_bytes(bytes(500 * 64))
    (made / "journal").write_text(journal(**line))
    load(folder)
    assert contents(cache) == whole


DAMAGES: dict[str, Any] = {
    "another row": {"faults": [[-1, "x"]]},
    "no row": {"faults": [[5000, "x"]]},
    "no reason": {"faults": [[3, 7]]},
    "no size": {"facts": [[{"kind": "PNG", "width": "a", "height": 8, "mode": "grey", "is_grey": True}, 230]]},
    "no facts": {"facts": []},
    "no copies": {"duplicates": None},
    "another fit": {"wanted": {"resolution": 8, "channels": 1, "fit": "zoom", "background": [0, 0, 0]}},
    "deep": "[" * 100_000,
    "long number": "9" * 5000,
    "empty": "",
    "a list": "[]",
    "no text": "\xff\0",
}


@pytest.mark.parametrize("name", ["meta.json", "journal"])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=[*DAMAGES])
def test_altered_metadata_of_a_cache_is_not_trusted(
    folder: Path, cache: Path, name: str, damage: str | dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a" / "bad.png").write_bytes(b"bad")
    load(folder)
    whole = contents(cache)
    (made,) = [place for place in cache.iterdir() if place.is_dir()]
    meta = json.loads((made / "meta.json").read_text())
    lines = [{"wanted": meta["wanted"]}, {"done": N + 1, "written": [207, 23], **meta}]
    lines = [{**line, "sha256": cache_files.json_checksum(line)} for line in lines] if name == "journal" else [meta]
    if name == "journal":
        (made / "meta.json").unlink()
    text = damage if isinstance(damage, str) else "\n".join(json.dumps({**line, **damage}) for line in lines)
    (made / name).write_text(text + "\n" * (name == "journal"), encoding="latin-1")
    found = load(folder)
    assert contents(cache) == whole
    assert len([note for note in found.notes if "was damaged" in note]) == (name == "meta.json")


def test_an_index_of_an_older_version_is_read(tmp_path: Path) -> None:
    """Written by commit 99fe6c4 from an npz of 500 images, with a checksum of the text of that time."""
    header = {"kind": "npz", "width": 32, "height": 32, "mode": "RGB", "is_grey": False, "is_oriented": False}
    header |= {"has_profile": False, "has_alpha": False, "has_more_frames": False}
    index = {
        "version": 2,
        "path": "/data/pictures.npz",
        "wanted": {"resolution": 32, "channels": 3, "fit": "crop", "background": [0, 0, 0]},
        "files": {"train": [1382400, 1795953430207519917], "heldout": [153600, 1795953430223028047]},
        "digest": "6084c93c36afb5453c74287341be4610839f3f7d6d89ca1fc769b1071fe9de1e",
        "facts": [[header, 500]],
        "faults": [],
        "unread": [],
        "duplicates": {"n": 0, "n_across": 0, "pairs": []},
        "sha256": "4927052e0894216a9ca4e917eade1be7c88376b2849aa646de460446230d7096",
    }
    (tmp_path / "meta.json").write_text(json.dumps(index))
    found = cache_files.read_index(tmp_path)
    assert found.target == Transform(32, 3) and found.duplicates == Copies()
    assert found.headers == {ImageHeader("npz", 32, 32, "RGB", is_grey=False): 500}
    assert cache_files.seal_json(found) == json.dumps(index), "and would be written so today"


@pytest.mark.parametrize("name", ["", "meta.json", "journal", "train.u8"])
def test_a_folder_in_place_of_a_file_or_the_reverse_is_removed(folder: Path, cache: Path, name: str) -> None:
    load(folder)
    whole = contents(cache)
    (made,) = [place for place in cache.iterdir() if place.is_dir()]
    if name == "":
        shutil.rmtree(made)
        made.write_text("a file")
    else:
        (made / "meta.json").unlink()
        (made / name).unlink(missing_ok=True)
        (made / name).mkdir()
        (made / name / "below").mkdir()
    load(folder)
    assert contents(cache) == whole


def test_replacing_a_damaged_linked_cache_keeps_the_target_of_the_link(folder: Path, cache: Path) -> None:
    load(folder)
    whole = contents(cache)
    (made,) = [place for place in cache.iterdir() if place.is_dir()]
    elsewhere = made.rename(cache.parent / "elsewhere")
    made.symlink_to(elsewhere)
    (elsewhere / "meta.json").write_text("{}")
    load(folder)
    assert contents(cache) == whole and (elsewhere / "meta.json").read_text() == "{}"


@pytest.mark.parametrize("n_threads", [0, 2])
def test_an_unreadable_file_is_tried_again_at_the_next_start(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, n_threads: int
) -> None:
    load(folder)
    whole = contents(cache)
    shutil.rmtree(cache)
    monkeypatch.setattr(source, "THREADED_BYTES", 0 if n_threads else 1000)
    monkeypatch.setattr("gancli.core.devices.count_cores", lambda: n_threads)
    listed = loading.open_source(folder)
    monkeypatch.setattr(loading, "open_source", lambda _: listed)
    away = (folder / "a" / "000.png").rename(folder / "away")
    for _ in range(2):
        found = load(folder)
        assert found.report and found.report.faults == (("a/000.png", UNREAD),)
        assert "were decoded again" not in "".join(found.notes)
    away.rename(folder / "a" / "000.png")
    notes = load(folder).notes
    assert notes == ("some files that could not be read before can be read now, so all pictures were decoded again",)
    assert contents(cache) == whole
    assert load(folder).notes == ()


def test_a_changed_file_makes_a_new_cache_and_the_old_one_goes(folder: Path, cache: Path) -> None:
    first = load(folder)
    before = {place for place in cache.iterdir() if place.is_dir()}
    Image.fromarray(PIXELS[0] ^ 255).save(folder / "a" / "000.png")
    os.utime(folder / "a" / "000.png", (1, 1))
    second = load(folder)
    assert second.digest != first.digest
    assert before.isdisjoint(cache.iterdir())
    assert int(first.images.sum()) != int(second.images.sum()), "what was mapped before stays as it was"


OTHERS: dict[str, Any] = {"resolution": 16, "channels": 3, "fit": "pad", "background": (1, 2, 3), "bits": 12}


@pytest.mark.parametrize("name", [one.name for one in dataclasses.fields(TransformOptions)])
def test_each_option_that_changes_pixels_has_its_own_cache(folder: Path, cache: Path, name: str) -> None:
    load(folder)
    load(folder, **{name: {**OTHERS, "max_bad": 3, "conditional": False, "as_in_0_1": True}[name]})
    assert len([place for place in cache.iterdir() if place.is_dir()]) == (2 if name in OTHERS else 1)


def test_a_cache_of_another_version_is_not_used(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(folder)
    monkeypatch.setattr(pixel_cache, "CACHE_VERSION", cache_files.CACHE_VERSION + 1)
    load(folder)
    assert len([place for place in cache.iterdir() if place.is_dir()]) == 2


def test_other_options_have_their_own_cache(folder: Path, cache: Path) -> None:
    load(folder)
    assert load(folder, resolution=16).images.shape[1:] == (1, 16, 16)
    assert load(folder, channels=3).images.shape[1:] == (3, 8, 8)
    assert load(folder, max_bad=3, conditional=False).class_names == ("a", "b")
    assert len([place for place in cache.iterdir() if place.is_dir()]) == 3


def test_a_coloured_background_makes_grey_pictures_colour_where_it_shows() -> None:
    whole = ImageHeader("PNG", 8, 8, "grey", is_grey=True)
    clear, wide = replace(whole, has_alpha=True), replace(whole, width=9)
    red, white = (255, 0, 0), (255, 255, 255)
    cases = {(whole, "pad", red): 1, (clear, "crop", red): 3, (wide, "pad", red): 3, (wide, "crop", red): 1}
    cases |= {(clear, "pad", white): 1, (wide, "pad", white): 1}
    for (header, fit, background), channels in cases.items():
        found = transform.choose_transform(Counter([whole, header]), TransformOptions(fit=fit, background=background))  # type: ignore[arg-type]
        assert found.channels == channels, (header, fit, background)
    assert transform.choose_transform(Counter([clear]), TransformOptions(channels=1, background=red)).channels == 1


@pytest.mark.parametrize("file", ["train.u8", "heldout.u8", "meta.json"])
@pytest.mark.parametrize("damage", ["flipped", "short", "long"])
def test_a_damaged_cache_is_rebuilt_with_a_note(folder: Path, cache: Path, file: str, damage: str) -> None:
    load(folder)
    whole = contents(cache)
    (path,) = cache.glob(f"*/{file}")
    data = path.read_bytes()
    damaged = {"flipped": bytes([data[0] ^ 1]) + data[1:], "short": data[:-1], "long": data + b"x"}[damage]
    path.write_bytes(damaged)
    os.utime(path, (1, 1))
    found = load(folder)
    assert len(found.notes) == 1 and "was damaged, so all pictures were decoded again" in found.notes[0]
    assert contents(cache) == whole


@pytest.mark.parametrize("file", ["train.u8", "heldout.u8"])
def test_verifying_the_pixels_finds_a_flipped_bit(folder: Path, cache: Path, file: str) -> None:
    load(folder)
    whole = contents(cache)
    (path,) = cache.glob(f"*/{file}")
    data, status = path.read_bytes(), path.stat()
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert load(folder).notes == ()
    (note,) = loading.load_pictures(folder, TransformOptions(), silent, verify=True).notes
    assert "was damaged, so all pictures were decoded again" in note
    assert contents(cache) == whole
    assert loading.load_pictures(folder, TransformOptions(), silent, verify=True).notes == ()


def test_a_cache_that_was_only_touched_is_still_good(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(folder)
    for path in cache.glob("*/*.u8"):
        os.utime(path, (1, 1))
    monkeypatch.setattr(source, "decode_block", None)
    assert load(folder).notes == ()


def test_a_full_disk_is_refused_with_the_space_needed(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 400_000_000})())
    monkeypatch.setattr(pixel_cache, "SPARE_BYTES", 400_000_000)
    with pytest.raises(DataError, match=r"401 MB .*400 MB .*--res"):
        load(folder)


def test_rows_that_will_be_rewritten_count_as_free(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample looked grey. The grey rows are removed before the space for colour is measured."""
    Image.fromarray(np.dstack([PIXELS[0], PIXELS[1], PIXELS[2]])).save(folder / "a" / "colour.png")
    grey = Counter({ImageHeader("PNG", 8, 8, "grey", is_grey=True): 1})
    monkeypatch.setattr(ImageSource, "sample_headers", lambda self: grey)
    written = []

    def usage(place: Path) -> Any:
        written.append(sum(path.stat().st_size for path in place.glob("*.u8")))
        return type("Usage", (), {"free": 1 << 40})()

    monkeypatch.setattr(shutil, "disk_usage", usage)
    load(folder)
    assert written == [0, 0]


def test_a_cache_that_cannot_be_written_is_refused(folder: Path, cache: Path) -> None:
    cache.parent.write_text("a file where the folder should be")
    with pytest.raises(DataError, match=r"Not a directory.*GANCLI_CACHE"):
        load(folder)


def spoil(folder: Path, n: int) -> list[str]:
    """Damage the first n files of class a."""
    names = [f"a/{2 * i:03d}.png" for i in range(n)]
    for name in names:
        (folder / name).write_bytes((folder / name).read_bytes()[:-30])
    return names


def test_bad_files_are_skipped_up_to_a_limit_and_named(folder: Path) -> None:
    names = spoil(folder, 3)
    found = load(folder, max_bad=3)
    assert len(found.images) + len(found.heldout_images) == N - 3
    images, heldout = expected()
    assert found.images[-1].equal(images[-1]) and found.heldout_images[-1].equal(heldout[-1])
    assert found.labels is not None and len(found.labels) == len(found.images)
    assert found.report and [name for name, _ in found.report.faults] == names
    assert f"3 pictures of 230 skipped: {names[0]} ({TRUNCATED}), {names[1]} (truncated)" in found.report.skipped[0]


def test_too_many_bad_files_are_refused_and_all_named(folder: Path) -> None:
    names = spoil(folder, 7)
    with pytest.raises(DataError) as caught:
        load(folder, max_bad=6)
    text = str(caught.value)
    assert f"7 of 230 pictures in {folder} cannot be used: {names[0]} ({TRUNCATED}), " in text and "\n" not in text
    assert "and 2 others" in text and "skip them with --max-bad 7" in text
    listed = Path(text.split("all are listed in ")[1].split(";")[0])
    assert listed.read_text().splitlines() == [f"{name}: {TRUNCATED}" for name in names]
    found = load(folder, max_bad=7)
    assert len(found.images) > 200
    assert found.report
    (said,) = found.report.skipped
    assert said.startswith("7 pictures of 230 skipped: ") and said.endswith(f"all are listed in {listed}")


def test_each_fix_is_shown_once_and_old_reasons_without_a_fix_still_work() -> None:
    faults = [("a", TRUNCATED), ("b", TRUNCATED), ("c", "empty"), ("d", "empty")]
    assert format_faults(faults, 3) == "a (truncated; copy or download it again), b (truncated), c (empty) and 1 other"


def test_skipping_is_suggested_only_if_enough_pictures_remain(folder: Path) -> None:
    assert loading.bad_files_advice(220, N) == "repair or delete them, or skip them with --max-bad 220"
    assert loading.bad_files_advice(221, N) == "repair or delete them"
    spoiled = [path.write_bytes(b"bad") for path in folder.rglob("*.png")]
    with pytest.raises(DataError, match=f"{N} of {len(spoiled)} pictures .* cannot be used") as caught:
        load(folder)
    assert str(caught.value).endswith("; repair or delete them")


def test_names_in_the_list_of_bad_files_take_one_line_each(folder: Path, cache: Path) -> None:
    (folder / "a" / "two\nlines\x1b[31m.png").write_bytes(b"bad")
    load(folder)
    (listed,) = cache.glob("*/bad-files.txt")
    assert listed.read_text() == f"a/two\\nlines\\x1b[31m.png: {NOT_A_PICTURE}\n"


def test_the_whole_set_decides_if_the_sample_was_wrong(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guess is grey 8x8, but one colour file makes the whole set colour."""
    Image.fromarray(np.dstack([PIXELS[0], PIXELS[1], PIXELS[2]])).save(folder / "a" / "colour.png")
    grey = Counter({ImageHeader("PNG", 8, 8, "grey", is_grey=True): 1})
    monkeypatch.setattr(ImageSource, "sample_headers", lambda self: grey)
    found = load(folder)
    assert found.channels == 3 and len(found.images) + len(found.heldout_images) == N + 1


def test_copies_are_counted_across_the_split(folder: Path) -> None:
    shutil.copy(folder / "a" / "000.png", folder / "b" / "copy.png")
    found = load(folder)
    assert found.report and found.report.duplicates.n == 1
    assert found.report.duplicates.pairs in ((("a/000.png", "b/copy.png"),), (("b/copy.png", "a/000.png"),))

    train = np.arange(12, dtype=np.uint8).reshape(3, 1, 2, 2)
    counts = find_copies(train, train[[1, 1]], str, np.array([0, 2, 4]), np.array([1, 3]))
    assert counts == Copies(2, 2, (("2", "1"), ("2", "3")))
    counts = find_copies(train[[0, 1, 1]], train[[2, 2]], str, np.array([0, 2, 4]), np.array([1, 3]))
    assert counts == Copies(2, 0, (("2", "4"), ("1", "3"))), "copies within one part are not across"


def test_a_small_set_holds_nothing_out_and_a_tiny_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "few"
    path.mkdir()
    for i in range(12):
        Image.fromarray(PIXELS[i]).save(path / f"{i}.png")
    found = load(path)
    assert found.heldout_images.shape == (0, 1, 8, 8) and found.labels is None
    assert found.notes == ("few has only 12 images, so none are held out to detect overfitting",)
    spoiled = path / "3.png"
    for i in range(3):
        spoiled = path / f"{i}.png"
        spoiled.write_bytes(b"bad")
    with pytest.raises(
        DataError,
        match=r"9 usable pictures.* 3 .*0.png \(.*10",
    ):
        load(path)


def test_two_processes_do_not_write_one_cache(folder: Path, cache: Path) -> None:
    """The second process waits, prints a note, and finds the cache complete."""
    code = "import sys; from pathlib import Path; from gancli.core.data import load; "
    code += "from gancli.core.data.transform import TransformOptions; "
    code += "load.load_pictures(Path(sys.argv[1]), TransformOptions(), lambda *about: print(*about, flush=True))"
    load(folder)
    (lock,) = cache.glob("*.lock")
    with pixel_cache.cache_lock(lock, silent):
        child = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        assert "waiting for another process" in child.stdout.readline()
        time.sleep(0.05)
        assert child.poll() is None
    assert child.communicate(timeout=60)[0] == "" and child.returncode == 0


@pytest.mark.parametrize("pack", [np.savez, np.savez_compressed])
def test_an_npz_is_loaded_with_its_labels(tmp_path: Path, pack: Any) -> None:
    pack(tmp_path / "made.npz", images=PIXELS, labels=np.arange(N) % 3)
    found = load(tmp_path / "made.npz")
    held = heldout_mask(N, torch.arange(N) % 3)
    assert torch.equal(found.images[:, 0], torch.from_numpy(PIXELS)[~held])
    assert found.labels is not None and found.labels.equal((torch.arange(N) % 3)[~held])
    assert found.class_names == ("0", "1", "2")
    colour = np.stack([PIXELS] * 3, axis=3)[:, :, :6]
    pack(tmp_path / "colour.npz", colour)
    found = load(tmp_path / "colour.npz", resolution=12, fit="pad", background=(255, 0, 0))
    assert found.images.shape == (207, 3, 12, 12) and found.labels is None
    assert found.images[0, :, 0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("n_tasks", [1, 7])
def test_an_interrupted_npz_continues_where_it_stopped(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, n_tasks: int
) -> None:
    np.savez(tmp_path / "made.npz", images=PIXELS)
    load(tmp_path / "made.npz")
    whole = contents(cache)
    shutil.rmtree(cache)
    blocks, starts = ImageSource.decode, []

    def failing(self: ImageSource, target: Transform, start: int) -> Iterator[DecodedBlock]:
        starts.append(start)
        for n, block in enumerate(blocks(self, target, start)):
            if n == n_tasks and start == 0:
                raise KeyboardInterrupt
            yield block

    monkeypatch.setattr(ImageSource, "decode", failing)
    with pytest.raises(KeyboardInterrupt):
        load(tmp_path / "made.npz")
    load(tmp_path / "made.npz")
    assert contents(cache) == whole and starts == [0, 16 * n_tasks]


def test_a_single_huge_label_is_refused(tmp_path: Path) -> None:
    labels = np.arange(N) % 3
    labels[7] = 2_000_000_000
    np.savez(tmp_path / "made.npz", images=PIXELS, labels=labels)
    with pytest.raises(DataError, match=r"2,000,000,000, .*1,000"):
        load(tmp_path / "made.npz")
    assert load(tmp_path / "made.npz", conditional=False).labels is None


def test_an_npz_that_would_run_code_is_not_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "made.npz", images=np.array([{"a": 1}] * 20, dtype=object))
    with pytest.raises(DataError, match="save uint8"):
        load(tmp_path / "made.npz")


def test_a_highly_compressed_npz_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "SMALL_BYTES", 1000)
    np.savez_compressed(tmp_path / "made.npz", images=np.zeros((1000, 32, 32), np.uint8))
    with pytest.raises(DataError, match=r"made\.npz .*more than 200"):
        load(tmp_path / "made.npz")
    np.savez(tmp_path / "made.npz", images=np.zeros((0, 8, 8), np.uint8), labels=np.zeros(0, np.int64))
    with pytest.raises(DataError, match="holds 0 usable pictures"):
        load(tmp_path / "made.npz")


def test_one_picture_is_refused_as_a_data_set(folder: Path) -> None:
    with pytest.raises(DataError, match=r"000\.png is one picture"):
        load(folder / "a" / "000.png")


def test_too_little_memory_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(source, "decode_block", failing)
    with pytest.raises(DataError, match="memory"):
        load(folder)


@pytest.mark.parametrize("channels", [1, 3])
def test_files_decoded_together_equal_files_decoded_alone(channels: int) -> None:
    """Every filter in every row, including the first, mixed with other files and bad files."""
    draws = np.random.default_rng(0)
    mode, target = {1: "L", 3: "RGB"}[channels], Transform(8, channels)
    files = {}
    for i in range(40):
        row = 1 + 8 * channels
        rows = draws.integers(0, 256, (8, row), dtype=np.uint8)
        rows[:, 0] = draws.integers(0, 5, 8)
        files[f"{i}.png"] = png_file(rows.tobytes(), channels)
        rows[i % 8, 0] = 5
        if i % 5 == 0:
            files[f"{i}-filter.png"] = png_file(rows.tobytes(), channels)
            files[f"{i}-short.png"] = png_file(rows.tobytes()[:-1], channels)
            files[f"{i}-long.png"] = png_file(rows.tobytes() + b"x", channels)
            file = io.BytesIO()
            Image.fromarray(PIXELS[i]).convert("RGB" if channels == 1 else "L").resize((9, 9)).save(file, "PNG")
            files[f"{i}-other.png"] = file.getvalue()
    found = decode_block(FilesInMemory(files), range(len(files)), target)
    alone, faults = [], []
    for place, data in enumerate(files.values()):
        try:
            alone.append(resize.decode_image(data, target))
        except DataError as err:
            faults.append((place, str(err)))
    assert found.faults == faults and len(faults) == 24
    assert found.headers == Counter(header for _, header in alone) and len(found.headers) == 2
    assert np.array_equal(found.pixels, np.stack([pixels for pixels, _ in alone]).transpose(0, 3, 1, 2))
    assert Image.open(io.BytesIO(files["0.png"])).mode == mode


def png_file(rows: bytes, channels: int) -> bytes:
    """A PNG of 8x8 with these filtered rows."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 8, 8, 8, {1: 0, 3: 2}[channels], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_only_the_requested_rows_of_a_map_are_copied(tmp_path: Path) -> None:
    """A batch of a mapped set allocates only the batch; writing to it does not change the file."""
    (tmp_path / "train.u8").write_bytes(PIXELS.tobytes())
    images = cache_files.map_split(tmp_path, "train", N, Transform(8, 1))
    batch = images[torch.tensor([5, 0, 5])]
    assert batch.equal(torch.from_numpy(PIXELS[[5, 0, 5]])[:, None]) and batch.untyped_storage().nbytes() == 3 * 64
    images[0] = 7
    assert (tmp_path / "train.u8").read_bytes() == PIXELS.tobytes()
