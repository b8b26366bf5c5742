"""What a score has to reach, and whether it does.

Belongs here: limits, and the judgement of tables by them. Does not belong here: how the tables
are measured (trial.py, accuracy.py, detection.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from ngsim_assets.highway.reconstruction.methods import METHODS
from ngsim_assets.highway.scoring.trial import RAW, Conditions

DEFAULT = next(iter(METHODS))
"""The method that has to be best or tied."""

TIED = 0.02
"""Share by which errors may differ and still be called equal: a seed more or less moves a
scenario's error by about that."""

RESOLUTION = {"speed": 0.01 * 0.3048, "acceleration": 0.01 * 0.3048}
"""m/s and m/s²: v_Vel and v_Acc are delivered in hundredths of a foot, so that nobody can tell
errors apart that differ by less."""

REFERENCE = Conditions("us-101", "congested", "ngsim")
"""What NGSIM's own recordings are like, for the figures against raw."""

AGAINST_RAW = {"speed": 0.5, "acceleration": 0.15}
"""Error of the default over that of the delivered rows, at REFERENCE."""

RAW_JERK = (0.15, 0.25)
"""Share of raw jerks over 15 m/s³ that makes REFERENCE a fair picture: about a fifth."""

RECALL, RECALL_OF_KIND = 0.99, 0.95
LEAST_ROWS = 200
"""Labelled rows of a kind that it takes to tell 95 % from less: at 200 the standard error of a
recall of 95 % is 1.5 %."""

FALSE_ALARMS = 0.001
"""Share of sound rows."""

_CONDITIONS = ("highway", "congestion", "noise", "faults")


@dataclass(frozen=True)
class Verdict:
    """One target and what was measured.

    Attributes:
        target: what is asked. wanted: the limit, for people.
        figure: the worst that was measured, None if nothing was.
        where: where the worst was measured.
        passed: None where the score holds nothing to judge it by.
    """

    target: str
    wanted: str
    figure: float | None
    where: str
    passed: bool | None


def described(row: Mapping[str, Any]) -> str:
    """Conditions in one line: `us-101 congested ngsim 1 %`."""
    share = float(row["faults"])
    words = " ".join(str(row[name]) for name in _CONDITIONS[:3])
    return f"{words} {100 * share:g} %" if share else words


def verdicts(
    accuracy: pl.DataFrame, recall: pl.DataFrame, alarms: pl.DataFrame
) -> tuple[Verdict, ...]:
    """Every target, in a fixed order.

    Args:
        accuracy: highway, congestion, noise, faults, method, columns of `accuracy.figures`.
        recall: the conditions, fault, rows, caught. alarms: the conditions, sound, blamed.
    """
    return (
        *(_best_or_tied(accuracy, quantity) for quantity in RESOLUTION),
        *_reference(accuracy),
        *_recalls(recall),
        _alarms(alarms),
    )


def missed(judged: Iterable[Verdict]) -> list[Verdict]:
    """Those that were measured and not reached."""
    return [verdict for verdict in judged if verdict.passed is False]


def beside_best(accuracy: pl.DataFrame, quantity: str) -> pl.DataFrame:
    """The default's error of a quantity and the best peer's, per conditions measured for both.

    Returns:
        highway, congestion, noise, faults, error, best (of any other method), method (which),
        ratio, tied (whether the default is best, or within TIED or RESOLUTION of it); in the
        order of `accuracy`.
    """
    error = f"{quantity}_rmse"
    measured = accuracy.filter(pl.col(error).is_not_null())
    own = measured.filter(pl.col("method") == DEFAULT)
    peers = (
        measured.filter(~pl.col("method").is_in([DEFAULT, RAW]))
        .sort(error, "method")
        .group_by(_CONDITIONS, maintain_order=True)
        .first()
        .select(*_CONDITIONS, pl.col(error).alias("best"), "method")
    )
    mine = own.select(*_CONDITIONS, pl.col(error).alias("error"))
    excess = pl.col("error") - pl.col("best")
    return mine.join(peers, on=_CONDITIONS, how="inner", maintain_order="left").with_columns(
        (pl.col("error") / pl.col("best")).alias("ratio"),
        ((excess <= TIED * pl.col("best")) | (excess <= RESOLUTION.get(quantity, 0.0))).alias(
            "tied"
        ),
    )


