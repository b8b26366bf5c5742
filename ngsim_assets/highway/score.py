"""How good validation and cleaning are, measured where the truth is known.

Belongs here: which recordings are simulated for a score, and the tables it consists of. Does not
belong here: a single trial (scoring/trial.py), errors (scoring/accuracy.py), limits
(scoring/targets.py), any printing or file (scores.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import count, groupby
from threading import Event

import polars as pl

from ngsim_assets.highway.reconstruction.methods import METHODS, method_named
from ngsim_assets.highway.scoring.accuracy import QUANTITIES, figures, pooled
from ngsim_assets.highway.scoring.targets import Verdict, missed, verdicts
from ngsim_assets.highway.scoring.trial import RAW, Conditions, Measured, measure
from ngsim_assets.highway.simulate import traffic_of
from ngsim_assets.highway.simulation.error_model import NOISE

__all__ = [
    "CONGESTION",
    "FULL",
    "HELD_OUT",
    "QUICK",
    "Conditions",
    "Plan",
    "Score",
    "conditions",
    "missed",
    "score",
    "selected",
]

CONGESTION = ("free", "moderate", "congested")

HELD_OUT = 100
"""The seeds after it are for scores: no parameter is set on their recordings."""

_NAMES = ("highway", "congestion", "noise", "faults")


def conditions(
    highways: Iterable[str],
    congestion: Iterable[str],
    noise: Iterable[str],
    faults: Iterable[float],
    *,
    faulty_noise: Iterable[str] | None = None,
) -> tuple[Conditions, ...]:
    """Every combination; with `faulty_noise` only those levels of noise get faults as well."""
    levels, shares = tuple(noise), tuple(faults)
    spoiled = set(levels if faulty_noise is None else faulty_noise)
    return tuple(
        Conditions(highway, density, level, share)
        for highway in highways
        for density in congestion
        for level in levels
        for share in shares
        if not share or level in spoiled
    )


def selected(
    planned: Sequence[Conditions],
    *,
    highways: Sequence[str] = (),
    congestion: Sequence[str] = (),
    noise: Sequence[str] = (),
    faults: Sequence[float] = (),
) -> tuple[Conditions, ...]:
    """Every combination of the given values; what is not given is as planned.

    Values asked for are measured whether they were planned or not. Faults that nobody asked for
    come with the conditions they were planned for.
    """
    if not (highways or congestion or noise or faults):
        return tuple(planned)
    every = conditions(
        highways or dict.fromkeys(each.highway for each in planned),
        congestion or dict.fromkeys(each.congestion for each in planned),
        noise or dict.fromkeys(each.noise for each in planned),
        faults or dict.fromkeys(each.faults for each in planned),
    )
    spoiled = {(each.noise, each.faults) for each in planned}
    return tuple(
        each for each in every if faults or not each.faults or (each.noise, each.faults) in spoiled
    )


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes:
        conditions: rows of the tables. seeds: recordings of each, pooled.
        minutes: length of every recording.
        methods: labels of METHODS; raises UnknownMethod for another.
    """

    conditions: tuple[Conditions, ...]
    seeds: tuple[int, ...] = (HELD_OUT + 1,)
    minutes: float = 1.0
    methods: tuple[str, ...] = tuple(METHODS)

    def __post_init__(self) -> None:
        for label in self.methods:
            method_named(label)
        for condition in self.conditions:
            for seed in self.seeds:
                condition.scenario(seed, self.minutes)

    @property
    def trials(self) -> int:
        """Simulated recordings."""
        return len(self.conditions) * len(self.seeds)


QUICK = Plan(
    conditions(["us-101"], CONGESTION, NOISE, (0.0, 0.01, 0.05), faulty_noise=["ngsim"]),
    seeds=(HELD_OUT + 1, HELD_OUT + 2),
)
"""Half a minute's answer: one site, faults with one noise only."""

FULL = Plan(
    conditions(["us-101"], CONGESTION, NOISE, (0.0, 0.01, 0.05))
    + conditions(["i-80"], CONGESTION, NOISE, (0.0, 0.01, 0.05), faulty_noise=["ngsim"]),
    seeds=(HELD_OUT + 1, HELD_OUT + 2),
    minutes=2.0,
)
"""Both sites, faults with every noise, longer recordings: for the published tables."""


