"""What the command line says and how: tables for people, JSON for machines, one-line errors.

Results go to standard output; progress, notes and errors go to standard error, so that a pipe
carries results only. Where a log for machines is wanted (observability/logs.py), notes and errors
are handed to it in place of being printed.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
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
from rich.table import Column, Table
from rich.text import Text

from ngsim_assets.errors import NgsimAssetsError

# a pipe has no width, and what reads there need not be spared long lines
out = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
err = Console(stderr=True, highlight=False)

Teller = Callable[[str, BaseException | None, bool], None]
"""Gets a line, the error it is about, and whether its traceback is asked for."""

_teller: Teller | None = None

_WORD = 24
"""Characters of a word that is not folded: a partition key, a date."""

_PIECE = 5
"""Characters of a heading that are kept together at least."""

_BETWEEN = 2
"""Characters from one column to the next; half of them stand at either edge."""


def print_json(value: object) -> None:
    """`value` as one JSON document on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, default=str, ensure_ascii=False) + "\n")


def print_table(title: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Rows of equal keys as a table; numbers to the right, thousands separated.

    Columns that say nothing in any row are left out. Headings and texts fold; where keys and
    numbers alone are wider than the terminal each row is a list of its values.
    """
    if not rows:
        out.print(f"{title}: none", markup=False)
        return
    cells = _cells(rows)
    table = _table(cells, rows, out.width)
    if table is None:
        _print_lists(title, cells)
        return
    out.print(title, style="bold", markup=False)  # a title of the table's would fold to its width
    out.print(table)


Shower = Callable[[str, Sequence[Mapping[str, object]]], None]
"""Shows a title and rows of equal keys in place of those before."""


@contextmanager
def moving_table() -> Iterator[Shower | None]:
    """A table that stays in its place and changes, on a terminal; None where nothing moves."""
    if not err.is_terminal or _teller is not None:
        yield None
        return
    with Live(console=err, transient=True, auto_refresh=False) as live:

        def show(title: str, rows: Sequence[Mapping[str, object]]) -> None:
            cells = _cells(rows) if rows else {}
            table = _table(cells, rows, err.width) if rows else None
            parts = [Text(title, style="bold"), *([table] if table is not None else [])]
            live.update(Group(*parts), refresh=True)

        yield show


def _cells(rows: Sequence[Mapping[str, object]]) -> dict[str, list[str]]:
    """Texts by column, without columns that say nothing in any row."""
    return {
        name: [_shown(row[name]) for row in rows]
        for place, name in enumerate(rows[0])
        if place == 0 or any(row[name] not in (None, "") for row in rows)
    }


def _table(
    cells: Mapping[str, Sequence[str]], rows: Sequence[Mapping[str, object]], available: int
) -> Table | None:
    """The table of `cells` within `available`, None if whole keys and numbers do not fit."""
    numbers = {name: any(_is_number(row[name]) for row in rows) for name in cells}
    widths = _widths(cells, numbers, available)
    if widths is None:
        return None
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for name, width in zip(cells, widths, strict=True):
        justify = "right" if numbers[name] else "left"
        table.add_column(name, justify=justify, overflow="fold", width=width)
    for values in zip(*cells.values(), strict=True):
        table.add_row(*map(escape, values))
    return table


def _widths(
    cells: Mapping[str, Sequence[str]], numbers: Mapping[str, bool], available: int
) -> list[int] | None:
    """Width of each column within `available`, None if whole keys and numbers do not fit.

    Long texts and headings fold between words first, then headings within words.
    """
    spare = available - _BETWEEN * len(cells)
    longest = [max(map(len, values)) for values in cells.values()]
    texts = [
        longest[place] if place == 0 or numbers[name] else min(_longest_word(values), _WORD)
        for place, (name, values) in enumerate(cells.items())
    ]
    words = [_longest_word([name]) for name in cells]
    widths = [max(size, len(name)) for size, name in zip(longest, cells, strict=True)]
    for heading in (words, [min(size, _PIECE) for size in words]):
        least = [max(pair) for pair in zip(texts, heading, strict=True)]
        while sum(widths) > spare and widths != least:
            above = [size if size > low else 0 for size, low in zip(widths, least, strict=True)]
            widths[above.index(max(above))] -= 1
        if sum(widths) <= spare:
            return widths
    return None


def _longest_word(texts: Iterable[str]) -> int:
    return max((len(word) for text in texts for word in text.split()), default=0)


def _print_lists(title: str, cells: Mapping[str, Sequence[str]]) -> None:
    out.print(f"{title}\n", style="bold", markup=False)
    for values in zip(*cells.values(), strict=True):
        for place, (name, value) in enumerate(zip(cells, values, strict=True)):
            if value:
                told = value if place == 0 else f"  {name}: {value}"
                out.print(told, markup=False, soft_wrap=True)
    out.print()


def tell_through(teller: Teller | None) -> None:
    """Hand notes and errors to `teller`, and show no progress; None: print them (again)."""
    global _teller  # noqa: PLW0603 - as `out` and `err`, one for the process
    _teller = teller


def note(message: str) -> None:
    """One line for people, out of the way of results."""
    if _teller is not None:
        _teller(message, None, False)
        return
    err.print(message, markup=False, soft_wrap=True)


def fail(error: BaseException, *, debug: bool) -> int:
    """Print `error` as one line (with traceback if `debug`); the exit code to leave with."""
    ours = isinstance(error, NgsimAssetsError)
    hint = "" if ours or debug else " (unexpected; run again with --debug for the traceback)"
    told = f"{error}" if ours else f"{type(error).__name__}: {error}{hint}"
    code = error.exit_code if isinstance(error, NgsimAssetsError) else 1
    if _teller is not None:
        _teller(told, error, debug)
        return code
    if debug:
        traceback.print_exception(error)
    err.print(f"error: {told}", style="red", markup=False, soft_wrap=True)
    return code


def misused(error: BaseException, show: Callable[[], object]) -> int:
    """Say that a command was used wrongly, by `show`ing its usage to people; the exit code."""
    if _teller is not None:
        told = getattr(error, "format_message", lambda: str(error))()
        _teller(told, error, False)
    else:
        show()
    return 2


def file_progress() -> Progress:
    """A progress display for bytes of files: rate, share, time left."""
    # figures that are cut tell nothing: on a narrow terminal the name gives way
    figures = (DownloadColumn, TransferSpeedColumn, TimeRemainingColumn)
    return _progress(
        BarColumn(), *(figure(table_column=Column(no_wrap=True)) for figure in figures)
    )


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
        disable=not err.is_terminal or _teller is not None,
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
