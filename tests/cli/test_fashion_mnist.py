"""Training on all 60,000 pictures of Fashion-MNIST, as Debian's package dataset-fashion-mnist installs them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gancli.cli.app import app

FOLDER = Path("/usr/share/datasets/fashion-mnist")


@pytest.mark.debian
def test_two_kimg_on_the_full_data_set_leave_a_film_and_a_conditional_model(tmp_path: Path) -> None:
    assert FOLDER.is_dir(), "apt-get install dataset-fashion-mnist"
    trained = CliRunner().invoke(app, ["train", "--data", str(FOLDER), "--kimg", "2", "--json"])
    assert trained.exit_code == 0, trained.output
    json.loads(trained.stdout)
    (run,) = (tmp_path / "runs").iterdir()
    config = json.loads((run / "config.json").read_text())
    assert "60000" in json.dumps(config["data"])
    assert (run / "progress.gif").stat().st_size > 1000

    sampled = CliRunner().invoke(app, ["sample", "--n", "4", "--class", "7", "-o", "four"])
    assert sampled.exit_code == 0, sampled.output
    assert len(list((tmp_path / "four").glob("seed*.png"))) == 4
