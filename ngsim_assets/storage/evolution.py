"""A table as the lake has it beside the table as the model has it: what differs, what follows.

Belongs here: columns of a version, and the decision what reads, what writes and what a migration
would have to do, as plain values. Does not belong here: the log (delta.py), any row.

What can be read without changing a value is read: a column the lake has not yet (null), one it
has beyond the model (left out), one declared as renamed, one of a narrower type. Everything else
is refused. What a write may add to the table without touching its files is added: columns, and a
finer resolution. Everything else takes a migration (migration.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import polars as pl

from ngsim_assets.storage.schema import Column, Table

Action = Literal[
    "keep",
    "add",
    "add again",
    "refine",
    "coarsen",
    "rename",
    "widen",
    "convert",
    "drop",
    "refuse",
]

_WRITES: tuple[Action, ...] = ("keep", "add", "refine")
_READS: tuple[Action, ...] = (*_WRITES, "coarsen", "rename", "widen", "drop")


@dataclass(frozen=True)
class StoredColumn:
    """A column as one version of a table has it.

    Attributes:
        unit, resolution: as in `Column`; both None where the version does not tell, which
            `is_described` says: tables made by earlier releases do not.
    """

    dtype: pl.DataType
    unit: str | None = None
    resolution: float | None = None
    is_described: bool = False

    def is_kept_by(self, later: StoredColumn) -> bool:
        """Whether values of this column are, as they are, values of a later form of it."""
        if self.dtype != later.dtype:
            return False
        if not (self.is_described and later.is_described):
            return True
        return self.unit == later.unit and _is_finer(later.resolution, self.resolution)


@dataclass(frozen=True)
class StoredColumns:
    """Every column of one version of a table, in its order, and its Hive columns."""

    columns: Mapping[str, StoredColumn]
    partition_by: tuple[str, ...]

    @property
    def schema(self) -> pl.Schema:
        """Names and logical types."""
        return pl.Schema({name: column.dtype for name, column in self.columns.items()})


@dataclass(frozen=True)
class Step:
    """What becomes of one column on its way from the lake to the model.

    Attributes:
        column: its name in the model, or in the lake if the model has none such.
        action: keep; add (null in rows there are); add again (a migration took it away); refine
            (same values, finer resolution); coarsen (each value is checked to be on the coarser
            grid); rename; widen (every value fits); convert (each value is checked to survive
            the way there and back); drop; refuse.
        before, after: the column in the lake and in the model, in words; empty where absent.
        why: one line for people.
        source: name of the lake's column the values come from, empty if there is none.
    """

    column: str
    action: Action
    before: str
    after: str
    why: str
    source: str = ""

    @property
    def reads(self) -> bool:
        """Whether the lake's column can be read as the model's without changing a value."""
        return self.action in _READS

    @property
    def writes(self) -> bool:
        """Whether rows of the model can be written beside those there are."""
        return self.action in _WRITES

    def record(self) -> dict[str, str]:
        """As it is put on record."""
        return asdict(self)

    def fault(self) -> str:
        """The difference as part of an error's message."""
        if not self.after:
            return f"column {self.column} is in the lake only ({self.before})"
        if not self.before:
            return f"column {self.column} ({self.after}): {self.why}"
        named = f" (there {self.source})" if self.source not in {"", self.column} else ""
        return (
            f"column {self.column}{named} is {self.before} in the lake, {self.after} in the model"
        )


def compare(
    table: Table, stored: StoredColumns, past: Sequence[Mapping[str, str]] = ()
) -> list[Step]:
    """A step for every column of the model, in its order, then for those only the lake has.

    `past` are the steps of the table's migrations, newest first: they tell a column that the
    lake lost from one that it never had.
    """
    steps = [_step(table, name, column, stored, past) for name, column in table.columns.items()]
    used = {step.source for step in steps}
    return steps + [
        Step(
            name,
            "drop",
            described(column),
            "",
            "the model has no such column; its values go, but for those of old versions",
            name,
        )
        for name, column in stored.columns.items()
        if name not in used
    ]


def folder_fault(table: Table, stored: StoredColumns) -> str:
    """How the lake's folders differ from the model's, empty if they do not."""
    if stored.partition_by == table.partition_by:
        return ""
    lake, model = (
        ", ".join(names) or "nothing" for names in (stored.partition_by, table.partition_by)
    )
    return f"the lake is partitioned by {lake}, the model by {model}"


def widens(have: pl.DataType, want: pl.DataType) -> bool:
    """Whether every value of `have` is, unchanged, a value of the larger type `want`."""
    if isinstance(have, pl.Decimal) and isinstance(want, pl.Decimal):
        digits = (have.precision or 38) - have.scale, (want.precision or 38) - want.scale
        return want.scale >= have.scale and digits[1] >= digits[0]
    if isinstance(have, pl.List) and isinstance(want, pl.List):
        return widens(_inner(have), _inner(want))
    return (have, want) in {(pl.Int32(), pl.Int64()), (pl.Float32(), pl.Float64())}


