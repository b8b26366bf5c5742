"""A score as a page of Markdown, and the tables of it that people read.

Belongs here: which figures stand beside which, and how they are rounded. Does not belong here:
what is measured (score.py), where the page goes (scores.py, benchmarks/accuracy.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from ngsim_assets.highway.score import Score
from ngsim_assets.highway.scoring.accuracy import QUANTITIES
from ngsim_assets.highway.scoring.targets import (
    DEFAULT,
    TIED,
    Verdict,
    beside_best,
    by_kind,
    described,
)
from ngsim_assets.highway.scoring.trial import RAW

_NAMES = ("highway", "congestion", "noise", "faults")
_WORST = 8


def errors_by_method(score: Score, quantity: str) -> list[dict[str, object]]:
    """A row per conditions, a column per method: RMSE of a quantity of QUANTITIES."""
    error = f"{quantity}_rmse"
    return [
        {
            "scenario": described(conditions),
            **{row["method"]: row[error] for row in rows.iter_rows(named=True)},
        }
        for conditions, rows in _by_conditions(score.accuracy)
    ]


def recall_by_kind(score: Score) -> list[dict[str, object]]:
    """A row per kind of fault: labelled rows, rows caught, and the share at each fault rate."""
    kinds = by_kind(score.recall).to_dicts()
    rates = {
        (row["fault"], row["faults"]): row["recall"]
        for row in by_kind(score.recall, ("fault", "faults")).iter_rows(named=True)
    }
    shares = sorted({share for _, share in rates})
    worst = score.recall.sort("recall", maintain_order=True).group_by("fault").first()
    lowest = {row["fault"]: row for row in worst.iter_rows(named=True)}
    return [
        {
            "fault": kind["fault"],
            "rows": kind["rows"],
            "caught": kind["caught"],
            "recall": percent(kind["recall"]),
            **{
                f"at {100 * share:g} %": percent(rates.get((kind["fault"], share)))
                for share in shares
            },
            "lowest": _lowest(lowest[kind["fault"]]),
        }
        for kind in kinds
    ]


def _lowest(row: Mapping[str, Any]) -> str:
    if row["caught"] == row["rows"]:
        return ""
    return f"{row['caught']} of {row['rows']}: {described(row)}"


def targets(verdicts: Iterable[Verdict]) -> list[dict[str, object]]:
    """A row per target: what is asked, what was measured, where, and whether it holds."""
    held = {True: "yes", False: "NO", None: "not measured"}
    return [
        {
            "target": verdict.target,
            "holds": held[verdict.passed],
            "measured": "" if verdict.figure is None else _measured(verdict),
            "wanted": verdict.wanted,
            "where": verdict.where,
        }
        for verdict in verdicts
    ]


def _measured(verdict: Verdict) -> str:
    figure = verdict.figure or 0.0
    return f"{figure:.3f} x" if " x" in verdict.wanted else percent(figure)


def percent(share: float | None) -> str:
    """A share for people: `99.87 %`, with as many digits as tell it from 0 and from 1."""
    if share is None:
        return ""
    if 0.0 < share < 0.0001:
        return f"{100 * share:.4f} %"
    return f"{100 * share:.2f} %"


def page(score: Score, command: str) -> str:
    """The whole score as Markdown; `command` is what repeats it."""
    plan = score.plan
    rows = int(score.alarms["sound"].sum())
    faulty = int(score.recall["rows"].sum())
    parts = [
        "# Accuracy, against a truth that is known",
        _INTRODUCTION.format(
            scenarios=len(plan.conditions),
            trials=plan.trials,
            rows=f"{rows:,}",
            faulty=f"{faulty:,}",
            minutes=f"{plan.minutes:g}",
            seeds=", ".join(map(str, plan.seeds)),
            command=command,
        ),
        "## Targets",
        table(targets(score.verdicts)),
        "## Every method in every scenario",
        _ERRORS.format(tied=f"{100 * TIED:g} %"),
        table(_all_errors(score)),
        "## The default in every scenario",
        _DETAILS.format(default=DEFAULT),
        table(_details(score)),
        "## Worst cases",
        _WORST_CASES.format(default=DEFAULT, worst=_WORST),
        *_worst(score),
    ]
    if faulty:
        parts += [
            "## Faults caught, by kind",
            _RECALL,
            table(recall_by_kind(score)),
        ]
    parts += ["## False alarms", _ALARMS, table(_false_alarms(score))]
    return "\n\n".join(part.strip() for part in parts) + "\n"


_INTRODUCTION = """
Written by `{command}`; run it again after a change of validation or cleaning.

