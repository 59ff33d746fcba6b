"""Paths below ~ that the shell does not expand, and machines without a home folder."""

import os
import tempfile
from pathlib import Path

import pytest
from commands import FAST, gancli, trained
from test_moved_data import write_pictures

from gancli.errors import DataError
from gancli.files import cache

pwd = pytest.importorskip("pwd", reason="Windows always knows the home folder")


@pytest.fixture
def run() -> Path:
    return trained(write_pictures("photos"), "--kimg", "0.1")


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user whom the system does not know, as in a container with a free user number; returns the temporary folder."""
    for variable in ("HOME", "GANCLI_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)

    def unknown(_: object) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    return temporary


def test_every_path_of_a_command_may_begin_with_the_home_folder(run: Path) -> None:
    home = Path(os.environ["HOME"])
    run.rename(home / "kept")
    Path("photos").rename(home / "photos")
    commands = [
        ["sample", "~/kept", "-o=~/one.png", "--seeds", "0-3"],
        ["sample", "~/kept", "-o~/two", "--seeds", "0-3"],
        ["sample", "~/kept", "--output=~/three", "--seeds", "0-3"],
        ["sample", "--like=~/one.png", "-o", "~/four"],
        ["evaluate", "~/kept", "--data=~/photos", "--metrics", "diversity", "--n", "16", "-o=~/scores.json"],
        ["report", "~/kept", "-o=~/five.html"],
        ["export", "~/kept", "-o=~/six"],
        ["train", "--data=~/photos", "--outdir=~/runs", "--init=~/kept", "--kimg", "0.1", *FAST],
        ["train", "--resume=~/kept", "--data=~/photos", "--kimg", "0.1"],
        ["runs", "~/runs"],
        ["doctor", "--no-speed", "--outdir=~/runs"],
    ]
    for command in commands:
        result = gancli(*command)
        assert result.exit_code == 0, (command, result.output)
    written = {"one.png", "two", "three", "four", "five.html", "six", "runs", "scores.json"}
    assert written <= {path.name for path in home.iterdir()}
    assert not [path.name for path in Path().iterdir() if "~" in path.name or "=" in path.name]


def test_words_after_two_dashes_and_values_with_a_later_tilde_stay_as_they_are(run: Path) -> None:
    result = gancli("sample", "--seeds", "0-3", "--output=a~b", "--", str(run))
    assert result.exit_code == 0 and Path("a~b").is_dir(), result.output
    assert "-o=~" in gancli("report", "--", "-o=~").stderr


def test_without_a_home_folder_a_path_below_it_is_refused(homeless: Path) -> None:
    result = gancli("train", "--outdir=~/runs")
    assert result.exit_code == 2
    assert result.stderr == "error: the home folder is not known; give the full path instead of ~/runs, or set HOME\n"
    assert not Path("~").exists()


@pytest.mark.parametrize("home", [None, ""])
def test_without_a_home_folder_the_cache_is_in_the_temporary_folder(
    homeless: Path, home: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if home is not None:
        monkeypatch.setenv("HOME", home)
    write_pictures("photos")
    result = gancli("train", "--data", "photos", "--kimg", "0.1", *FAST)
    assert result.exit_code == 0, result.output
    folder = homeless / f"gancli-{os.getuid()}"
    note = f"note: there is no home folder, so the cache is in {folder}; set GANCLI_CACHE to keep it\n"
    assert result.stderr.count(note) == 1 and (folder / "pictures").is_dir()
    assert not Path("~").exists()
    scores = gancli("evaluate", "--metrics", "diversity", "--n", "16")
    assert scores.exit_code == 0 and scores.stderr.count(note) == 1, scores.output
    monkeypatch.setenv("GANCLI_CACHE", "mine")
    assert cache.cache_folder() == Path("mine") and not cache.cache_notes()


def test_a_cache_that_another_user_could_have_prepared_is_refused(homeless: Path) -> None:
    (homeless / "elsewhere").mkdir()
    (homeless / f"gancli-{os.getuid()}").symlink_to(homeless / "elsewhere")
    with pytest.raises(DataError, match="set GANCLI_CACHE"):
        cache.cache_folder()
