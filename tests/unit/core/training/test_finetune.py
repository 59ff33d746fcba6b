"""Fine-tuning: weights taken from a model or a run, new weights, and refused cases."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec.structs import replace
from run_configs import config_values
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from gancli import events, presets
from gancli.config import ModelSpec, TrainConfig
from gancli.core.data import load
from gancli.core.networks import tensor_file
from gancli.core.networks.build import MODELS, build_networks
from gancli.core.training import checkpoint, finetune, run_config
from gancli.core.training.step import TrainStep
from gancli.core.training.trainer import Trainer
from gancli.errors import ConfigError, DamagedFileError, FileFormatError, RunError
from gancli.files.run_config import InitEntry, RunConfig, parse_run_config, read_run_config, to_json
from gancli.files.run_folder import RunDir, read_jsonl

SPEC = ModelSpec(model="conv", z_dim=6, g_width=8, d_width=8, resolution=12, channels=1, n_classes=3)
NAMES = ("cat", "dog", "owl")
SMALL = {"g_width": 8, "d_width": 8, "z_dim": 6, "batch_size": 8, "batch_ramp_kimg": 0, "eval_kimg": 0, "threads": 1}
FEW = {**SMALL, "kimg": 0.4, "snapshot_kimg": 0.2, "tick_kimg": 0.1, "r1_interval": 4, "ema_kimg": 0.3}

EACH = pytest.mark.parametrize(("model", "spectral"), [(model, model == "resnet") for model in sorted(MODELS)])


def trained(
    names: tuple[str, ...] = NAMES, *, with_D: bool = True, spectral: bool = False, **spec: Any
) -> finetune.PretrainedNetworks:
    """Networks with other weights than a new state of seed 0."""
    of = dataclasses.replace(SPEC, **{"n_classes": len(names), **spec})
    G, D = build_networks(of, 77, spectral_norm=spectral)
    return finetune.PretrainedNetworks(
        "runs/old", "/x/runs/old", "ab", of, spectral, 1500, "animals", names, G, D if with_D else None
    )


def fresh(names: tuple[str, ...], like: finetune.PretrainedNetworks, **settings: Any) -> TrainStep:
    asked = {"model": like.spec.model, "spectral_norm": like.spectral_norm, **SMALL, "kimg": 1.0, **settings}
    spec = dataclasses.replace(like.spec, n_classes=len(names))
    return TrainStep(presets.resolve_config("quick", flags=asked)[1], spec, torch.device("cpu"))


def record_values(names: tuple[str, ...], **data: Any) -> dict[str, Any]:
    about = {"name": "x", "resolution": 12, "channels": 1, "class_names": list(names), "class_counts": [9] * len(names)}
    return config_values(train={**SMALL, "kimg": 1.0}, data={**about, **data})


def record_of(names: tuple[str, ...], **data: Any) -> RunConfig:
    return parse_run_config(record_values(names, **data), Path("config.json"))


def taken(state: TrainStep, init: finetune.PretrainedNetworks) -> set[str]:
    """Names of the weights that equal those of the trained networks; checks that every weight was compared."""
    found, visited = set(), 0
    for letter, ours, theirs in (("G", state.G, init.G), ("D", state.D, init.D)):
        known = {} if theirs is None else theirs.state_dict()
        for name, weight in ours.state_dict().items():
            visited += 1
            if name in known and torch.equal(known[name], weight):
                found.add(f"{letter}.{name}")
    assert visited == len(state.G.state_dict()) + len(state.D.state_dict()) >= 12
    return found


def everything(state: TrainStep) -> set[str]:
    return {f"{letter}.{name}" for letter in "GD" for name in state.modules[letter].state_dict()}


@EACH
def test_with_the_same_classes_all_weights_of_g_and_d_are_copied(model: str, spectral: bool) -> None:
    init = trained(model=model, spectral=spectral)
    state = fresh(NAMES, init)
    finetune.apply_pretrained(state, init, record_of(NAMES))
    assert taken(state, init) == everything(state)
    assert state.nimg == 0 and state.G_ema is not state.G and not state.opt_G.moments
    for mean, weight in zip(state.G_ema.parameters(), state.G.parameters(), strict=True):
        assert torch.equal(mean, weight) and not mean.requires_grad and weight.requires_grad


def test_without_an_averaged_generator_only_g_is_filled() -> None:
    init = trained()
    state = fresh(NAMES, init, ema_kimg=0.0)
    finetune.apply_pretrained(state, init, record_of(NAMES))
    assert state.G_ema is state.G and taken(state, init) == everything(state)


def test_a_model_file_leaves_d_untrained() -> None:
    init = trained(with_D=False)
    state = fresh(NAMES, init)
    before = {name: weight.clone() for name, weight in state.D.state_dict().items()}
    finetune.apply_pretrained(state, init, record_of(NAMES))
    assert taken(state, init) == {name for name in everything(state) if name.startswith("G.")}
    assert all(torch.equal(weight, before[name]) for name, weight in state.D.state_dict().items())


@EACH
@pytest.mark.parametrize("names", [("x", "y", "z"), ("a", "b")], ids=len)
def test_new_classes_start_with_new_embeddings(model: str, spectral: bool, names: tuple[str, ...]) -> None:
    init = trained(model=model, spectral=spectral)
    state = fresh(names, init)
    finetune.apply_pretrained(state, init, record_of(names))
    assert everything(state) - taken(state, init) == {name for name in everything(state) if ".embed." in name}


def test_a_class_with_a_known_name_keeps_its_embedding_at_any_index() -> None:
    init = trained()
    names = ("owl", "bee", "cat", "dog")
    state = fresh(names, init)
    own = {letter: state.modules[letter].embed.table.weight.clone() for letter in "GD"}  # type: ignore[union-attr]
    finetune.apply_pretrained(state, init, record_of(names))
    for letter, old in (("G", init.G), ("D", init.D)):
        now, then = (net.embed.table.weight for net in (state.modules[letter], old))  # type: ignore[union-attr]
        assert torch.equal(now, torch.stack([then[2], own[letter][1], then[0], then[1]]))


@pytest.mark.parametrize(("clusters", "is_known"), [("one", True), ("other", False), (None, False)])
def test_clusters_of_other_images_start_with_new_embeddings(clusters: str | None, is_known: bool) -> None:
    init = dataclasses.replace(trained(), clusters="one")
    record = record_of(NAMES) if clusters is None else record_of(NAMES, clusters=clusters)
    state = fresh(NAMES, init)
    finetune.apply_pretrained(state, init, record)
    embeddings = {name for name in everything(state) if ".embed." in name}
    assert len(embeddings) == 2 and everything(state) - taken(state, init) == (set() if is_known else embeddings)


@pytest.mark.parametrize("model", sorted(MODELS))
def test_a_model_without_classes_gets_class_inputs_after_those_of_z(model: str) -> None:
    init = trained((), model=model)
    state = fresh(NAMES, init)
    finetune.apply_pretrained(state, init, record_of(NAMES))
    wide = {"mlp": "layers.0.weight", "conv": "project.weight", "resnet": "scale.weight"}[model]
    assert torch.equal(state.G.state_dict()[wide][:, :6], init.G.state_dict()[wide])
    left = everything(state) - taken(state, init)
    out = {"D.out.weight"} if model == "resnet" else set()  # one logit, and features to compare with a class
    assert left == {f"G.{wide}", "G.embed.table.weight", "D.embed.table.weight", *out}


@pytest.mark.parametrize("model", sorted(MODELS))
def test_a_model_with_classes_can_continue_without_them(model: str) -> None:
    init = trained(model=model)
    state = fresh((), init)
    finetune.apply_pretrained(state, init, record_of(()))
    wide = {"mlp": "layers.0.weight", "conv": "project.weight", "resnet": "scale.weight"}[model]
    assert torch.equal(state.G.state_dict()[wide], init.G.state_dict()[wide][:, :6])
    assert everything(state) - taken(state, init) == {f"G.{wide}"} | ({"D.out.weight"} if model == "resnet" else set())


def followed(
    init: finetune.PretrainedNetworks, *, has_own_size: bool = False, **flags: Any
) -> tuple[TrainConfig, dict[str, str]]:
    _, config, sources = presets.resolve_config("quick", flags=flags)
    return finetune.adopt_pretrained_settings(config, sources, init, has_own_size=has_own_size)


def test_the_networks_follow_the_model_and_the_record_notes_it() -> None:
    config, sources = followed(trained(model="resnet", spectral=True), lr=0.01)
    assert (config.model, config.z_dim, config.g_width, config.d_width) == ("resnet", 6, 8, 8)
    assert config.spectral_norm and (config.resolution, config.channels) == (12, "1")
    names = {"model", "z_dim", "g_width", "d_width", "spectral_norm", "resolution", "channels"}
    assert {name for name, where in sources.items() if where == "init"} == names
    assert (config.lr, sources["lr"], sources["gamma"]) == (0.01, "flag", "preset quick")


def test_images_with_their_own_size_keep_it() -> None:
    config, sources = followed(trained(), has_own_size=True)
    assert (config.resolution, config.channels) == (0, "auto") and sources["resolution"] == "preset quick"


def test_a_new_d_may_differ_from_the_models_d() -> None:
    config, sources = followed(trained(with_D=False), d_width=32, spectral_norm=True)
    assert (config.d_width, config.spectral_norm, sources["d_width"]) == (32, True, "flag")
    assert followed(trained(with_D=False))[0].d_width == 8


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"model": "mlp"}, "--model mlp differs from the conv of runs/old; remove --model"),
        ({"z_dim": 7}, "--z-dim 7 differs from the 6 of runs/old; remove --z-dim"),
        ({"g_width": 16}, "--g-width 16 differs from the 8 of runs/old"),
        (
            {"d_width": 16},
            "--d-width 16 differs from the 8 of runs/old; remove --d-width, or start from the run's model",
        ),
        ({"spectral_norm": True}, "--spectral-norm True differs from the False of runs/old"),
        ({"resolution": 16}, "--resolution 16 differs from the 12 of runs/old"),
        ({"channels": "3"}, "--channels 3 differs from the 1 of runs/old"),
    ],
    ids=lambda value: "".join(value) if isinstance(value, dict) else "",
)
def test_networks_that_differ_from_the_models_are_refused(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        followed(trained(), **flags)


def test_settings_of_the_model_may_be_repeated() -> None:
    same = {"z_dim": 6, "spectral_norm": False, "resolution": 12, "channels": "1"}
    _, sources = followed(trained(), **same)
    assert {sources[name] for name in same} == {"flag"}
    config, sources = followed(trained(), resolution=0, channels="auto")
    assert (config.resolution, config.channels, sources["channels"]) == (12, "1", "init")


@pytest.mark.parametrize(
    ("then", "now", "remade", "new_classes", "said"),
    [
        (NAMES, NAMES, [], [], "animals"),
        ((), (), [], [], "animals"),
        (NAMES, ("dog",), [], [], "animals"),
        (NAMES, ("a", "b"), ["class embeddings"], [], "animals; the classes differ, so their embeddings are new"),
        (NAMES, ("cat", "bee"), [], ["bee"], "animals; new embeddings for new classes: bee"),
        (
            NAMES,
            ("cat", "weights", "embeddings"),
            [],
            ["weights", "embeddings"],
            "animals; new embeddings for new classes",
        ),
        (NAMES, (), ["class weights"], [], "animals; only one of the two has classes or clusters, so the weights that"),
        ((), NAMES, ["class weights"], [], "animals; only one of the two has classes or clusters, so the weights that"),
    ],
)
def test_the_record_and_the_message_list_the_new_weights(
    then: tuple[str, ...], now: tuple[str, ...], remade: list[str], new_classes: list[str], said: str
) -> None:
    found = finetune.build_init_entry(trained(then), record_of(now))
    source = {"source": "runs/old", "path": "/x/runs/old", "sha256": "ab", "nimg": 1500, "data": "animals"}
    assert found == InitEntry(**source, remade=tuple(remade), new_classes=tuple(new_classes))
    assert finetune.describe_init(found).startswith(f"runs/old, 1.5 kimg on {said}")
    bare = finetune.build_init_entry(trained(then, with_D=False), record_of(now))
    assert (bare.remade, bare.new_classes) == (("D", *remade), tuple(new_classes))
    assert "; D is new, because a model file holds only G" in finetune.describe_init(bare)


@pytest.mark.parametrize("data", [{"resolution": 16}, {"channels": 3}], ids=str)
def test_images_of_another_size_are_refused_with_a_fix(data: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="--resolution 12 --channels 1"):
        finetune.build_init_entry(trained(), record_of(NAMES, **data))


def test_a_size_that_comes_from_a_preset_is_reported_with_the_preset() -> None:
    record = record_of(NAMES, resolution=32)
    sources = record.sources | {"resolution": "preset r3gan-32"}
    record = replace(record, train=dataclasses.replace(record.train, resolution=32), sources=sources)
    with pytest.raises(ConfigError, match=r"32x32 .*r3gan-32.*12x12"):
        finetune.build_init_entry(trained(), record)


def begin(outdir: Path, folder: Path, init: Path | None = None, **settings: Any) -> Trainer:
    """A new run, made as the command makes it."""
    name, config, sources = presets.resolve_config("quick", {"data": str(folder), **FEW, **settings})
    found = None if init is None else finetune.load_pretrained(init, outdir)
    if found:
        config, sources = finetune.adopt_pretrained_settings(config, sources, found, has_own_size=True)
    images = load.load_dataset(config.data)
    record = run_config.build_run_config(name, config, sources, images)
    if found:
        record = replace(record, init=finetune.build_init_entry(found, record))
    return Trainer(RunDir.create(outdir, name), record, images, init=found)


def finish(trainer: Trainer, stop_at: int | None = None) -> Trainer:
    for event in trainer.run():
        if stop_at is not None and isinstance(event, events.Measured) and event.nimg >= stop_at:
            trainer.stop()
    return trainer


def resume(run: RunDir) -> Trainer:
    record = read_run_config(run.config)
    return Trainer.resume(run, record, load.load_dataset(record.data.source))


@pytest.mark.parametrize("networks", [{}, {"model": "resnet", "spectral_norm": True}], ids=["conv", "resnet"])
def test_a_new_run_takes_the_averaged_g_and_d_and_starts_at_image_0(
    tmp_path: Path, tiny_idx: Path, networks: dict[str, Any]
) -> None:
    old = finish(begin(tmp_path, tiny_idx, **networks))
    path = old.run_dir.checkpoints()[0]
    new = begin(tmp_path, tiny_idx, Path(old.run_dir.path.name), seed=5, kimg=0.2)
    for ours, theirs in (
        (new.state.G, old.state.G_ema),
        (new.state.G_ema, old.state.G_ema),
        (new.state.D, old.state.D),
    ):
        for weight, other in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
            assert torch.equal(weight, other)
    assert to_json(new.record)["init"] == {
        "source": old.run_dir.path.name,
        "path": str(old.run_dir.path),
        "sha256": tensor_file.read_tensor_header("checkpoint", path)["sha256"],
        "nimg": 400,
        "data": "tiny",
        "remade": [],
        "new_classes": [],
    }
    finish(new)
    assert new.state.nimg == 200 and new.total_nimg == 200
    assert new.run_dir.frame(0).read_bytes() == old.run_dir.frame(400).read_bytes()
    (first, *_) = read_jsonl(new.run_dir.events)
    assert (first["event"], first["text"]) == ("start", f"starting from {finetune.describe_init(new.record.init)}")
    assert read_run_config(new.run_dir.config).init == new.record.init


@pytest.mark.parametrize("name", ["", "model.safetensors"], ids=["run", "model"])
def test_resumed_fine_tuning_equals_the_uninterrupted_run_and_needs_no_source(
    tmp_path: Path, tiny_idx: Path, name: str
) -> None:
    old = finish(begin(tmp_path, tiny_idx, kimg=0.2))
    source = old.run_dir.path / name
    whole = finish(begin(tmp_path / "a", tiny_idx, source, seed=3))
    parts = begin(tmp_path / "b", tiny_idx, source, seed=3)
    shutil.rmtree(old.run_dir.path)
    for event in parts.run():
        assert isinstance(event, events.RunStarted)  # killed before its first step
        break
    parts = finish(resume(parts.run_dir), 100)
    assert 100 <= parts.state.nimg < 400
    again = finish(resume(parts.run_dir))
    (one, _), (other, _) = (checkpoint.read_newest_checkpoint(run.run_dir) for run in (whole, again))
    assert one.tensors.keys() == other.tensors.keys() and len(one.tensors) > 30
    assert all(torch.equal(tensor, other.tensors[key]) for key, tensor in one.tensors.items())
    assert one.record.init == other.record.init and one.meta.nimg == 400
    assert [p.name for p in whole.run_dir.frame_paths()] == [p.name for p in again.run_dir.frame_paths()]


def test_a_damaged_newest_checkpoint_is_kept_and_the_previous_one_used(tmp_path: Path, tiny_idx: Path) -> None:
    run = finish(begin(tmp_path, tiny_idx)).run_dir
    newest, _ = run.checkpoints()
    newest.write_bytes(newest.read_bytes()[:-100])
    found = finetune.load_pretrained(run.path, tmp_path)
    assert found.nimg == 200 and newest.exists()
    (note,) = found.notes
    assert newest.name in note and "starting from the checkpoint before it" in note
    for path in run.checkpoints():
        path.write_bytes(b"")
    with pytest.raises(RunError, match=r"no checkpoint .*--init .*model\.safetensors"):
        finetune.load_pretrained(run.path, tmp_path)


def test_files_without_a_model_are_refused(tmp_path: Path, tiny_idx: Path) -> None:
    run = finish(begin(tmp_path, tiny_idx, kimg=0.1)).run_dir
    with pytest.raises(FileFormatError, match="checkpoint, not a model"):
        finetune.load_pretrained(run.checkpoints()[0], tmp_path)
    with pytest.raises(DamagedFileError, match="damaged"):
        finetune.load_pretrained(run.samples, tmp_path)
    with pytest.raises(RunError, match="none"):
        finetune.load_pretrained(Path("none"), tmp_path)
    with pytest.raises(RunError, match="is not a run folder"):
        finetune.load_pretrained(tiny_idx, tmp_path)


def edit(values: Any, *place: str, to: Any) -> None:
    for key in place[:-1]:
        values = values[key]
    values[place[-1]] = to


def do_nothing(meta: dict[str, Any]) -> None:
    pass


CANNOT_BE_BUILT = "holds networks that this gancli cannot build: .*does not hold a valid run config"
DO_NOT_FIT = "holds weights that do not fit the model it describes"
NO_COUNT = "holds an invalid number of images seen"
FOREIGN: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no record": (lambda meta: meta.pop("record"), "does not fit the run it belongs to: .*record"),
    "no settings": (lambda meta: meta["record"].pop("train"), CANNOT_BE_BUILT),
    "unknown setting": (lambda meta: edit(meta, "record", "train", "colour", to="red"), CANNOT_BE_BUILT),
    "data in a list": (lambda meta: edit(meta, "record", "data", to=[]), CANNOT_BE_BUILT),
    "other width": (lambda meta: edit(meta, "record", "train", "g_width", to=16), DO_NOT_FIT),
    "other norm": (lambda meta: edit(meta, "record", "train", "spectral_norm", to=True), DO_NOT_FIT),
    "infinite nimg": (lambda meta: edit(meta, "nimg", to=float("inf")), NO_COUNT),
    "huge nimg": (lambda meta: edit(meta, "nimg", to=10**400), NO_COUNT),
    "nimg below 0": (lambda meta: edit(meta, "nimg", to=-5), NO_COUNT),
    "nimg as text": (lambda meta: edit(meta, "nimg", to="100"), NO_COUNT),
    "names no list": (lambda meta: edit(meta, "record", "data", "class_names", to="abcd"), CANNOT_BE_BUILT),
    "names no texts": (lambda meta: edit(meta, "record", "data", "class_names", to=[["a"], {}, "b"]), CANNOT_BE_BUILT),
    "a name twice": (
        lambda meta: edit(meta, "record", "data", "class_names", to=["a", "a", "b"]),
        "holds class names that repeat",
    ),
    "name of data": (lambda meta: edit(meta, "record", "data", "name", to=["tiny"]), CANNOT_BE_BUILT),
    "clusters": (lambda meta: edit(meta, "record", "data", "clusters", to=[1]), CANNOT_BE_BUILT),
}


@pytest.fixture
def stranger(tmp_path: Path) -> Callable[..., Path]:
    """A run folder with one checkpoint of an untrained state, altered, with a correct digest."""

    def made(change_meta: Callable[[dict[str, Any]], object], change: Callable[[Tensor], Tensor] = torch.clone) -> Path:
        record = record_values(NAMES)
        path = RunDir(tmp_path).checkpoint(100)
        checkpoint.save_checkpoint(path, fresh(NAMES, trained(), kimg=1.0), record_of(NAMES), 0.0)
        tensors, meta, _ = tensor_file.unpack_tensors("checkpoint", path)
        meta |= {"record": record, "nimg": 100}
        change_meta(meta)
        changed = {name: change(tensor) for name, tensor in tensors.items()}
        path.write_bytes(tensor_file.pack_tensors("checkpoint", changed, meta))
        (tmp_path / "config.json").write_text("{}")
        return tmp_path

    return made


@pytest.mark.parametrize("case", FOREIGN)
def test_an_inconsistent_checkpoint_is_refused(stranger: Callable[..., Path], case: str) -> None:
    damage, message = FOREIGN[case]
    with pytest.raises(FileFormatError, match=rf"checkpoint-000000100\.safetensors {message}"):
        finetune.load_pretrained(stranger(damage), Path())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensor: tensor.fill_(float("nan")), "holds weights that are not finite"),
        (lambda tensor: tensor.fill_(float("inf")), "holds weights that are not finite"),
        (lambda tensor: tensor.half(), DO_NOT_FIT),
        (lambda tensor: tensor.to(torch.int8), DO_NOT_FIT),
        (lambda tensor: tensor.to(torch.complex64), DO_NOT_FIT),
        (lambda tensor: tensor.to(torch.float8_e4m3fn), DO_NOT_FIT),
        (lambda tensor: tensor[None], DO_NOT_FIT),
    ],
    ids=["nan", "inf", "float16", "int8", "complex64", "float8", "shape"],
)
def test_unknown_weights_are_refused(
    stranger: Callable[..., Path], change: Callable[[Tensor], Tensor], message: str
) -> None:
    assert finetune.load_pretrained(stranger(do_nothing), Path()).nimg == 100
    with pytest.raises(FileFormatError, match=message):
        finetune.load_pretrained(stranger(do_nothing, change), Path())


class Largest(TorchDispatchMode):
    """Records the size of the largest allocated tensor that an operation returns."""

    numel = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        made = [one for one in (out if isinstance(out, tuple | list) else [out]) if isinstance(one, Tensor)]
        self.numel = max([self.numel, *(one.numel() for one in made if not one.is_meta)])
        return out


def test_weights_are_checked_before_memory_for_the_stated_network_is_allocated(
    stranger: Callable[..., Path],
) -> None:
    size = {"g_width": 256, "d_width": 256, "spectral_norm": True}
    run = stranger(lambda meta: meta["record"]["train"].update(size))
    with Largest() as largest, pytest.raises(FileFormatError, match=DO_NOT_FIT):
        finetune.load_pretrained(run, Path())
    assert 0 < largest.numel < 20_000


def test_a_checkpoint_is_read_once_and_may_be_deleted_afterwards(
    tmp_path: Path, tiny_idx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finish(begin(tmp_path, tiny_idx)).run_dir
    digest, unpack = (
        tensor_file.read_tensor_header("checkpoint", run.checkpoints()[0])["sha256"],
        tensor_file.unpack_tensors,
    )

    def then_dropped(kind: str, path: Path) -> tuple[dict[str, Tensor], dict[str, Any], str]:
        found = unpack(kind, path)
        path.unlink()
        return found

    monkeypatch.setattr(tensor_file, "unpack_tensors", then_dropped)
    found = finetune.load_pretrained(run.path, tmp_path)
    assert (found.sha256, found.nimg, found.notes) == (digest, 400, ())


def test_if_a_checkpoint_is_deleted_before_it_is_read_a_newer_one_is_used(
    tmp_path: Path, tiny_idx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finish(begin(tmp_path, tiny_idx)).run_dir
    listed, unpack = run.checkpoints(), tensor_file.unpack_tensors

    def late(kind: str, path: Path) -> tuple[dict[str, Tensor], dict[str, Any], str]:
        for n, old in enumerate(listed):
            if old.exists():
                nimg = 600 + 200 * n
                tensors, meta, _ = unpack(kind, old)
                run.checkpoint(nimg).write_bytes(tensor_file.pack_tensors(kind, tensors, {**meta, "nimg": nimg}))
                old.unlink()
        return unpack(kind, path)

    monkeypatch.setattr(tensor_file, "unpack_tensors", late)
    found, faults = checkpoint.read_newest_checkpoint(run)
    assert found.path == run.checkpoint(800) and faults == []


def test_a_listed_but_missing_checkpoint_is_refused(tmp_path: Path, tiny_idx: Path) -> None:
    run = finish(begin(tmp_path, tiny_idx, kimg=0.1)).run_dir
    run.checkpoint(900).symlink_to("gone")
    with pytest.raises(FileFormatError, match=r"no file .*checkpoint-000000900"):
        finetune.load_pretrained(run.path, tmp_path)


@pytest.mark.parametrize("nimg", [float("inf"), 10**400, -5], ids=["inf", "huge", "below 0"])
def test_an_impossible_number_of_images_is_not_resumed_from(tmp_path: Path, tiny_idx: Path, nimg: float) -> None:
    run = finish(begin(tmp_path, tiny_idx, kimg=0.1)).run_dir
    path = run.checkpoints()[0]
    tensors, meta, _ = tensor_file.unpack_tensors("checkpoint", path)
    path.write_bytes(tensor_file.pack_tensors("checkpoint", tensors, {**meta, "nimg": nimg}))
    with pytest.raises(FileFormatError, match=NO_COUNT):
        resume(run)