def _best_or_tied(accuracy: pl.DataFrame, quantity: str) -> Verdict:
    target = f"{DEFAULT} best or tied on {quantity} in every scenario"
    compared = beside_best(accuracy, quantity)
    if compared.is_empty():
        return Verdict(target, _TIE, None, "", None)
    behind = compared.filter(~pl.col("tied"))
    worst = (
        (compared if behind.is_empty() else behind)
        .sort("ratio", descending=True)
        .row(0, named=True)
    )
    where = f"{described(worst)}, against {worst['method']}"
    if behind.height > 1:
        where += f", and {behind.height - 1} more"
    return Verdict(target, _TIE, worst["ratio"], where, behind.is_empty())


_TIE = f"at most {1 + TIED:g} x the best peer"


def _reference(accuracy: pl.DataFrame) -> list[Verdict]:
    here = accuracy.filter(*(pl.col(name) == getattr(REFERENCE, name) for name in _CONDITIONS))
    rows = {row["method"]: row for row in here.iter_rows(named=True)}
    raw, own = rows.get(RAW), rows.get(DEFAULT)
    where = described({name: getattr(REFERENCE, name) for name in _CONDITIONS})
    judged: list[Verdict] = []
    for quantity, limit in AGAINST_RAW.items():
        ratio = None
        if raw and own and raw[f"{quantity}_rmse"] and own[f"{quantity}_rmse"] is not None:
            ratio = own[f"{quantity}_rmse"] / raw[f"{quantity}_rmse"]
        passed = None if ratio is None else ratio < limit
        target = f"error of {quantity} against raw"
        judged.append(Verdict(target, f"below {limit:g} x", ratio, where, passed))
    low, high = RAW_JERK
    share = raw["jerk_share"] if raw else None
    fair = None if share is None else low <= share <= high
    wanted = f"{100 * low:g} to {100 * high:g} % of samples"
    judged.append(Verdict("raw jerk over 15 m/s³", wanted, share, where, fair))
    return judged


def _recalls(recall: pl.DataFrame) -> list[Verdict]:
    rows, caught = (int(recall[name].sum()) for name in ("rows", "caught"))
    whole = caught / rows if rows else None
    overall = Verdict(
        "faulty rows caught",
        f"at least {100 * RECALL:g} %",
        whole,
        f"{rows:,} rows" if rows else "",
        None if rows < LEAST_ROWS or whole is None else whole >= RECALL,
    )
    kinds = by_kind(recall)
    enough = kinds.filter(pl.col("rows") >= LEAST_ROWS)
    target, wanted = "faulty rows caught of every kind", f"at least {100 * RECALL_OF_KIND:g} %"
    if enough.is_empty():
        return [overall, Verdict(target, wanted, None, "", None)]
    worst = enough.sort("recall", "fault").row(0, named=True)
    passed: bool | None = worst["recall"] >= RECALL_OF_KIND
    where = f"{worst['fault']}, {worst['rows']:,} rows"
    if passed and enough.height < kinds.height:
        passed = None
        where = f"{kinds.height - enough.height} kinds have fewer than {LEAST_ROWS} rows"
    return [overall, Verdict(target, wanted, worst["recall"], where, passed)]


def by_kind(recall: pl.DataFrame, by: Sequence[str] = ("fault",)) -> pl.DataFrame:
    """rows, caught and recall of every kind of fault over all conditions, in order of kind."""
    return (
        recall.group_by(by)
        .agg(pl.col("rows", "caught").sum())
        .with_columns((pl.col("caught") / pl.col("rows")).alias("recall"))
        .sort(by)
    )


def _alarms(alarms: pl.DataFrame) -> Verdict:
    target, wanted = "false alarms among sound rows", f"at most {100 * FALSE_ALARMS:g} %"
    shares = alarms.filter(pl.col("sound") > 0).with_columns(
        (pl.col("blamed") / pl.col("sound")).alias("share")
    )
    if shares.is_empty():
        return Verdict(target, wanted, None, "", None)
    worst = shares.sort("share", descending=True, maintain_order=True).row(0, named=True)
    return Verdict(target, wanted, worst["share"], described(worst), worst["share"] <= FALSE_ALARMS)
