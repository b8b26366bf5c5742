"""Targets: tables that hold them, tables that do not, and tables that cannot tell."""

from __future__ import annotations

import polars as pl
import pytest

from ngsim_assets.highway.scoring.targets import (
    DEFAULT,
    LEAST_ROWS,
    Verdict,
    beside_best,
    missed,
    verdicts,
)

KEYS = {"highway": "us-101", "congestion": "congested", "noise": "ngsim", "faults": 0.0}
PEER = "moving_average"


def accuracy(default: tuple[float, float] = (0.1, 0.2), **where: object) -> pl.DataFrame:
    """Raw, the default and a peer in one scenario."""
    errors = {"raw": (0.4, 1.6), DEFAULT: default, PEER: (0.15, 0.3)}
    return pl.DataFrame(
        [
            KEYS
            | where
            | {
                "method": method,
                "speed_rmse": speed,
                "acceleration_rmse": acceleration,
                "jerk_share": 0.2,
            }
            for method, (speed, acceleration) in errors.items()
        ]
    )


def recall(**caught: int) -> pl.DataFrame:
    """1,000 rows each of two kinds, so many of them caught."""
    kinds = {"teleport": 1000, "wrong_leader": 1000} | caught
    return pl.DataFrame(
        [
            KEYS | {"faults": 0.01, "fault": kind, "rows": 1000, "caught": n}
            for kind, n in kinds.items()
        ]
    )


def alarms(blamed: int = 0, **where: object) -> pl.DataFrame:
    return pl.DataFrame([KEYS | where | {"sound": 100_000, "blamed": blamed}])


def of(judged: tuple[Verdict, ...], part: str) -> Verdict:
    (found,) = [verdict for verdict in judged if part in verdict.target]
    return found


def test_all_targets_hold() -> None:
    judged = verdicts(accuracy(), recall(), alarms(100))
    assert [verdict.passed for verdict in judged] == [True] * 8
    assert missed(judged) == []


@pytest.mark.parametrize(
    ("tables", "part", "where"),
    [
        ((accuracy((0.154, 0.2)), recall(), alarms()), "tied on speed", PEER),
        ((accuracy((0.1, 0.31)), recall(), alarms()), "tied on acceleration", PEER),
        (
            (
                pl.concat([accuracy(), accuracy((0.16, 0.2), noise="white")]),
                recall(),
                alarms(),
            ),
            "tied on speed",
            "us-101 congested white",
        ),
        ((accuracy((0.2, 0.2)), recall(), alarms()), "error of speed", "us-101"),
        ((accuracy((0.1, 0.24)), recall(), alarms()), "error of acceleration", "us-101"),
        (
            (accuracy().with_columns(jerk_share=pl.lit(0.05)), recall(), alarms()),
            "raw jerk",
            "us-101",
        ),
        ((accuracy(), recall(wrong_leader=940), alarms()), "of every kind", "wrong_leader"),
        ((accuracy(), recall(wrong_leader=960, teleport=1000), alarms()), "caught", "2,000"),
        (
            (accuracy(), recall(), pl.concat([alarms(), alarms(101, noise="severe")])),
            "false",
            "severe",
        ),
    ],
)
def test_a_table_that_fails_is_told_where(
    tables: tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame], part: str, where: str
) -> None:
    failing = [verdict for verdict in missed(verdicts(*tables)) if part in verdict.target]
    assert len(failing) == 1
    assert where in failing[0].where
    assert failing[0].passed is False


def test_tied_is_two_per_cent_or_what_delivered_figures_can_tell() -> None:
    assert verdicts(accuracy((0.1529, 0.2)), recall(), alarms())[0].passed is True
    tiny = accuracy((0.004, 0.2)).with_columns(
        pl.when(method=PEER).then(0.002).otherwise("speed_rmse").alias("speed_rmse")
    )
    (row,) = beside_best(tiny, "speed").to_dicts()
    assert row["ratio"] == pytest.approx(2.0)
    assert row["tied"] is True


def test_what_was_not_measured_neither_holds_nor_fails() -> None:
    nothing = verdicts(accuracy().clear(), recall().clear(), alarms().clear())
    assert [verdict.passed for verdict in nothing] == [None] * 8
    elsewhere = verdicts(accuracy(highway="i-80"), recall(), alarms())
    assert of(elsewhere, "error of speed").passed is None
    alone = verdicts(accuracy().filter(pl.col("method") != PEER), recall(), alarms())
    assert alone[0].passed is None


def test_a_kind_with_few_rows_leaves_it_open_unless_another_fails() -> None:
    few = recall().vstack(
        recall()
        .head(1)
        .with_columns(fault=pl.lit("rare"), rows=pl.lit(LEAST_ROWS - 1), caught=pl.lit(0))
        .cast({"rows": pl.Int64, "caught": pl.Int64})
    )
    open_question = of(verdicts(accuracy(), few, alarms()), "of every kind")
    assert open_question.passed is None
    assert "fewer than" in open_question.where
    both = few.with_columns(
        pl.when(fault="teleport").then(900).otherwise("caught").cast(pl.Int64).alias("caught")
    )
    assert of(verdicts(accuracy(), both, alarms()), "of every kind").passed is False
