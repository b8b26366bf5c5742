"""Asset checks of a session: what must hold before anything downstream runs.

Belongs here: which facts are compared and how severe a difference is. Does not belong here: how
Dagster is told (automation/checks.py), rules about single rows (validation_rules.py).
"""

from collections.abc import Callable
from functools import partial
from typing import Final

import dagster as dg
import polars as pl

from ngsim_assets.automation import checks
from ngsim_assets.automation.checks import CONTRACT, Finding, Planned, step_of_checks
from ngsim_assets.automation.failures import CHECKS
from ngsim_assets.f1.assessment.model import F1_QUALITY_METRICS
from ngsim_assets.f1.assessment.rating import full_name
from ngsim_assets.f1.data_versions import POSTGRES, SESSION_TABLES
from ngsim_assets.f1.errors import NothingDeliveredOf
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.model import (
    F1_LAPS,
    F1_MESSAGES,
    F1_QUARANTINE,
    F1_RACE_CONTROL,
    F1_SESSION_STATUS,
    F1_TRACK_STATUS,
    F1_WEATHER,
)
from ngsim_assets.f1.platform import F1Platform, alone, identity
from ngsim_assets.f1.recipes import REPORT, TABLE_OF
from ngsim_assets.f1.resources import F1Resource, sessions
from ngsim_assets.f1.second_home import second_home
from ngsim_assets.f1.telemetry.model import F1_POSITIONS, F1_TELEMETRY
from ngsim_assets.settings import Settings
from ngsim_assets.storage.parquet import Commit
from ngsim_assets.storage.schema import Table

SESSION: Final = "f1_session"
"""The step that writes the tables of a session."""

_JUDGED: Final = (F1_LAPS, F1_WEATHER, F1_TRACK_STATUS, F1_RACE_CONTROL, F1_SESSION_STATUS)
_MEASURED: Final = (F1_TELEMETRY, F1_POSITIONS)


class Session:
    """A session as checks see it: what is stored of it, and the settings."""

    def __init__(self, settings: Settings, platform: F1Platform, key: SessionKey) -> None:
        self.settings = settings
        self.platform = platform
        self.key = key

    def rows(self, table: Table) -> pl.LazyFrame:
        """Stored rows."""
        return self.platform.lake.scan(table, identity(self.key))

    def count(self, table: Table) -> int:
        """How many, read from the rows themselves."""
        return self.rows(table).select(pl.len()).collect().item()

    def commit(self, table: Table) -> Commit:
        """What is live; NothingDeliveredOf if nothing is."""
        commit = self.platform.lake.current(table, identity(self.key))
        if commit is None:
            raise NothingDeliveredOf(str(self.key))
        return commit


Check = Callable[[Session], Finding]


def every_message_accounted_for(session: Session) -> Finding:
    """Lines read = messages + repeated + set aside; messages = folded + passed on + unfoldable, and
    each of them is stored."""
    told = session.commit(F1_MESSAGES).provenance.rows
    stored = session.count(F1_MESSAGES)
    lines, messages = told["lines"], told["messages"]
    became = told["folded"] + told["passed_on"] + told["unfoldable"]
    accounted = messages + told["repeated"] + told["set_aside"]
    good = lines == accounted and messages == became == stored
    return Finding(
        "every_message_accounted_for",
        good,
        f"{lines:,} lines = {messages:,} messages + {told['repeated']:,} repeated + "
        f"{told['set_aside']:,} set aside; messages = {told['folded']:,} folded + "
        f"{told['passed_on']:,} passed on + {told['unfoldable']:,} unfoldable; {stored:,} stored"
        if good
        else f"{lines:,} lines, but {accounted:,} of them are messages, repeated or set aside; "
        f"{messages:,} messages, but {became:,} folded, passed on or unfoldable, and {stored:,} "
        "stored",
        {**told, "stored": stored},
    )


def everything_set_aside_is_kept(session: Session) -> Finding:
    """What was set aside while reading and folding is in f1_quarantine, line by line."""
    told = session.commit(F1_MESSAGES).provenance.rows
    unread = sum(session.commit(t).provenance.rows.get("unread", 0) for t in _MEASURED)
    expected = {"reading": told["set_aside"], "folding": told["unfoldable"] + unread}
    by_stage = session.rows(F1_QUARANTINE).group_by("stage").len().collect()
    stored = dict(by_stage.iter_rows())
    kept = {stage: stored.get(stage, 0) for stage in expected}
    return Finding(
        "everything_set_aside_is_kept",
        kept == expected,
        "; ".join(
            f"{number:,} set aside in {stage}, {kept[stage]:,} in quarantine"
            for stage, number in expected.items()
        ),
        {f"{stage}_kept": number for stage, number in kept.items()},
    )


