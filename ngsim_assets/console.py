"""What the command line says and how: tables for people, JSON for machines, one-line errors.

Results go to standard output; progress, notes and errors go to standard error, so that a pipe
carries results only.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from ngsim_assets.errors import NgsimAssetsError

# a pipe has no width, and what reads there need not be spared long lines
out = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
err = Console(stderr=True, highlight=False)


def print_json(value: object) -> None:
    """`value` as one JSON document on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, default=str, ensure_ascii=False) + "\n")


def print_table(title: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Rows of equal keys as a table; numbers to the right, thousands separated."""
    if not rows:
        out.print(f"{title}: none", markup=False)
        return
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for place, (name, value) in enumerate(rows[0].items()):
        # keys and numbers stay in one piece; headings and texts may fold
        whole = place == 0 or _is_number(value)
        table.add_column(
            name,
            justify="right" if _is_number(value) else "left",
            overflow="fold",
            min_width=max(len(_shown(row[name])) for row in rows) if whole else None,
        )
    for row in rows:
        table.add_row(*(_shown(value) for value in row.values()))
    out.print(table)


def note(message: str) -> None:
    """One line for people, out of the way of results."""
    err.print(message, markup=False, soft_wrap=True)


def fail(error: BaseException, *, debug: bool) -> int:
    """Print `error` as one line (with traceback if `debug`); the exit code to leave with."""
    if debug:
        traceback.print_exception(error)
    if isinstance(error, NgsimAssetsError):
        err.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        return error.exit_code
    hint = "" if debug else " (unexpected; run again with --debug for the traceback)"
    kind = type(error).__name__
    err.print(f"error: {kind}: {error}{hint}", style="red", markup=False, soft_wrap=True)
    return 1


def file_progress() -> Progress:
    """A progress display for bytes of files: rate, share, time left."""
    return _progress(BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())


def step_progress() -> Progress:
    """A progress display for steps of unknown length: what is being done, how far, how long."""
    return _progress(BarColumn(), TaskProgressColumn(), TimeElapsedColumn())


@contextmanager
def past_capture() -> Iterator[None]:
    """Keep notes, errors and progress on the terminal while runs capture standard error.

    Dagster points the descriptor of standard error at a run's log file for as long as it runs.
    """
    if not err.is_terminal:  # nothing moves there, and notes come between runs
        yield
        return
    with os.fdopen(os.dup(sys.stderr.fileno()), "w", buffering=1) as terminal:
        before, err.file = err.file, terminal
        try:
            yield
        finally:
            err.file = before


@contextmanager
def working(description: str) -> Iterator[None]:
    """A spinner with the time spent, for work whose end cannot be told."""
    with _progress(SpinnerColumn(), TimeElapsedColumn()) as progress:
        progress.add_task(description, total=None)
        yield


def _progress(*columns: ProgressColumn) -> Progress:
    """Shown on a terminal only: a log of an unattended run gets the results, not the way there."""
    return Progress(
        TextColumn("{task.description}"),
        *columns,
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )


def shown_path(path: Path) -> str:
    """`path` relative to the working directory where that is shorter."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)
