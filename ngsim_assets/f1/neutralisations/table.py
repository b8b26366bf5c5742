"""Rows of f1_neutralisations: status first, race control to confirm, lap times to cross-check.

Belongs here: which phases there are once all three have spoken. Does not belong here: how each of
them finds its own (phases.py, messages.py, detector.py), reading.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.neutralisations.detector import Detected, DetectedPhase, detect
from ngsim_assets.f1.neutralisations.evidence import Evidence, LeaderLap, laps_of
from ngsim_assets.f1.neutralisations.messages import Told, cause_of, changes_of
from ngsim_assets.f1.neutralisations.model import F1_NEUTRALISATIONS
from ngsim_assets.f1.neutralisations.phases import Flag, Moment, Phase, phases

TOLERANCE_MS = 5_000
"""How far apart status and race control may be; in real sessions they are 0.4 s at most."""

RACE_CONTROL_CONFIDENCE = 0.9
MOST_OF_A_LAP = 0.5
"""Share of a lap under a phase from which the lap is the phase's."""


@dataclass(frozen=True, slots=True)
class Found:
    """Neutralisations of one session.

    Attributes:
        frame: rows of f1_neutralisations.
        detected: what lap times alone show, None without laps.
    """

    frame: pl.DataFrame
    detected: Detected | None


@dataclass(frozen=True, slots=True)
class _Row:
    phase: Phase
    evidence: str
    confidence: float
    confirmed: bool | None
    seen_in_laps: bool | None
    laps: tuple[int, int] | None
    cause: tuple[str | None, str | None] = (None, None)
    flags: list[Flag] = field(default_factory=list[Flag])


def neutralisations(session: SessionKey, known: Evidence, *, simulated: bool = False) -> Found:
    """Phases of one session, by all that is known of it.

    Without laps the detector is given those of the leader, if LapCount told them.
    """
    laps = laps_of(known.leader) if known.laps is None else known.laps
    of_status = phases(known.changes, known.end)
    said = None if known.told is None else phases(changes_of(known.told), known.end)
    detected = None if laps.is_empty() else detect(laps)
    rows = [_of_status(phase, said, known.told) for phase in of_status]
    rows += [
        _of_known(phase, "race_control", RACE_CONTROL_CONFIDENCE, known.told, confirmed=True)
        for phase in said or ()
        if not any(_overlap(phase, other) for other in of_status)
    ]
    # where everyone runs laps of their own, as in qualifying, none is the leader's
    race = detected is None or detected.reason != "no_race"
    placed = [_placed(row, known.leader if race else (), detected) for row in rows]
    if detected is not None:
        placed += [
            _of_laps(phase)
            for phase in detected.phases
            if not any(_touches(row, phase) for row in placed)
        ]
    return Found(_frame(session, placed, simulated=simulated), detected)


def _of_status(phase: Phase, said: Sequence[Phase] | None, told: Sequence[Told] | None) -> _Row:
    if said is None:
        return _of_known(phase, "status", 1.0, told, None)
    twins = [other for other in said if _same(phase, other)]
    if not twins:
        twins = [other for other in said if _began_before(phase, other)]
        if twins:
            # whoever joins late sees the status that is in force, and not since when it is
            flags: tuple[Flag, ...] = (*phase.flags, "start_from_race_control")
            phase = replace(phase, start=twins[0].start, flags=flags)
    if twins and phase.ending is None:
        # the status does not tell that the safety car comes in this lap, race control does
        phase = replace(phase, ending=twins[0].ending)
    return _of_known(phase, "status", 1.0, told, bool(twins))


def _same(phase: Phase, other: Phase) -> bool:
    apart = abs(other.start.ms - phase.start.ms)
    return other.kind == phase.kind and apart <= TOLERANCE_MS


def _began_before(phase: Phase, other: Phase) -> bool:
    """Whether `other` was on already when `phase` was first seen."""
    on = other.end is None or other.end.ms > phase.start.ms
    return other.kind == phase.kind and other.start.ms < phase.start.ms and on


def _overlap(one: Phase, other: Phase) -> bool:
    """Whether two phases of one kind share time, or nearly."""
    starts = max(one.start.ms, other.start.ms)
    ends = min(phase.end.ms if phase.end else starts for phase in (one, other))
    return one.kind == other.kind and starts <= ends + TOLERANCE_MS