def rows_accounted_for(table: Table, session: Session) -> Finding:
    """Rows judged = rows stored + rows in quarantine, and of telemetry those of other cars."""
    told = session.commit(table).provenance.rows
    judged = told["decoded"] if table in _MEASURED else told["read"]
    others = told.get("other_cars", 0)
    stored = session.count(table)
    refused = (
        session.rows(F1_QUARANTINE)
        .filter(table=table.name, stage="validated")
        .select(pl.len())
        .collect()
        .item()
    )
    sums = f"{stored:,} stored + {refused:,} quarantined"
    sums += f" + {others:,} of other cars" if table in _MEASURED else ""
    good = judged == stored + refused + others
    return Finding(
        f"{table.name}_rows_accounted_for",
        good,
        f"{judged:,} judged = {sums}" if good else f"{judged:,} judged, but {sums}",
        {"judged": judged, "stored": stored, "quarantined": refused},
    )


def no_lap_twice(session: Session) -> Finding:
    """No driver has two laps of one number."""
    twice = (
        session.rows(F1_LAPS)
        .group_by("driver_number", "lap_number")
        .len()
        .filter(pl.col("len") > 1)
        .sort("driver_number", "lap_number")
        .collect()
    )
    named = ", ".join(f"car {car} lap {lap}" for car, lap, _ in twice.head(5).iter_rows())
    return Finding(
        "no_lap_twice",
        twice.is_empty(),
        f"{twice.height:,} laps are there twice{f': {named}' if named else ''}",
        {"laps": twice.height},
    )


def limits_kept(session: Session) -> Finding:
    """Every quality metric that has a limit keeps it."""
    judged = (
        session.rows(F1_QUALITY_METRICS)
        .filter(pl.col("passed").is_not_null())
        .sort("metric", "subject")
        .select("metric", "subject", "value", "passed")
        .collect()
    )
    names = [full_name(metric, subject) for metric, subject, *_ in judged.iter_rows()]
    return checks.limits_kept(judged.with_columns(pl.Series("name", names, dtype=pl.String)))


def both_homes_agree(session: Session) -> Finding:
    """PostgreSQL has the same rows of the session as the lake, in every table."""
    there = second_home(session.settings)
    if there is None:
        return Finding("both_homes_agree", True, "there is no second home to compare with", {})
    with there, alone(session.platform, session.key):
        compared = there.compare_session(session.platform, session.key)
    differ = [table for table in compared if not table.agrees]
    rows = sum(table.rows_here for table in compared)
    return Finding(
        "both_homes_agree",
        not differ,
        "; ".join(
            f"{table.table}: {table.missing:,} rows missing, {table.surplus:,} too many, "
            f"{table.changed:,} with other values"
            for table in differ
        )
        or f"{rows:,} rows of {len(compared)} tables are the same in both",
        {"tables_that_differ": len(differ), "rows": rows},
    )


def keeps_contract(table: Table, session: Session) -> Finding:
    """Stored rows keep the constraints that the table's Pydantic model declares."""
    return checks.keeps_contract(table, session.rows(table))


def build_checks() -> list[dg.AssetChecksDefinition]:
    """One step of checks per step of the graph; every table is held to its model's constraints."""
    of_session = [_contract(asset) for asset in SESSION_TABLES]
    of_session += [
        _planned(F1_MESSAGES.name, every_message_accounted_for),
        _planned(F1_QUARANTINE.name, everything_set_aside_is_kept),
        _planned(F1_LAPS.name, no_lap_twice),
    ]
    of_session += [
        Planned(
            f"{table.name}_rows_accounted_for",
            table.name,
            rows_accounted_for.__doc__ or "",
            True,
            _of_session(partial(rows_accounted_for, table)),
        )
        for table in (*_JUDGED, *_MEASURED)
    ]
    return [
        _step(SESSION, of_session),
        _step(REPORT, [_contract(REPORT), _planned(REPORT, limits_kept, blocking=False)]),
        _step(POSTGRES, [_planned(POSTGRES, both_homes_agree, blocking=False)]),
    ]


_Planned = Planned[Session, SessionKey]


def _step(name: str, planned: list[_Planned]) -> dg.AssetChecksDefinition:
    return step_of_checks(f"{name}{CHECKS}", planned, sessions, "f1", _opened)


def _contract(asset: str) -> _Planned:
    table = TABLE_OF[asset]
    find = _of_session(partial(keeps_contract, table))
    return Planned(f"{table.name}_keeps_contract", asset, CONTRACT, True, find)


def _planned(asset: str, check: Check, *, blocking: bool = True) -> _Planned:
    return Planned(check.__name__, asset, check.__doc__ or "", blocking, _of_session(check))


def _of_session(check: Check) -> Callable[[Session, SessionKey], Finding]:
    return lambda session, key: check(session)


def _opened(f1: F1Resource, run_id: str, partition: str) -> tuple[Session, SessionKey]:
    key = SessionKey.parse(partition)
    return Session(f1.settings(), f1.open(run_id), key), key
