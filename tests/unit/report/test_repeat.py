import pytest

from gancli.report.repeat import command

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
            "torchrun --nproc-per-node=3 -m gancli train --threads 2 --precision bf16",
        ),
        (
            {"train": {"threads": 4}, "sources": {"threads": "flag"}, "machine": {"threads": 2}},
            "gancli train --threads 4",
        ),
    ],
)  # fmt: skip
def test_the_command_says_what_was_asked_for_and_what_a_trial_chose(record, expected):
    assert command(record) == expected
