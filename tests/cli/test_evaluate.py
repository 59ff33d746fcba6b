"""gancli evaluate from the command line."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from commands import FAST, gancli, trained
from conftest import idx_bytes
from PIL import Image

from gancli.core.data import load
from gancli.files.cache import cache_folder
from gancli.metrics.features import Extractor
from gancli.metrics.suite import METRICS
from gancli.wording import format_significant
from gancli.workflows import evaluation

NAMES = {
    "precision", "recall", "density", "coverage", "class_tv", "label_fidelity", "modes", "kl", "auth_pct",
    "closer_than_heldout", "close_share", "diversity",
}  # fmt: skip


def blobs(n: int, seed: int, size: int = 8) -> np.ndarray:
    """Grey pictures uint8 [n,size,size] with a bright square at a random place."""
    draws = np.random.default_rng(seed)
    pictures = draws.integers(0, 40, (n, size, size))
    for picture, (row, column) in zip(pictures, draws.integers(0, size - 3, (n, 2)), strict=True):
        picture[row : row + 3, column : column + 3] += 200
    return pictures.astype(np.uint8)


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """A folder of IDX files: 400 training and 150 test pictures of 8x8, no labels."""
    folder = tmp_path / "blobs"
    folder.mkdir()
    for split, n, seed in (("train", 400, 0), ("t10k", 150, 1)):
        pictures = blobs(n, seed)
        (folder / f"{split}-images-idx3-ubyte").write_bytes(idx_bytes(pictures.shape, pictures.tobytes()))
    return folder


@pytest.fixture
def run(real: Path) -> Path:
    return trained(real, "--kimg", "0.4", "--eval-kimg", "0.4")


def write_pngs(folder: Path, pictures: np.ndarray) -> Path:
    folder.mkdir()
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{number:04d}.png")
    return folder


def test_evaluate_scores_the_newest_run_against_its_own_data(run: Path) -> None:
    result = gancli("evaluate", "--n", "300")
    assert result.exit_code == 0, result.output
    assert f"using the newest run, {run}" in result.stderr
    rows = {line.split()[0] for line in result.stdout.splitlines() if line.strip()}
    assert {"fd_random", "kid_random", "coverage", "auth_pct", "diversity"} <= rows
    assert (
        "300 generated images compared with 400 training images of blobs; floors from 150 held-out images"
        in result.stdout
    )
    assert "random features (use them only to compare models on this data)" in result.stdout
    assert "no class_tv, label_fidelity: the random features predict no classes" in result.stdout
    (row,) = [line.split() for line in result.stdout.splitlines() if line.strip().startswith("fd_random")]
    scores = json.loads((run / "scores" / "00000" / "scores.json").read_text())["scores"]
    assert row[1:3] == [format_significant(scores["fd_random"][key]) for key in ("value", "floor")]
    folder = run / "scores" / "00000"
    assert {path.name for path in folder.iterdir()} == {"scores.json", "nearest.png"}
    with Image.open(folder / "nearest.png") as picture:
        assert min(picture.size) > 300
    assert str(folder) in result.stdout.splitlines()[-1]


def test_json_has_every_score_with_its_floor_and_conditions_and_no_nan(run: Path) -> None:
    result = gancli("evaluate", run, "--n", "300", "--json", "-q")
    assert result.exit_code == 0 and result.stderr == ""
    shown = json.loads(result.stdout, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert set(shown["scores"]) == NAMES | {"fd_random", "kid_random"}
    assert shown["scores"]["fd_random"]["value"] > shown["scores"]["fd_random"]["floor"] > 0
    assert shown["scores"]["class_tv"]["value"] is None
    assert len(shown["scores"]["auth_pct"]["nearest_pairs"]) == 16
    conditions = shown["conditions"]
    wanted = {"n_fake": 300, "n_real": 400, "n_heldout": 150, "features": "random", "data": "blobs", "nimg": 400}
    assert wanted.items() <= conditions.items()
    assert json.loads((run / "scores" / "00000" / "scores.json").read_text()) == shown


def test_the_same_images_get_the_same_scores_from_a_model_a_folder_a_zip_and_an_npz(run: Path, real: Path) -> None:
    gancli("sample", run, "--n", "150", "-o", "images.npz")
    gancli("sample", run, "--n", "150", "-o", "folder")
    with zipfile.ZipFile("images.zip", "w") as archive:
        for path in Path("folder").iterdir():
            archive.write(path)
    shutil.copy(run / "model.safetensors", "alone.safetensors")
    sources = [run, "alone.safetensors", "images.npz", "folder", "images.zip"]
    result = gancli("evaluate", *sources, "--data", real, "--n", "150", "--json")
    assert result.exit_code == 0, result.output
    models = json.loads(result.stdout)["models"]
    assert [model["source"] for model in models] == [str(source) for source in sources]
    for model in models:
        assert model["scores"] == models[0]["scores"]
        assert model["conditions"]["n_fake"] == 150, "grid.png is not one of the images"
    assert len(list(Path("scores/00000").glob("nearest-*.png"))) == 5


def test_scores_of_several_runs_go_to_a_shared_folder(run: Path) -> None:
    other = run.with_name("00001-other")
    shutil.copytree(run, other)
    result = gancli("evaluate", run, other, "--n", "100", "--metrics", "frechet")
    assert result.exit_code == 0, result.output
    assert [path.parent for path in Path().glob("**/scores.json")] == [Path("scores/00000")]


def test_several_sources_are_shown_side_by_side_with_their_own_floors(real: Path) -> None:
    write_pngs(Path("good"), blobs(300, 5))
    write_pngs(Path("same"), np.repeat(blobs(1, 5), 200, axis=0))
    result = gancli("evaluate", "good", "same", "--data", real, "--metrics", "frechet,prdc,diversity", "--json")
    good, same = (model["scores"] for model in json.loads(result.stdout)["models"])
    assert good["fd_random"]["value"] < 2 * good["fd_random"]["floor"] < same["fd_random"]["value"]
    assert good["coverage"]["value"] > 0.9 > 0.2 > same["coverage"]["value"]
    assert good["diversity"]["value"] > 0.9 and same["diversity"]["value"] == pytest.approx(0, abs=1e-6)
    assert set(good) == {"fd_random", "precision", "recall", "density", "coverage", "diversity"}
    table = gancli("evaluate", "good", "same", "--data", real, "--metrics", "frechet,diversity").stdout
    assert "good" in table and "same" in table and "(floor" in table
    assert not list(Path("scores/00001").glob("nearest*")), "no picture where copies were not looked for"


def test_each_source_gets_a_verdict_and_a_shared_floor_is_shown_once(real: Path) -> None:
    write_pngs(Path("good"), blobs(300, 5))
    write_pngs(Path("copies"), blobs(400, 0)[:300])
    write_pngs(Path("fewer"), blobs(200, 6))
    equal = gancli("evaluate", "good", "copies", "--data", real).stdout.splitlines()
    assert next(line for line in equal if line.startswith(" score") or line.startswith("score")).split()[-1] == "floor"
    (good,) = [line for line in equal if line.startswith("good: fd_random: ")]
    (copies,) = [line for line in equal if line.startswith("copies: fd_random: ")]
    assert "look at the nearest pairs" in copies and "closer_than_heldout: closer" in copies
    assert "closer_than_heldout" not in good
    assert "counts differ" not in "".join(equal)
    unequal = gancli("evaluate", "good", "fewer", "--data", real, "--metrics", "frechet").stdout
    assert "(floor " in unequal and "the image counts differ: compare multiples of the floor" in unequal


def test_a_narrow_terminal_shows_every_reading(real: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez("good.npz", images=blobs(150, 3))
    monkeypatch.setenv("COLUMNS", "50")
    lines = gancli("evaluate", "good.npz", "--data", real).stdout.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("closer_than_heldout 0."))
    assert "(floor 0.500)" in lines[at] and "the training images" in lines[at + 1]


def test_force_removes_earlier_pictures_of_pairs(real: Path) -> None:
    np.savez("good.npz", images=blobs(150, 3))
    assert gancli("evaluate", "good.npz", "--data", real, "-o", "out").exit_code == 0
    for name in ("mine.txt", "nearest-station.png"):
        (Path("out") / name).touch()
    assert {path.name for path in Path("out").iterdir()} == {
        "scores.json",
        "nearest.png",
        "mine.txt",
        "nearest-station.png",
    }
    assert gancli("evaluate", "good.npz", "--data", real, "-o", "out", "--metrics", "kid", "--force").exit_code == 0
    assert {path.name for path in Path("out").iterdir()} == {"scores.json", "mine.txt", "nearest-station.png"}
    Path("holiday").mkdir()
    Path("holiday/nearest.png").touch()
    assert gancli("evaluate", "good.npz", "--data", real, "-o", "holiday", "--metrics", "kid", "--force").exit_code == 0
    assert Path("holiday/nearest.png").exists(), "it never was of an evaluation"


def test_copies_of_training_images_are_shown_next_to_the_originals(real: Path) -> None:
    mixed = np.concatenate([blobs(400, 0)[:30], blobs(120, 7)])
    result = gancli("evaluate", write_pngs(Path("mixed"), mixed), "--data", real, "--json")
    pairs = json.loads(result.stdout)["scores"]["auth_pct"]["nearest_pairs"]
    assert [(pair["image"], pair["training_image"], pair["ratio"]) for pair in pairs] == [(i, i, 0) for i in range(16)]
    with Image.open("scores/00000/nearest.png") as picture:
        shown = np.asarray(picture)
    enlarged = mixed[0].repeat(14, axis=0).repeat(14, axis=1)
    windows = np.lib.stride_tricks.sliding_window_view(shown[:250, :300, 0], enlarged.shape)
    places = [(y, x) for y, x in np.argwhere((windows == enlarged).all(axis=(2, 3)))]
    assert len(places) == 2, "the copy and its original, side by side"


def test_a_subset_of_too_many_images_is_chosen_by_the_seed(real: Path) -> None:
    np.savez("many.npz", images=blobs(500, 9))
    found = [
        json.loads(gancli("evaluate", "many.npz", "--data", real, "--n", "200", "--seed", seed, "--json").stdout)
        for seed in ("0", "0", "1")
    ]
    assert [one["conditions"]["n_fake"] for one in found] == [200] * 3
    assert found[0] == found[1]
    frechet = [one["scores"]["fd_random"]["value"] for one in found]
    assert frechet[0] != frechet[2], "of other images, since this score draws nothing itself"
    np.savez("first.npz", images=blobs(500, 9)[:200])
    first = json.loads(gancli("evaluate", "first.npz", "--data", real, "--json").stdout)
    assert first["scores"]["fd_random"]["value"] not in frechet


def test_grey_images_saved_in_colour_are_grey(real: Path) -> None:
    pictures = blobs(120, 3)
    np.savez("grey.npz", images=pictures)
    np.savez("colour.npz", images=np.repeat(pictures[..., None], 3, axis=3))
    result = gancli("evaluate", "grey.npz", "colour.npz", "--data", real, "--metrics", "kid", "--json")
    grey, colour = json.loads(result.stdout)["models"]
    assert grey["scores"] == colour["scores"]


def test_sample_and_evaluate_take_the_best_model_of_a_run(run: Path) -> None:
    shutil.copy(run / "model.safetensors", run / "model-best.safetensors")
    shutil.copy(run / "model.safetensors", "kept.safetensors")
    (run / "model.safetensors").unlink()
    assert gancli("sample", run, "-o", "last.png").exit_code == 1
    assert gancli("sample", run, "--best", "-o", "best.png").exit_code == 0
    result = gancli("evaluate", run, "--best", "--n", "100", "--metrics", "kid", "--json")
    assert json.loads(result.stdout)["source"] == f"{run} (best)"
    (run / "model-best.safetensors").unlink()
    result = gancli("sample", run, "--best")
    assert result.exit_code == 1 and "has no model-best.safetensors" in result.stderr


def test_train_shows_its_score_and_draws_it(run: Path) -> None:
    again = gancli("train", "--resume", run)
    assert again.exit_code == 0
    (line,) = [line for line in again.stdout.splitlines() if line.startswith("score: ")]
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["fd_random"]
    floor = json.loads((run / "config.json").read_text())["eval"]["floor"]
    assert line.startswith(f"score: fd_random {format_significant(last)}, {last / floor:.3g} times its floor; best ")
    assert (run / "score.png").stat().st_size > 5000
    shown = json.loads(gancli("train", "--resume", run, "--json").stdout)
    assert shown["score"]["name"] == "fd_random" and shown["score"]["best_nimg"] in (104, 200, 400)
    assert {str(run / name) for name in ("score.png", "model-best.safetensors")} <= set(shown["files"])
    record = json.loads((run / "config.json").read_text())
    assert record["eval"]["n_fake"] == evaluation.SCORER_N_FAKES and record["eval"]["floor"] > 0
    assert 0.9 < record["eval"]["coverage_floor"] <= 1 and record["eval"]["class_tv_floor"] is None
    assert last_eval(run)["short_classes"] is None, "none can be read, which is not the same as none missing"


def last_eval(run: Path) -> dict[str, object]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == "eval"][-1]


@pytest.mark.parametrize("damage", [None, b"junk"])
def test_a_lost_best_model_gets_a_note_and_the_run_resumes(run: Path, damage: bytes | None) -> None:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        if line["kind"] == "eval" and line["nimg"] == 200:
            line["fd_random"] = 1.0
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    best = run / "model-best.safetensors"
    best.write_bytes(damage) if damage else best.unlink()
    result = gancli("train", "--resume", run)
    assert result.exit_code == 0, result.output
    assert "the best score, 1 at 0.2 kimg, is lost" in result.stderr
    assert "best" not in next(line for line in result.stdout.splitlines() if line.startswith("score: "))


def test_a_folder_with_scores_in_it_can_be_evaluated_again(real: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write_pngs(Path("images"), blobs(150, 3)))
    for _ in range(2):
        result = gancli("evaluate", ".", "--data", real, "--json")
        assert result.exit_code == 0 and json.loads(result.stdout)["conditions"]["n_fake"] == 150
    assert len(list(Path("scores").iterdir())) == 2
    assert gancli("evaluate", ".", "--data", real, "-o", ".", "--force", "--metrics", "kid").exit_code == 0
    assert Path("scores.json").is_file() and len(list(Path().glob("*.png"))) == 150


def test_scores_are_shown_even_if_they_cannot_be_written(real: Path) -> None:
    np.savez("good.npz", images=blobs(150, 3))
    Path("file").touch()
    result = gancli("evaluate", "good.npz", "--data", real, "-o", "file/below", "--metrics", "kid", "--json")
    assert result.exit_code == 1 and "cannot write" in result.stderr
    assert json.loads(result.stdout)["scores"]["kid_random"]["value"] is not None
    result = gancli("evaluate", "good.npz", "--data", real, "-o", "/", "--force", "--metrics", "kid")
    assert result.exit_code == 1 and "root of the file system" in result.stderr


def test_every_model_must_have_been_trained_on_the_same_data(run: Path, tiny_idx: Path) -> None:
    trained(tiny_idx, "--kimg", "0.1")
    result = gancli("evaluate", run, "runs/00001-quick-tiny")
    assert result.exit_code == 2 and "00001-quick-tiny was trained on tiny" in result.stderr


def test_ten_numbered_classes_match_a_network_with_ten_classes() -> None:
    ten = Extractor("toy", lambda images: (images, None), "digest", class_names=tuple("abcdefghij"))
    numbers = [str(number) for number in range(10)]
    assert evaluation.predicts_classes_of(ten, list("abcdefghij")) and evaluation.predicts_classes_of(ten, numbers)
    assert not evaluation.predicts_classes_of(ten, numbers[:9]) and not evaluation.predicts_classes_of(ten, [])
    blind = Extractor("toy", lambda images: (images, None), "digest")
    assert not evaluation.predicts_classes_of(blind, []) and not evaluation.predicts_classes_of(blind, numbers)


def test_too_few_images_give_the_minimum_and_metrics_that_work(real: Path) -> None:
    np.savez("few.npz", images=blobs(30, 3))
    result = gancli("evaluate", "few.npz", "--data", real)
    assert result.exit_code == 0, result.output
    assert (
        "no fd_random: needs at least 113 real and generated images, got 30; kid_random needs only 20" in result.stdout
    )


def test_without_held_out_images_there_are_no_floors(real: Path) -> None:
    for path in real.glob("t10k*"):
        path.unlink()
    first = (real / "train-images-idx3-ubyte").read_bytes()[16 : 16 + 64 * 150]
    (real / "train-images-idx3-ubyte").write_bytes(idx_bytes((150, 8, 8), first))
    np.savez("some.npz", images=blobs(150, 3))
    result = gancli("evaluate", "some.npz", "--data", real)
    assert result.exit_code == 0 and "; no floors, because none are held out; " in result.stdout
    assert "closer_than_heldout, close_share: needs at least 100 held-out images, got 0" in result.stdout


ERRORS = {
    "nothing here": ([], 1, "no run found under runs/; train one first"),
    "no such source": (["nope"], 1, "no run folder, model file or images at nope"),
    "images without data": (["good.npz"], 2, "good.npz holds images only; add --data"),
    "unknown data": (["good.npz", "--data", "mnits"], 1, "did you mean 'mnist'?"),
    "another size": (["big.npz", "--data", "blobs"], 1, "big.npz holds 12x12 images, but the data is 8x8"),
    "colour": (["colour.npz", "--data", "blobs"], 1, "colour.npz holds colour images, but the data is grey"),
    "unknown metric": (["good.npz", "--data", "blobs", "--metrics", "fid"], 2, "unknown metric 'fid'"),
    "unknown features": (["good.npz", "--data", "blobs", "--features", "digit"], 2, "did you mean 'digits'?"),
    "features of another domain": (["good.npz", "--data", "blobs", "--features", "digits"], 2, "take 1x28x28 images"),
    "best of images": (["good.npz", "--data", "blobs", "--best"], 2, "--best chooses between the models of a run"),
    "best of a model file": (["text.safetensors", "--best"], 2, "text.safetensors is a model file"),
    "one picture": (["bad/0001.png", "--data", "blobs"], 1, "bad/0001.png is one picture; give a model, or a folder"),
    "a folder of runs": (["some-runs", "--data", "blobs"], 1, "some-runs holds run folders; name one of them"),
    "unreadable images": (["bad", "--data", "blobs"], 1, "2 of 12 images in bad cannot be used: 0003.png (truncated"),
    "not a model": (["text.safetensors", "--data", "blobs"], 1, "text.safetensors is damaged"),
    "no images at all": (["empty", "--data", "blobs"], 1, "no images in empty"),
    "output exists": (["good.npz", "--data", "blobs", "-o", "empty"], 1, "empty exists; choose another -o"),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_bad_input_gets_one_line_and_writes_nothing(real: Path, case: str) -> None:
    np.savez("good.npz", images=blobs(120, 3))
    np.savez("big.npz", images=blobs(120, 3, size=12))
    np.savez("colour.npz", images=np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), np.uint8))
    bad = write_pngs(Path("bad"), blobs(12, 3))
    for name in ("0003.png", "0007.png"):
        (bad / name).write_bytes((bad / name).read_bytes()[:60])
    Path("empty").mkdir()
    Path("some-runs/00000-quick-blobs").mkdir(parents=True)
    Path("some-runs/00000-quick-blobs/config.json").write_text("{}")
    Path("text.safetensors").write_text("no")
    arguments, code, text = ERRORS[case]
    result = gancli("evaluate", *arguments)
    assert result.exit_code == code, result.output
    assert text in result.stderr and result.stderr.count("\n") == 1 and result.stderr.startswith("error: ")
    assert result.stdout == "" and not list(Path().rglob("scores*"))


def test_a_model_of_other_data_gets_a_note_and_one_of_another_size_is_refused(
    run: Path, tiny_idx: Path, real: Path
) -> None:
    result = gancli("evaluate", run, "--data", tiny_idx, "--n", "120", "--metrics", "kid")
    assert result.exit_code == 0 and "was trained on other images" in result.stderr
    for split, n in (("train", 60), ("t10k", 20)):
        pictures = blobs(n, 3, size=12)
        (real / f"{split}-images-idx3-ubyte").write_bytes(idx_bytes(pictures.shape, pictures.tobytes()))
    result = gancli("evaluate", run, "--data", real)
    assert result.exit_code == 1 and "makes images of 1x8x8" in result.stderr
    result = gancli("evaluate", run)
    assert result.exit_code == 1 and "blobs has changed since" in result.stderr
    shutil.copy(run / "model.safetensors", "alone.safetensors")
    result = gancli("evaluate", "alone.safetensors")
    assert result.exit_code == 2 and "which is not a known data set; add --data" in result.stderr


def test_moved_data_are_reported_as_missing(run: Path, real: Path) -> None:
    real.rename(real.parent / "elsewhere")
    result = gancli("evaluate", run)
    assert result.exit_code == 1
    assert f"{run} was trained on no longer exist at {real}; give their new place with --data" in result.stderr


def test_features_of_real_images_are_computed_once_and_cached(real: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez("good.npz", images=blobs(120, 3))
    assert gancli("evaluate", "good.npz", "--data", real, "--metrics", "kid").exit_code == 0
    kept = sorted((cache_folder() / "features").iterdir())
    assert len(kept) == 2, "training and held-out"
    times = [path.stat().st_mtime_ns for path in kept]
    assert gancli("evaluate", "good.npz", "--data", real, "--metrics", "kid").exit_code == 0
    assert [path.stat().st_mtime_ns for path in kept] == times


def test_held_out_digits_score_at_their_floor_and_wrong_labels_are_detected() -> None:
    digits = load.load_dataset("mnist-5k")
    assert digits.heldout_labels is not None
    arrays = {"images": digits.heldout_images[:, 0].numpy(), "labels": digits.heldout_labels.numpy()}
    np.savez("right.npz", **arrays)
    np.savez("wrong.npz", images=arrays["images"], labels=(arrays["labels"] + 1) % 10)
    np.savez("ones.npz", images=digits.images[digits.labels == 1][:300, 0].numpy())
    result = gancli("evaluate", "right.npz", "wrong.npz", "ones.npz", "--data", "mnist-5k", "--json")
    right, wrong, ones = (model["scores"] for model in json.loads(result.stdout)["models"])
    assert right["fd_digits"]["value"] < 1.3 * right["fd_digits"]["floor"]
    assert right["label_fidelity"]["value"] >= 0.975 and right["class_tv"]["value"] < 0.03
    assert wrong["label_fidelity"]["value"] < 0.02
    assert ones["label_fidelity"]["value"] is None
    assert ones["class_tv"]["short_classes"] == list("023456789")
    assert ones["fd_digits"]["value"] > 20 * ones["fd_digits"]["floor"] and ones["recall"]["value"] < 0.5


def test_probe_agrees_with_a_full_evaluation_of_the_same_size(real: Path) -> None:
    """The score in the log equals that of evaluate with the same number of images."""
    assert gancli("train", "--data", real, "--kimg", "1", *FAST, "--eval-kimg", "100").exit_code == 0
    run = Path("runs/00000-quick-blobs")
    result = gancli("evaluate", run, "--n", str(evaluation.SCORER_N_FAKES), "--metrics", "frechet,prdc", "--json")
    scores = json.loads(result.stdout)["scores"]
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    last = [line for line in lines if line["kind"] == "eval"][-1]
    assert last["nimg"] == 1000
    assert last["fd_random"] == pytest.approx(scores["fd_random"]["value"], rel=1e-9)
    assert last["coverage"] == pytest.approx(scores["coverage"]["value"], abs=0.02)


def test_every_metric_can_be_computed_alone(real: Path) -> None:
    np.savez("good.npz", images=blobs(120, 3))
    for name in METRICS:
        result = gancli("evaluate", "good.npz", "--data", real, "--metrics", name, "--json")
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["scores"]
    assert len(METRICS) == 8
