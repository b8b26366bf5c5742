"""Rules as data, and what it takes to judge a frame by them.

Belongs here: what a rule is, its evaluation over whole columns, the list of broken rules per
row, the documentation of a set of rules. Does not belong here: any rule of any domain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import polars as pl
import pyarrow as pa  # pyright: ignore[reportMissingTypeStubs]

REASONS = "reasons"
FLAGS = "flags"

_NAMES = pl.List(pl.String())
_arrow: Any = pa  # has no type stubs


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One thing that can be wrong with a row.

    Attributes:
        name: what a reader finds in `reasons` or `flags`.
        severity: reject keeps the row out of the validated table, flag only says so.
        expression: True where the row breaks the rule; null counts as not broken.
        description: what is wrong with such a row, for people.
        source: where the threshold comes from.
    """

    name: str
    severity: Literal["reject", "flag"]
    expression: pl.Expr
    description: str
    source: str


def broken(frame: pl.DataFrame, rules: Sequence[Rule]) -> pl.DataFrame:
    """One Boolean column per rule, by its name, True where a row of `frame` breaks it."""
    return frame.select(rule.expression.fill_null(value=False).alias(rule.name) for rule in rules)


def names_of_broken(masks: pl.DataFrame, rules: Sequence[Rule] | None = None) -> pl.Series:
    """The names of the True columns of every row, in the order of the columns.

    Args:
        masks: Boolean columns without nulls, one per rule.
        rules: only these of its columns; all of them by default.

    Returns:
        A list of strings per row, empty where nothing is broken. Costs next to nothing for
        rows that break nothing: a column without a True is not looked at a second time.
    """
    names = masks.columns if rules is None else [rule.name for rule in rules]
    hits = [
        (code, masks[name].arg_true().to_numpy())
        for code, name in enumerate(names)
        if masks[name].any()
    ]
    if not hits:
        return pl.repeat([], masks.height, dtype=_NAMES, eager=True)
    rows = np.concatenate([found for _, found in hits])
    codes = np.repeat([code for code, _ in hits], [found.size for _, found in hits])
    by_row = np.argsort(rows, kind="stable")
    offsets = np.zeros(masks.height + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows, minlength=masks.height), out=offsets[1:])
    broken_names = pl.Series(names, dtype=pl.String).gather(codes[by_row])
    items = cast("Any", broken_names).to_arrow()
    # by its buffers: an array made from numpy would load Pandas first, 40 MB nothing here needs
    lists = _arrow.LargeListArray.from_buffers(
        _arrow.large_list(items.type),
        masks.height,
        [None, _arrow.py_buffer(offsets)],
        children=[items],
    )
    return pl.Series(lists, dtype=_NAMES)


def evaluate(frame: pl.DataFrame, rules: Sequence[Rule]) -> pl.DataFrame:
    """`frame` with two columns more: `reasons` and `flags`, the names of the rules it breaks.

    A row with an empty `reasons` is accepted; `flags` never keep a row out.
    """
    if not rules:
        nothing = pl.repeat([], frame.height, dtype=_NAMES, eager=True)
        return frame.with_columns(nothing.alias(REASONS), nothing.alias(FLAGS))
    masks = broken(frame, rules)
    return frame.with_columns(
        names_of_broken(masks, [r for r in rules if r.severity == "reject"]).alias(REASONS),
        names_of_broken(masks, [r for r in rules if r.severity == "flag"]).alias(FLAGS),
    )


def documentation(rules: Sequence[Rule]) -> list[dict[str, str]]:
    """Rows of the rules' documentation: rule, severity, meaning, source of the threshold."""
    return [
        {
            "rule": rule.name,
            "severity": rule.severity,
            "description": rule.description,
            "source": rule.source,
        }
        for rule in rules
    ]


def markdown(rules: Sequence[Rule]) -> str:
    """The rules as a markdown table, one row each, in their order."""
    rows = ["| rule | severity | a row breaks it when | source |", "|---|---|---|---|"]
    for row in documentation(rules):
        cells = (f"`{row['rule']}`", row["severity"], row["description"], row["source"])
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"