{scenarios} scenarios, {trials} recordings of {minutes} min, {rows} sound and {faulty} faulty rows.
A scenario is a site, a density of traffic, a kind of measurement error and a share of faulty rows.
Seeds {seeds} of each are pooled; no parameter was set on their recordings.

- **Truth**: car following and lane changing on the site's lanes, exact to rounding. Speed and
  acceleration are those along the road; acceleration at a frame is the difference of the speeds
  around it.
- **Noise** (`highway/simulation/error_model.py`): `white` per frame; `correlated` over 1.5 s;
  `hand-over` jumps where one camera's view ends; `light`, `ngsim`, `severe`: all of these, tracked
  by a follower that moves in whole pixels, as NGSIM's was; `none`: the rounding of the file.
- **raw**: the rows that validation let pass, with `v_Vel` and `v_Acc` as delivered: central
  differences of the tracked positions, and of those speeds, saturated at 11.2 ft/s². A rejected
  fault is in neither side of a ratio; a flagged one stays in the raw rows.
- **Errors** are root mean squares over the frames that truth and result both have. Points that
  were filled into gaps are not among them (raw has none) but have figures of their own.
- Where noise is `none` the delivered rows are exact but for rounding: a ratio over 1 is what
  cleaning costs where there is nothing to clean.
- Ends of trajectories count like their middles; short recordings have many. Vehicles in view for
  fewer than three frames are left out: nobody can tell an acceleration from two positions.
