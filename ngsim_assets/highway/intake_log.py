"""What a run says of the files it takes in: lines while it goes on, lists when it is done.

Belongs here: what is said of each result. Does not belong here: where it is shown (sensors.py).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Protocol

from ngsim_assets.acquisition.incremental import Gone, Postponed
from ngsim_assets.highway.arrival.intake_results import Intake, IntakeProgress, Rejected

_PROGRESS_EVERY = 10.0


class Log(Protocol):
    """What lines are written to."""

    def info(self, msg: str) -> None:
        """Write a line."""
        ...

    def warning(self, msg: str) -> None:
        """Write a line that somebody should see."""
        ...


class IntakeLog:
    """Results of one run, each told to `log` as it comes; progress at most every ten seconds."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._said = time.monotonic()
        self._taken: list[Intake] = []
        self._rejected: list[Rejected] = []
        self._gone: list[Gone] = []
        self._postponed: list[Postponed] = []

    def progress(self, seen: IntakeProgress) -> None:
        """How far a file is, if it is time to say so again."""
        if time.monotonic() - self._said < _PROGRESS_EVERY:
            return
        self._said = time.monotonic()
        share = seen.bytes_done / seen.bytes_total if seen.bytes_total else 1.0
        self._log.info(
            f"{seen.name}: {share:.0%} of {seen.bytes_total / 1e6:,.0f} MB, {seen.rows:,} rows"
        )

    def result(self, result: Intake | Rejected | Gone | Postponed) -> None:
        """What became of a file."""
        match result:
            case Intake():
                self._taken.append(result)
                self._log.info(result.sentence())
            case Rejected():
                self._rejected.append(result)
                self._log.warning(f"rejected: {result.error}")
            case Gone():
                self._gone.append(result)
                self._log.warning(result.sentence())
            case Postponed():
                self._postponed.append(result)
                self._log.info(result.sentence())

    def counts(self) -> dict[str, int]:
        """How many files came to what, and the rows that were read."""
        return {
            "files taken in": len(self._taken),
            "files rejected": len(self._rejected),
            "files gone": len(self._gone),
            "files postponed": len(self._postponed),
            "rows": sum(intake.rows for intake in self._taken),
        }

    def lists(self) -> Mapping[str, list[dict[str, str | int]]]:
        """A line per file, by what it came to; no list is empty."""
        lists: dict[str, list[dict[str, str | int]]] = {
            "taken in": [
                {
                    "file": intake.name,
                    "rows": intake.rows,
                    "recordings": ", ".join(intake.partitions),
                    "of no recording": intake.unassigned,
                    "no longer delivered": ", ".join(sorted(intake.dropped)),
                    "note": intake.note,
                }
                for intake in self._taken
            ],
            "rejected": [
                {
                    "file": bad.name,
                    "problem": bad.error.problem,
                    "fix": bad.error.fix,
                    "moved to": str(bad.aside or ""),
                }
                for bad in self._rejected
            ],
            "gone": [
                {"file": str(gone.path), "rows kept of": ", ".join(gone.partitions)}
                for gone in self._gone
            ],
            "postponed": [
                {"file": str(file.path), "reason": file.reason} for file in self._postponed
            ],
        }
        return {name: rows for name, rows in lists.items() if rows}
