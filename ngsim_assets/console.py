"""What the command line says and how: tables for people, JSON for machines, one-line errors.

Results go to standard output; progress, notes and errors go to standard error, so that a pipe
carries results only.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from ngsim_assets.errors import NgsimAssetsError

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def print_json(value: object) -> None:
    """`value` as one JSON document on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, default=str, ensure_ascii=False) + "\n")


def print_table(title: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Rows of equal keys as a table; numbers to the right, thousands separated."""
    if not rows:
        out.print(f"{title}: none", markup=False)
        return
    table = Table(title=title, title_justify="left", title_style="bold")
    first = next(iter(rows[0]))
    for name, value in rows[0].items():
        table.add_column(
            name,
            justify="right" if _is_number(value) else "left",
            overflow="fold",
            no_wrap=name == first,
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


@contextmanager
def file_progress() -> Iterator[Progress]:
    """A progress display for bytes of files: rate, share, time left."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    ) as progress:
        yield progress


@contextmanager
def step_progress() -> Iterator[Progress]:
    """A progress display for steps of unknown length: what is being done, how far, how long."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    ) as progress:
        yield progress


@contextmanager
def working(description: str) -> Iterator[None]:
    """A spinner with the time spent, for work whose end cannot be told."""
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    ) as progress:
        progress.add_task(description, total=None)
        yield


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
