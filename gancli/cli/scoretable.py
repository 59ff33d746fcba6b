"""Print evaluations as a table: one model with a reading of each score, or several models side by side."""

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gancli.errors import make_printable
from gancli.wording import format_significant

if TYPE_CHECKING:
    from gancli.files.scores import Evaluation, Score

NARROW = 80  # columns; on narrower terminals a reading gets its own line


def print_scores(found: "Sequence[tuple[str, Evaluation]]") -> None:
    out = Console(file=sys.stdout, highlight=False, emoji=False)
    by_name = [evaluation.scores for _, evaluation in found]
    names = [name for name in by_name[0] if any(some[name].value is not None for some in by_name)]
    if len(found) > 1:
        out.print(
            comparison_table([source for source, _ in found], [[some[name] for some in by_name] for name in names])
        )
    elif out.width < NARROW:
        for score in (by_name[0][name] for name in names):
            out.print(f"{score.name} {format_score(score)}{format_floor(score)}", markup=False, soft_wrap=True)
            out.print(f"  {escape_text(score.reading)}")
    else:
        out.print(single_score_table([by_name[0][name] for name in names]))
    for source, evaluation in found if len(found) > 1 else ():
        for line in verdict_lines(evaluation):
            out.print(f"{escape_text(source)}: {escape_text(line)}", soft_wrap=True)
    remarks: dict[str, list[str]] = {}
    for source, evaluation in found:
        for line in remark_lines(evaluation):
            remarks.setdefault(line, []).append(source)
    for line, sources in remarks.items():
        start = "" if len(sources) == len(found) else f"{escape_text(', '.join(sources))}: "
        out.print(start + escape_text(line), soft_wrap=True)
    if len({evaluation.conditions["n_fake"] for _, evaluation in found}) > 1:
        out.print(
            "the image counts differ: compare multiples of the floor, or score equal counts with --n", soft_wrap=True
        )


def single_score_table(scores: "Sequence[Score]") -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("score", "value", "floor"):
        table.add_column(heading, justify="left" if heading == "score" else "right", no_wrap=True)
    table.add_column("reading")
    for score in scores:
        aim = format_significant(score.floor) or "-"
        table.add_row(score.name, format_score(score), aim, escape_text(score.reading))
    return table


def comparison_table(sources: Sequence[str], rows: "Sequence[Sequence[Score]]") -> Table:
    """Return a table that compares several sources.

    If all sources have the same floors, floors get their own column; otherwise each value shows its floor.
    """
    is_shared = all(len({score.floor for score in row if score.value is not None}) == 1 for row in rows)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("score", no_wrap=True)
    for source in sources:
        table.add_column(escape_text(source), justify="right", overflow="fold")
    if is_shared:
        table.add_column("floor", justify="right", no_wrap=True)
    for row in rows:
        cells = [format_score(score) + ("" if is_shared else format_floor(score)) for score in row]
        aim = next(score.floor for score in row if score.value is not None)
        last = [format_significant(aim) or "-"] if is_shared else []
        table.add_row(row[0].name, *cells, *last)
    return table


def format_score(score: "Score") -> str:
    """Format a score with its error: '0.123 ± 0.004'."""
    error = "" if score.error is None else f" ± {format_significant(score.error)}"
    return format_significant(score.value) + error if score.value is not None else "-"


def format_floor(score: "Score") -> str:
    """Return ' (floor 0.1)', or an empty string if there is no floor."""
    return "" if score.value is None or score.floor is None else f" (floor {format_significant(score.floor)})"


def escape_text(text: str) -> str:
    return escape(make_printable(text))


def verdict_lines(evaluation: "Evaluation") -> Iterator[str]:
    """Yield a line with the readings of the first score that has a value and of all scores with an alarm."""
    scores = [score for score in evaluation.scores.values() if score.value is not None]
    chosen = [score for i, score in enumerate(scores) if i == 0 or score.is_alarm]
    if chosen:
        yield "; ".join(f"{score.name}: {score.reading}" for score in chosen)


def remark_lines(evaluation: "Evaluation") -> Iterator[str]:
    """Yield the conditions of the evaluation in words, then the scores that could not be computed."""
    conditions = evaluation.conditions
    n_heldout = f"{conditions['n_heldout']:,} held-out images"
    few = "none are" if not conditions["n_heldout"] else f"only {conditions['n_heldout']:,} are"
    held = f"; floors from {n_heldout}" if conditions["floor"] else f"; no floors, because {few} held out"
    kind = f"{conditions['features']} features"
    kind += " (use them only to compare models on this data)" if conditions["relative"] else ""
    yield (
        f"{conditions['n_fake']:,} generated images compared with {conditions['n_real']:,} training images of "
        f"{conditions['data']}{held}; {kind}, seed {conditions['seed']}"
    )
    absent: dict[str, list[str]] = {}
    for name, score in evaluation.scores.items():
        if score.value is None:
            absent.setdefault(score.reading, []).append(name)
    for reading, names in absent.items():
        yield f"no {', '.join(names)}: {reading}"
