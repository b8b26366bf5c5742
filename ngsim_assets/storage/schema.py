"""Tables as Pydantic models: the one place that turns a model into columns.

Belongs here: the facts about a column that its Python type cannot tell (storage type, unit,
resolution) and the reading of them. Does not belong here: any table of any domain, any I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl
from pydantic import BaseModel
from pydantic.fields import FieldInfo


@dataclass(frozen=True, slots=True)
class Column:
    """Storage facts of one field, given as `Annotated[..., Column(...)]`.

    Attributes:
        dtype: logical type of the column in the table.
        unit: unit of the values as a reader sees them, None for codes and names.
        resolution: stored values are multiples of it, in `unit`. Powers of two: such a
            float64 is exact, needs no scale factor to read, and its low mantissa bytes are
            zero, which is what makes it small on disk.
    """

    dtype: pl.DataType
    unit: str | None = None
    resolution: float | None = None


@dataclass(frozen=True)
class Table:
    """One table of the lake: its name, its row model and how it is laid out.

    Attributes:
        name: folder below the lake's root, and the name of the catalog's view.
        model: Pydantic model of a row; every field carries a `Column`.
        partition_by: Hive columns, outermost first.
        identity: the partition columns that name a partition; replacing a partition replaces
            every folder that agrees on them. A subset of `partition_by`.
        sort_by: order of rows inside a partition.
        renamed: columns that had another name before, as `{"new": "old"}`: rows of before are
            read under the new name, and `ngsim migrate` renames the column in the lake.
        rebuilt_by: command that writes a partition again, its columns in braces.
    """

    name: str
    model: type[BaseModel]
    partition_by: tuple[str, ...]
    identity: tuple[str, ...]
    sort_by: tuple[str, ...] = field(default=())
    renamed: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    rebuilt_by: str = ""

    @cached_property
    def columns(self) -> dict[str, Column]:
        """Column facts by name, in the order the model declares them."""
        return columns_of(self.model)

    @cached_property
    def schema(self) -> pl.Schema:
        """Logical polars schema of the table, partition columns included."""
        return pl.Schema({name: column.dtype for name, column in self.columns.items()})

    @cached_property
    def required(self) -> frozenset[str]:
        """Columns the model allows no null in."""
        return frozenset(
            name for name, info in self.model.model_fields.items() if not _allows_null(info)
        )

    @property
    def description(self) -> str:
        """First line of the model's docstring."""
        return next(iter((self.model.__doc__ or "").strip().splitlines()), "")


def columns_of(model: type[BaseModel]) -> dict[str, Column]:
    """Column facts of every field of `model`, in order; TypeError names a field without any."""
    found: dict[str, Column] = {}
    for name, info in model.model_fields.items():
        column = next((item for item in info.metadata if isinstance(item, Column)), None)
        if column is None:
            raise TypeError(f"{model.__name__}.{name} declares no Column(...)")
        found[name] = column
    return found


def documentation_of(table: Table) -> list[dict[str, Any]]:
    """Rows of the table's documentation: column, type, unit, resolution, null, meaning."""
    rows: list[dict[str, Any]] = []
    for name, info in table.model.model_fields.items():
        column = table.columns[name]
        rows.append(
            {
                "column": name,
                "type": str(column.dtype),
                "unit": column.unit or "",
                "resolution": column.resolution,
                "nullable": _allows_null(info),
                "description": info.description or "",
            }
        )
    return rows


def _allows_null(info: FieldInfo) -> bool:
    return not info.is_required() or type(None) in getattr(info.annotation, "__args__", ())