@dataclass(frozen=True)
class Score:
    """What a plan came to. Every table begins with highway, congestion, noise, faults.

    Attributes:
        plan: what was measured.
        accuracy: method (`raw` first), columns of `accuracy.figures`, and `<quantity>_ratio`,
            the error over that of raw (null for raw without errors). Over all seeds.
        recall: fault, rows, caught (Int64), recall.
        alarms: sound, blamed, touched (Int64; see scoring/detection.py), share of sound rows.
        blamed: rule, rows: which rules blamed sound rows.
    """

    plan: Plan
    accuracy: pl.DataFrame
    recall: pl.DataFrame
    alarms: pl.DataFrame
    blamed: pl.DataFrame

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The targets, each with what was measured."""
        return verdicts(self.accuracy, self.recall, self.alarms)

    def document(self) -> dict[str, object]:
        """The whole score for machines: plan, targets, and the rows of every table."""
        return {
            "seeds": list(self.plan.seeds),
            "minutes": self.plan.minutes,
            "methods": list(self.plan.methods),
            "targets": [asdict(verdict) for verdict in self.verdicts],
            "accuracy": self.accuracy.to_dicts(),
            "recall": self.recall.to_dicts(),
            "alarms": self.alarms.to_dicts(),
            "blamed": self.blamed.to_dicts(),
        }


def score(
    plan: Plan = QUICK, *, workers: int = 2, progress: Callable[[int, int], None] | None = None
) -> Score:
    """Measure a plan; `workers` recordings at a time, `progress(done, all)` after each.

    Vehicles are driven once per site, congestion and seed, whatever their noise and faults. The
    tables do not depend on `workers`.
    """
    roads = [
        (seed, list(group))
        for seed in plan.seeds
        for _, group in groupby(plan.conditions, lambda each: (each.highway, each.congestion))
    ]
    done, stopped = count(1), Event()

    def run(seed: int, group: Sequence[Conditions]) -> list[tuple[Conditions, Measured]]:
        traffic = traffic_of(group[0].scenario(seed, plan.minutes))
        measured: list[tuple[Conditions, Measured]] = []
        for each in group:
            if stopped.is_set():
                break
            measured.append((each, measure(each, traffic, seed, plan.minutes, plan.methods)))
            if progress:
                progress(next(done), plan.trials)
        return measured

    with ThreadPoolExecutor(workers) as pool:
        running = [pool.submit(run, seed, group) for seed, group in roads]
        try:
            trials = [trial for future in running for trial in future.result()]
        finally:
            # after an error or an interruption nothing more is begun
            stopped.set()
            for future in running:
                future.cancel()
    # by conditions in the order of the plan, and by seed, whichever was ready first
    place = {each: number for number, each in enumerate(plan.conditions)}
    trials.sort(key=lambda trial: place[trial[0]])
    return Score(
        plan=plan,
        accuracy=_accuracy(trials),
        recall=_counted(trials, "found", ("fault",), "caught", "rows", "recall"),
        alarms=_counted(trials, "blamed", (), "blamed", "sound", "share"),
        blamed=_stacked(trials, "by_rule")
        .group_by(*_NAMES, "rule", maintain_order=True)
        .agg(pl.col("rows").sum()),
    )


def _stacked(trials: Iterable[tuple[Conditions, Measured]], table: str) -> pl.DataFrame:
    """One table of every trial below each other, its conditions in front."""
    return pl.concat(
        [
            getattr(measured, table).select(
                *(pl.lit(getattr(each, name)).alias(name) for name in _NAMES), pl.all()
            )
            for each, measured in trials
        ]
    )


def _accuracy(trials: Iterable[tuple[Conditions, Measured]]) -> pl.DataFrame:
    table = figures(pooled(_stacked(trials, "errors"), (*_NAMES, "method")))
    raw = table.filter(pl.col("method") == RAW).select(
        *_NAMES, *(pl.col(f"{quantity}_rmse").alias(f"_{quantity}") for quantity in QUANTITIES)
    )
    return (
        table.join(raw, on=_NAMES, how="left", maintain_order="left")
        .with_columns(
            pl.when(pl.col(f"_{quantity}") > 0)
            .then(pl.col(f"{quantity}_rmse") / pl.col(f"_{quantity}"))
            .alias(f"{quantity}_ratio")
            for quantity in QUANTITIES
        )
        .drop(f"_{quantity}" for quantity in QUANTITIES)
    )


def _counted(
    trials: Iterable[tuple[Conditions, Measured]],
    table: str,
    by: tuple[str, ...],
    part: str,
    whole: str,
    share: str,
) -> pl.DataFrame:
    rows = _stacked(trials, table)
    counts = [name for name in rows.columns if name not in (*_NAMES, *by, share)]
    return (
        rows.group_by(*_NAMES, *by, maintain_order=True)
        .agg(pl.col(counts).sum())
        .with_columns(pl.when(pl.col(whole) > 0).then(pl.col(part) / pl.col(whole)).alias(share))
    )