"""

_ERRORS = """
Root mean square error of position (m) / speed (m/s) / acceleration (m/s²) along the road. Bold:
least speed error of the methods, or within {tied} of it.
"""

_DETAILS = """
`{default}`: errors as shares of raw, bias, jerks over 15 m/s³ (differences of acceleration
between consecutive frames) raw and cleaned, share of the truth's frames that are in the result, and
errors of points filled into gaps (up to 2 s; longer ones stay open).
"""

_WORST_CASES = """
The {worst} scenarios in which `{default}` is least ahead of the best of its peers, and those in
which it gains least against raw.
"""

_RECALL = """
A row is caught if it is rejected, or flagged by a rule for its kind of fault; a missing row, if the
row after the gap is flagged (`highway/scoring/detection.py`). Over all scenarios with faults.
"""

_ALARMS = """
Sound rows that are rejected or flagged, by site, density and faults, over all kinds of noise.
`touched` are sound rows in contradiction with a faulty one beside them, not counted as false.
"""


def _by_conditions(rows: pl.DataFrame) -> list[tuple[dict[str, Any], pl.DataFrame]]:
    return [
        (dict(zip(_NAMES, key, strict=True)), group)
        for key, group in rows.group_by(_NAMES, maintain_order=True)
    ]


def _all_errors(score: Score) -> list[dict[str, object]]:
    table: list[dict[str, object]] = []
    for conditions, group in _by_conditions(score.accuracy):
        methods = group.filter(pl.col("method") != RAW)
        least = min(methods["speed_rmse"], default=0.0)
        line: dict[str, object] = {"scenario": described(conditions)}
        for row in group.iter_rows(named=True):
            errors = " / ".join(
                _short(row[f"{quantity}_rmse"])
                for quantity in ("position", "speed", "acceleration")
            )
            best = row["method"] != RAW and row["speed_rmse"] <= (1 + TIED) * least
            line[row["method"]] = f"**{errors}**" if best else errors
        table.append(line)
    return table


def _details(score: Score) -> list[dict[str, object]]:
    table: list[dict[str, object]] = []
    for conditions, group in _by_conditions(score.accuracy):
        rows = {row["method"]: row for row in group.iter_rows(named=True)}
        own = rows.get(DEFAULT)
        if own is None:
            continue
        table.append(
            {
                "scenario": described(conditions),
                **{
                    f"{quantity} of raw": _times(own[f"{quantity}_ratio"])
                    for quantity in ("position", "lateral", "speed", "acceleration")
                },
                "bias x m, y m, v m/s, a m/s²": " / ".join(
                    f"{own[f'{quantity}_bias']:.3f}" for quantity in QUANTITIES
                ),
                "jerks raw": percent(rows[RAW]["jerk_share"]),
                "cleaned": percent(own["jerk_share"]),
                "covered": percent(own["coverage"]),
                "filled": own["imputed_points"],
                "y, v, a there": " / ".join(
                    _short(own[f"{quantity}_imputed_rmse"])
                    for quantity in ("position", "speed", "acceleration")
                )
                if own["imputed_points"]
                else "",
            }
        )
    return table


def _worst(score: Score) -> list[str]:
    """Tables of the least lead and the least gain, per quantity."""
    tables: list[str] = []
    units = {name: unit for name, (_, unit) in QUANTITIES.items()}
    for quantity in ("speed", "acceleration"):
        lead = beside_best(score.accuracy, quantity).sort("ratio", descending=True)
        if not lead.is_empty():
            tables.append(
                table(
                    [
                        {
                            "scenario": described(row),
                            f"{quantity}, {units[quantity]}": _short(row["error"]),
                            "best peer": f"{row['method']} {_short(row['best'])}",
                            "ratio": _times(row["ratio"]),
                        }
                        for row in lead.head(_WORST).iter_rows(named=True)
                    ]
                )
            )
    own = score.accuracy.filter(
        pl.col("method") == DEFAULT, pl.col("noise") != "none", pl.col("speed_ratio").is_not_null()
    )
    if not own.is_empty():
        tables.append(
            table(
                [
                    {
                        "scenario": described(row),
                        "speed of raw": _times(row["speed_ratio"]),
                        "acceleration of raw": _times(row["acceleration_ratio"]),
                        "largest errors y m, v m/s, a m/s²": " / ".join(
                            _short(row[f"{quantity}_largest"])
                            for quantity in ("position", "speed", "acceleration")
                        ),
                    }
                    for row in own.sort("speed_ratio", descending=True)
                    .head(_WORST)
                    .iter_rows(named=True)
                ]
            )
        )
    return tables


def _false_alarms(score: Score) -> list[dict[str, object]]:
    by = ("highway", "congestion", "faults")
    why = {
        key: ", ".join(f"{row['rule']} {row['rows']:,}" for row in rules.iter_rows(named=True))
        for key, rules in score.blamed.group_by((*by, "rule"))
        .agg(pl.col("rows").sum())
        .sort("rows", "rule", descending=[True, False])
        .group_by(by)
    }
    counts = score.alarms.group_by(by, maintain_order=True).agg(
        pl.col("sound", "blamed", "touched").sum()
    )
    return [
        {
            "scenario": f"{row['highway']} {row['congestion']} {100 * row['faults']:g} %",
            "sound rows": row["sound"],
            "false alarms": row["blamed"],
            "share": percent(row["blamed"] / row["sound"] if row["sound"] else None),
            "touched": row["touched"],
            "rules": why.get(tuple(row[name] for name in by), ""),
        }
        for row in counts.iter_rows(named=True)
    ]


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows of equal keys as a Markdown table; `none` without any."""
    if not rows:
        return "none"
    head = list(rows[0])
    lines = [_line(head), _line("---" for _ in head)]
    return "\n".join([*lines, *(_line(_cell(row.get(name)) for name in head) for row in rows)])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|")


def _short(value: float | None) -> str:
    """Three figures that count, and no more than four decimals."""
    if value is None:
        return ""
    return f"{value:.4f}" if value < 0.01 else f"{value:.3f}" if value < 1.0 else f"{value:.2f}"


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} x"
