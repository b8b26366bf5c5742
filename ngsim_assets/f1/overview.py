"""What is known of each session: rows, score, report, and what is out of date.

Belongs here: reading what stages recorded, and what to say where there is nothing. Does not belong
here: what makes a table out of date (recipes.py), writing, how it is shown (commands).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import polars as pl

from ngsim_assets.automation import failures
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.f1 import reporting
from ngsim_assets.f1.assessment.model import F1_QUALITY_METRICS
from ngsim_assets.f1.assessment.rating import QUALITY_SCORE
from ngsim_assets.f1.delivered import sessions_held, version_of
from ngsim_assets.f1.errors import BadSessionKey, F1Error
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.platform import F1Platform, identity, report_folder
from ngsim_assets.f1.recipes import REPORT, TABLE_OF, out_of_date
from ngsim_assets.f1.stages import whole
from ngsim_assets.f1.tables import TABLES
from ngsim_assets.quality.report import DataQualityReport
from ngsim_assets.settings import Settings
from ngsim_assets.storage.live import live_commits
from ngsim_assets.storage.schema import Table

_NAMED = 5
"""Sessions named to whom none was found."""


class NoSuchSession(F1Error):
    """A key of a session that is not held; names those that are most like it."""

    def __init__(self, key: str, known: Sequence[str]) -> None:
        close = get_close_matches(key.lower(), known, n=3, cutoff=0.7)
        if close:
            fix = f"did you mean {' or '.join(close)}?"
        elif known:
            rest = f" and {len(known) - _NAMED:,} more: ngsim f1 sessions"
            fix = f"held: {', '.join(known[:_NAMED])}{rest if len(known) > _NAMED else ''}"
        else:
            fix = "held: none; run ngsim f1 ingest PATH"
        super().__init__(f"no session {key}", fix)


class NoSuchSessionTable(F1Error):
    """A name that no table of sessions has."""

    exit_code = 2

    def __init__(self, name: str) -> None:
        known = ", ".join(table.name for table in TABLES)
        super().__init__(f"no table {name} of sessions", f"tables: {known}")


class NoSessionReport(F1Error):
    """A session whose report has not been made."""

    def __init__(self, key: SessionKey) -> None:
        super().__init__(f"{key} has no report yet", f"make it: ngsim f1 build {key}")


@dataclass(frozen=True, slots=True)
class Standing:
    """How a session stands.

    Attributes:
        rows: by table, of what is live. score: None without a report.
        failed: metrics outside their limits.
        late: assets that are out of date, in building order; all of a session never built.
        delivered: whether files of it are held; without them nothing can be built.
        fault: why it cannot be told how it stands, one line, empty if it can.
    """

    key: SessionKey
    rows: Mapping[str, int]
    score: float | None
    failed: int
    late: tuple[str, ...]
    delivered: bool
    fault: str = ""

    @property
    def up_to_date(self) -> bool:
        """Whether a build would write nothing."""
        return not self.late and not self.fault

    @property
    def told(self) -> str:
        """For people: a word, or what to know."""
        if self.fault:
            return self.fault
        if not self.delivered:
            return "current; its files are not held"
        if len(self.late) == len(TABLE_OF):
            return "not built"
        return f"out of date: {', '.join(self.late)}" if self.late else "current"

    def row(self) -> dict[str, object]:
        """For people: a line."""
        return {
            "session": str(self.key),
            "laps": self.rows.get("f1_laps", 0),
            "messages": self.rows.get("f1_messages", 0),
            "set aside": self.rows.get("f1_quarantine", 0),
            "telemetry": self.rows.get("f1_telemetry", 0) + self.rows.get("f1_positions", 0),
            "score": self.score,
            "state": self.told,
        }

    def summary(self) -> dict[str, Any]:
        """For machines: everything, as plain values."""
        return {
            "session": str(self.key),
            "rows": dict(self.rows),
            "score": self.score,
            "metrics_failed": self.failed,
            "up_to_date": self.up_to_date,
            "out_of_date": list(self.late),
            "delivered": self.delivered,
            "fault": self.fault,
        }


def known_sessions(platform: F1Platform) -> list[SessionKey]:
    """Sessions of which files are held or rows are stored, sorted."""
    stored = {
        SessionKey.parse(partition["session"])
        for table in (TABLE_OF["f1_messages"], F1_QUALITY_METRICS)
        for partition in platform.lake.partitions(table)
    }
    return sorted({*sessions_held(platform.store), *stored})


def known_session(platform: F1Platform, text: str) -> SessionKey:
    """The session of that key; NoSuchSession if nothing of it is held, BadSessionKey."""
    known = known_sessions(platform)
    if text not in map(str, known):
        raise NoSuchSession(str(SessionKey.parse(text)), [str(key) for key in known])
    return SessionKey.parse(text)


def table_named(name: str) -> Table:
    """The table of sessions of that name; NoSuchSessionTable."""
    for table in TABLES:
        if name in (table.name, table.name.removeprefix("f1_")):
            return table
    raise NoSuchSessionTable(name)


def standings(platform: F1Platform, keys: Sequence[SessionKey]) -> list[Standing]:
    """How sessions stand; tables are read once for all of them."""
    live = {table.name: live_commits(platform.lake, table) for table in TABLES}
    held = set(sessions_held(platform.store))
    judged = _judged(platform)
    found: list[Standing] = []
    for key in keys:
        rows = {
            name: commits[str(key),].rows
            for name, commits in live.items()
            if (str(key),) in commits
        }
        failed, score = judged.get(str(key), (0, None))
        late: tuple[str, ...] = ()
        fault = ""
        if key in held:
            try:
                late = tuple(late_assets(platform, key))
            except NgsimAssetsError as error:
                fault = str(error)
        found.append(Standing(key, rows, score, failed, late, key in held, fault))
    return found


def late_assets(platform: F1Platform, key: SessionKey) -> list[str]:
    """Assets of a session that a build would write, in building order.

    A table whose files are gone or of another size is one of them, and so is a report whose files
    are not of the metrics that are stored.
    """
    version = version_of(platform, key).version
    late = out_of_date(platform, key, version, sound=lambda commit: whole(platform, commit))
    if REPORT not in late and report_fault(platform, key):
        late.append(REPORT)
    return late


def report_fault(platform: F1Platform, key: SessionKey) -> str:
    """What is wrong with a report's files; empty if they are of the stored metrics, or none is."""
    metrics = platform.lake.current(F1_QUALITY_METRICS, identity(key))
    return "" if metrics is None else reporting.report_fault(platform, key, metrics)


