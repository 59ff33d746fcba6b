"""The numbers, flags and names in docs/your-images.md and docs/dev/data.md match the code."""

import ast
import re
from pathlib import Path

import gancli
from gancli import config
from gancli.core.data import archive, dataset, decode, npz_array, statistics, transform
from gancli.datasets import DATASETS

DOCS = Path(__file__).parent.parent / "docs"
USER_PAGE = (DOCS / "your-images.md").read_text(encoding="utf-8")
MAINTAINER_PAGE = (DOCS / "dev" / "data.md").read_text(encoding="utf-8")
CODE = Path(gancli.__file__).parent


def test_the_numbers_on_the_pages_are_those_of_the_code() -> None:
    most_mib, most_pixels = archive.LARGEST_BYTES >> 20, f"{decode.MOST_PIXELS / 1e6:.0f} million"
    for_users = [
        f"at most {config.MOST_CLASSES:,} classes",
        f"a multiple of 4 from {transform.LOWEST} to {transform.HIGHEST}",
        f"With fewer than {dataset.FEWEST_TO_HOLD_OUT} images, none are held out",
        f"a tenth of the images, at most {dataset.MOST_HELD_OUT:,}",
        f"fewer than about {statistics.FEW_IMAGES:,} images",
    ]
    for_maintainers = [
        f"limited to {transform.LOWEST_AUTO} to {transform.HIGHEST_AUTO}",
        f"more than {most_mib} MiB or {most_pixels} pixels",
        f"more than {decode.MOST_BYTES >> 20} MiB of pixel data",
        f"an npz of more than {npz_array.MOST_IMAGES / 1e6:.0f} million images",
        f"to more than {archive.SMALL_BYTES >> 20} MiB and more than {archive.MOST_DEFLATED} times its packed size",
        f"at least {dataset.FEWEST_IMAGES} usable",
        f"A tenth of the images, at most {dataset.MOST_HELD_OUT:,}, is held out",
        f"With fewer than {dataset.FEWEST_TO_HOLD_OUT} images, none is held out",
        f"With fewer than {statistics.FEWEST_TO_SCORE} held-out images",
    ]
    assert config.TrainConfig(kimg=1.0).max_bad == 10
    for_users.append("up to ten bad files")
    for_maintainers.append("`--max-bad`, 10 by default")
    for page, numbers in ((USER_PAGE, for_users), (MAINTAINER_PAGE, for_maintainers)):
        text = " ".join(page.split())
        assert [number for number in numbers if number not in text] == []


def test_flags_and_names_on_the_pages_exist() -> None:
    known = {config.flag_name(name) for name in config.setting_fields()}
    known |= {"--unconditional", "--dry-run", "--resume", "--init", "--data"}
    for page, fewest in ((USER_PAGE, 8), (MAINTAINER_PAGE, 7)):
        flags = set(re.findall(r"`(--[a-z-]+)", page))
        assert flags <= known and len(flags) >= fewest
    names = USER_PAGE.split("| a name | ")[1].split(" | ")[0]
    assert set(re.findall("`(.+?)`", names)) == set(DATASETS)


def files_with(*texts: str) -> set[str]:
    """The files of the package whose code names any of these."""
    return {
        str(path.relative_to(CODE))
        for path in CODE.rglob("*.py")
        if any(
            isinstance(node, ast.Constant) and node.value in texts
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        )
    }


def test_a_data_set_or_image_format_takes_one_row_and_one_file() -> None:
    """As docs/dev/extending.md says: everything else comes from their tables."""
    assert files_with("cifar10") - {"doctor/diagnosis.py"} == {"datasets.py", "core/data/cifar.py"}
    assert files_with("stacked-mnist") == {"datasets.py", "core/data/stacked_mnist.py"}
    for name, one in decode.IMAGE_FORMATS.items():
        if name not in ("PNG", "WebP", "GIF"):  # gancli also writes these
            assert files_with(name, *one.extensions) == {"core/data/decode.py"}, name
    assert len(DATASETS) >= 6 and len(decode.IMAGE_FORMATS) >= 6