def described(column: StoredColumn | Column) -> str:
    """A column in words: type, unit and resolution."""
    words = [str(column.dtype)]
    if column.unit:
        words.append(column.unit)
    if column.resolution:
        words.append(f"in steps of {column.resolution:.4g}")
    return " ".join(words)


@dataclass(frozen=True)
class Picked:
    """A column as it is read: its name and type there, and the lake's column it comes from."""

    name: str
    source: str
    dtype: pl.DataType


@dataclass(frozen=True)
class View:
    """The columns that a version of a table is read in, in their order."""

    stored: StoredColumns
    columns: tuple[Picked, ...]

    @property
    def schema(self) -> pl.Schema:
        """Names and types as they are read."""
        return pl.Schema({column.name: column.dtype for column in self.columns})


def view_of(table: Table, stored: StoredColumns, steps: Sequence[Step]) -> View:
    """The model's columns in its types, whatever of them cannot be read left out."""
    return View(
        stored,
        tuple(
            Picked(step.column, step.source, table.schema[step.column])
            for step in steps
            if step.after and step.reads
        ),
    )


def view_as_it_was(table: Table, stored: StoredColumns, steps: Sequence[Step]) -> View:
    """Every column of the version, none with another value than it had.

    First the model's, in its types: null where the version had none such. A column that the
    model has in a form its values would have to change for has the name and type it had; those
    the model has no more come last.
    """
    columns = [
        Picked(step.column, step.source, table.schema[step.column])
        if step.after and (step.reads or not step.source)
        else Picked(step.source, step.source, stored.columns[step.source].dtype)
        for step in steps
    ]
    return View(stored, tuple(columns))


def unreadable(steps: Sequence[Step], names: Collection[str]) -> list[str]:
    """Why some of the model's columns cannot be read from the lake as they are."""
    return [step.fault() for step in steps if step.column in names and not step.reads]


def unwritable(table: Table, stored: StoredColumns, steps: Sequence[Step]) -> list[str]:
    """Why rows of the model cannot be written into the table as it is."""
    folders = folder_fault(table, stored)
    return [step.fault() for step in steps if not step.writes] + ([folders] if folders else [])


def _step(
    table: Table,
    name: str,
    column: Column,
    stored: StoredColumns,
    past: Sequence[Mapping[str, str]],
) -> Step:
    after = described(column)
    source = name
    if name not in stored.columns and table.renamed.get(name, "") in stored.columns:
        source = table.renamed[name]
    if source not in stored.columns:
        lost = _lost(name, past)
        if lost:
            return Step(name, "add again", "", after, lost)
        return Step(name, "add", "", after, "new: null in the rows there are")
    found = stored.columns[source]
    action, why = _change(found, column)
    if source != name and action in _WRITES:
        action, why = "rename", f"{source} in the lake; {why}"
    return Step(name, action, described(found), after, why, source)


def _change(found: StoredColumn, column: Column) -> tuple[Action, str]:
    """What has to be done to the values of one column."""
    have, want = found.dtype, column.dtype
    if found.is_described and found.unit != column.unit:
        return "refuse", f"{found.unit or 'no unit'} is not {column.unit or 'no unit'}"
    if have == want:
        if not found.is_described or found.resolution == column.resolution:
            return "keep", "the same"
        finer = _is_finer(column.resolution, found.resolution)
        return (
            ("refine", "every value there is a multiple of the finer step, too")
            if finer
            else ("coarsen", "each value has to be a multiple of the model's step")
        )
    if widens(have, want) and _is_finer(column.resolution, found.resolution):
        return "widen", "every value fits the wider type"
    if have.is_numeric() and want.is_numeric():
        return "convert", "each value has to be the same in the model's type"
    return "refuse", f"values of {have} have no one form as {want}"


def _is_finer(step: float | None, than: float | None) -> bool:
    """Whether multiples of `than` are multiples of `step`; no step means any value."""
    if step is None:
        return True
    return than is not None and (than / step).is_integer()


def _inner(dtype: pl.List) -> pl.DataType:
    return pl.Series(dtype=dtype).list.explode().dtype


def _lost(name: str, past: Sequence[Mapping[str, str]]) -> str:
    """How a migration took the column away, empty if none did."""
    for step in past:
        if step["source"] == name and step["action"] == "drop":
            return "a migration dropped it: the code is older than the lake, or has it again"
        if step["source"] == name != step["column"]:
            return (
                f"a migration renamed it to {step['column']}: the code is older than the lake,"
                " or has it again"
            )
        if step["column"] == name:
            break
    return ""