def stored_report(platform: F1Platform, key: SessionKey) -> DataQualityReport:
    """The report of a session as it was last made, without pictures; NoSessionReport if never."""
    path = report_folder(platform.reports, key) / "report.json"
    if not path.exists():
        raise NoSessionReport(key)
    return DataQualityReport.model_validate_json(path.read_text())


def failed_builds(settings: Settings) -> list[failures.Failure]:
    """Builds of sessions that failed and have not succeeded since."""
    return [one for one in failures.standing(settings) if is_session(one.recording)]


def is_session(text: str) -> bool:
    """Whether a text is the key of a session."""
    try:
        SessionKey.parse(text)
    except BadSessionKey:
        return False
    return True


def _judged(platform: F1Platform) -> dict[str, tuple[int, float | None]]:
    """Metrics outside limits, and the score, by session."""
    judged = (
        platform.lake.scan(F1_QUALITY_METRICS)
        .group_by("session")
        .agg(
            (~pl.col("passed")).sum(),
            pl.col("value").filter(pl.col("metric") == QUALITY_SCORE).first(),
        )
    )
    told: dict[str, tuple[int, float | None]] = {}
    # a file that is damaged makes its table out of date, and that is told
    with suppress(OSError, pl.exceptions.ComputeError):
        for session, failed, score in judged.collect().iter_rows():
            told[session] = (failed, score)
    return told
