"""Run folders like those of training, made without training."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gancli.files.run_folder import RunDir


def make_run(
    parent: Path,
    config: Mapping[str, Any],
    lines: Sequence[Mapping[str, Any]] | None = None,
    events: Sequence[Mapping[str, Any]] | None = None,
    name: str = "quick",
) -> RunDir:
    """A new numbered run below `parent` with its config.json, metrics.jsonl and events.jsonl; None leaves out a log."""
    run = RunDir.create(parent, name)
    run.write_json(run.config, config)
    for path, each in ((run.metrics, lines), (run.events, events)):
        if each is not None:
            path.write_text("".join(json.dumps(line) + "\n" for line in each))
    return run
