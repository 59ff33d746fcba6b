import pytest

from gancli.report.repeat import repeat_caveats, repeat_command

DATA = {"name": "tiny", "source": "/my data/tiny"}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({}, "gancli train"),
        ({"preset": 3, "train": 4, "machine": {"threads": [1]}, "data": {"source": None}}, "gancli train"),
        ({"preset": "quick", "data": DATA}, "gancli train --preset quick --data '/my data/tiny'"),
        (
            {"train": {"lr": 1e-05, "ada": False, "conditional": False, "share_latents": True, "odd": 1},
             "sources": dict.fromkeys(("lr", "ada", "conditional", "share_latents", "odd"), "flag")},
            "gancli train --unconditional --no-ada --lr 1e-05 --share-latents",
        ),
        ({"train": {"seed": 1, "lr": 2}, "sources": {"seed": "file", "lr": "rule"}}, "gancli train --seed 1"),
        (
            {"train": {"kimg": 5.0, "epochs": 0.0}, "sources": {"kimg": "flag", "epochs": "flag"},
             "plan": {"total_nimg": 5000}},
            "gancli train --kimg 5",
        ),
        (
            {"train": {"time_budget": 60.0}, "sources": {"time_budget": "preset quick"},
             "plan": {"total_nimg": 147_504}},
            "gancli train --kimg 147.504",
        ),
        ({"train": {"time_budget": 60.0}, "sources": {"time_budget": "flag"}}, "gancli train --time-budget 60"),
        ({"init": {"source": "old"}, "data": DATA}, "gancli train --data '/my data/tiny' --init old"),
        (
            {"machine": {"threads": 2, "precision": "bf16", "processes": 3}},
            "torchrun --standalone --nproc-per-node=3 -m gancli -- train --threads 2 --precision bf16",
        ),
        (
            {"train": {"threads": 4}, "sources": {"threads": "flag"}, "machine": {"threads": 2}},
            "gancli train --threads 4",
        ),
        (
            {"train": {"threads": "auto", "precision": "auto", "lr": 1 / 3},
             "sources": dict.fromkeys(("threads", "precision", "lr"), "flag"),
             "machine": {"threads": 2, "precision": "float32"}},
            "gancli train --lr 0.3333333333333333 --threads 2 --precision float32",
        ),
        ({"init": {"source": "old", "path": "/runs/old"}}, "gancli train --init /runs/old"),
        ({"machine": {"processes": 10**400, "threads": 1}}, "gancli train --threads 1"),
    ],
)  # fmt: skip
def test_the_command_has_the_given_flags_and_the_settings_from_the_trial(record, expected):
    assert repeat_command(record) == expected


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"train": {"kimg": 5.0, "time_budget": 0.0}, "plan": {"total_nimg": 5000}}, []),
        ({"train": {"time_budget": 60.0}, "plan": {"total_nimg": 5000}}, ["The run had a time budget"]),
        ({"plan": {"total_nimg": 9000, "earlier": [2500, None]}}, ["The run was first planned for 2.5 kimg, a time"]),
        (
            {"train": {"ema_ramp": 0.5, "tick_kimg": 4.0, "lr": 1.0},
             "sources": {"ema_ramp": "file", "tick_kimg": "preset quick", "lr": "file"}},
            ["Settings without a flag go into a file for --config FILE.toml: ema_ramp = 0.5."],
        ),
        ({"init": {"source": "old", "sha256": "ab" * 32}}, ["The run started from the networks with sha256 abababab"]),
        ({"plan": {"earlier": 3}, "train": [], "init": "x"}, []),
        ({"plan": {"earlier": [10**400, 10**400]}}, ["The run was first planned for a time budget, a time"]),
    ],
)  # fmt: skip
def test_settings_outside_the_command_are_listed_next_to_it(record, said):
    found = repeat_caveats(record)
    assert len(found) == len(said)
    for line, start in zip(found, said, strict=True):
        assert line.startswith(start)