def _of_known(
    phase: Phase,
    evidence: str,
    confidence: float,
    told: Sequence[Told] | None,
    confirmed: bool | None,
) -> _Row:
    flags: list[Flag] = [*phase.flags]
    if confirmed is False:
        flags.append("not_confirmed")
    if evidence == "race_control":
        flags.append("not_in_status")
    cause = cause_of(phase, told or ())
    return _Row(phase, evidence, confidence, confirmed, None, None, cause, flags)


def _placed(row: _Row, leader: Sequence[LeaderLap], detected: Detected | None) -> _Row:
    """The row with the leader's laps it touches and whether lap times show it."""
    start, end = row.phase.start.session_time, row.phase.end
    if start is None or not leader:
        return row
    until = end.session_time if end is not None else None
    last = start if until is None else max(start, until)
    touched = [lap for lap in leader if lap.start_ms <= last and (lap.end_ms or last) >= start]
    if not touched:
        return row
    seen = _seen(start, last, touched, detected)
    span = (touched[0].number, touched[-1].number)
    return _Row(
        row.phase, row.evidence, row.confidence, row.confirmed, seen, span, row.cause, row.flags
    )


def _seen(
    start: int, end: int, touched: Sequence[LeaderLap], detected: Detected | None
) -> bool | None:
    if detected is None or detected.reason is not None:
        return None
    mostly = [lap.number for lap in touched if share_under(lap, start, end) >= MOST_OF_A_LAP]
    judged = detected.laps.filter(
        pl.col("lap_number").is_in(mostly) & pl.col("ratio").is_not_null()
    )
    return bool(judged["neutralised"].any()) if judged.height else None


def share_under(lap: LeaderLap, start_ms: int, end_ms: int) -> float:
    """Share of a lap that lies between two moments; 0 of a lap that is still on."""
    if lap.end_ms is None or lap.end_ms <= lap.start_ms:
        return 0.0
    shared = min(lap.end_ms, end_ms) - max(lap.start_ms, start_ms)
    return max(0.0, shared / (lap.end_ms - lap.start_ms))


def _touches(row: _Row, phase: DetectedPhase) -> bool:
    # laps at both ends of a phase are slow in part, and the restart after it is too
    return row.laps is not None and (
        row.laps[0] - 1 <= phase.last_lap and phase.first_lap <= row.laps[1] + 1
    )


def _of_laps(phase: DetectedPhase) -> _Row:
    start = Moment(phase.start_ms)
    end = None if phase.end_ms is None else Moment(phase.end_ms)
    return _Row(
        Phase(phase.kind, start, end),
        "lap_times",
        phase.confidence,
        confirmed=False,
        seen_in_laps=True,
        laps=(phase.first_lap, phase.last_lap),
        flags=["only_in_lap_times"],
    )


def _frame(session: SessionKey, rows: Sequence[_Row], *, simulated: bool) -> pl.DataFrame:
    ordered = sorted(rows, key=lambda row: row.phase.start.session_time or 0)
    records: list[dict[str, Any]] = []
    for number, row in enumerate(ordered, start=1):
        phase, span = row.phase, row.laps
        records.append(
            {
                "session": str(session),
                "date": session.date,
                "number": number,
                "kind": phase.kind,
                "evidence": row.evidence,
                "start_ms": phase.start.session_time,
                "end_ms": phase.end.session_time if phase.end else None,
                "start_timestamp": phase.start.timestamp,
                "end_timestamp": phase.end.timestamp if phase.end else None,
                "ending_ms": phase.ending.session_time if phase.ending else None,
                "start_lap": span[0] if span else None,
                "end_lap": span[1] if span else None,
                "laps": span[1] - span[0] + 1 if span else None,
                "cause": row.cause[0],
                "cause_text": row.cause[1],
                "confirmed": row.confirmed,
                "seen_in_laps": row.seen_in_laps,
                "confidence": row.confidence,
                "simulated": simulated,
                "flags": row.flags,
            }
        )
    return pl.DataFrame(records, schema=F1_NEUTRALISATIONS.schema)
