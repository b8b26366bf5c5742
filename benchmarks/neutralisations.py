"""Neutralisations of the labelled sessions: phases from status, and what lap times alone find.

Usage: python benchmarks/neutralisations.py [FOLDER]

FOLDER holds livetiming/ and fastf1_laps/. Lap tables of FastF1 are used where a session has one,
and our own where the archive has TimingData; in every race the laps of the leader, which LapCount
tells, are a field of one car whose stops cannot be told. A lap is of a phase if at least half of
it is under one, free if none of it is; laps in between are not judged.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ngsim_assets.f1.clock import clock_of
from ngsim_assets.f1.neutralisations.detector import Detected, detect
from ngsim_assets.f1.neutralisations.evidence import (
    Evidence,
    LeaderLap,
    laps_of,
    leader_of,
    of_messages,
)
from ngsim_assets.f1.neutralisations.messages import changes_of
from ngsim_assets.f1.neutralisations.phases import Phase, phases
from ngsim_assets.f1.neutralisations.table import MOST_OF_A_LAP, neutralisations, share_under
from ngsim_assets.f1.origin import Origin
from ngsim_assets.f1.reading.feed_lines import read_file, topic_of
from ngsim_assets.f1.sessions import SessionInfo
from ngsim_assets.f1.sessions import of_messages as session_of
from ngsim_assets.f1.timing.session import fold_session

FOLDER = Path(os.environ.get("NGSIM_REAL_DATA", "../shared/data")) / "f1"
TOPICS = (
    "SessionInfo",
    "TrackStatus",
    "RaceControlMessages",
    "SessionStatus",
    "LapCount",
    "TimingData",
)


@dataclass(frozen=True, slots=True)
class Score:
    """How lap times alone did on one session."""

    laps_from: str
    under: int
    found: int
    free: int
    false: list[int]
    partly: int
    not_judged: int
    reason: str | None


def sessions(root: Path) -> list[tuple[SessionInfo, Evidence]]:
    """Every session of the archive below `root`, with our own laps where it has their feed."""
    found: list[tuple[SessionInfo, Evidence]] = []
    for folder in sorted(root.glob("livetiming/*/*/*/")):
        messages = [
            message
            for path in sorted(folder.glob("*.jsonStream"))
            if topic_of(path.name) in TOPICS
            for message in read_file(path, folder.name).messages
        ]
        info = session_of(messages)
        if info is not None:
            laps = None
            if any(message.topic == "TimingData" for message in messages):
                origin = Origin(info.key, "livetiming")
                laps = fold_session(messages, origin, clock=clock_of(messages))[0].laps
            found.append((info, of_messages(messages, laps)))
    return found


def fastf1_laps(root: Path, info: SessionInfo) -> pl.DataFrame | None:
    """The lap table FastF1 made of a session, with the columns the detector reads."""
    meeting = info.meeting.replace(" ", "_")
    path = root / "fastf1_laps" / f"{info.date.year}_{meeting}_{info.name}.laps.csv.gz"
    if not path.is_file():
        return None
    seconds = {
        "lap_time_ms": "LapTime",
        "lap_start_ms": "LapStartTime",
        "lap_end_ms": "Time",
        "pit_in_ms": "PitInTime",
        "pit_out_ms": "PitOutTime",
    }
    return pl.read_csv(path, infer_schema_length=None).select(
        pl.col("DriverNumber").cast(pl.Int32).alias("driver_number"),
        pl.col("LapNumber").cast(pl.Int32).alias("lap_number"),
        *(
            (pl.col(name).cast(pl.Float64) * 1000).round().cast(pl.Int64).alias(ours)
            for ours, name in seconds.items()
        ),
    )


def score(
    detected: Detected, leader: Sequence[LeaderLap], of_status: Sequence[Phase], laps_from: str
) -> Score:
    """Laps under a phase that were found, and laps free of one that were called neutralised."""
    judged = {
        number: called
        for number, called, ratio in detected.laps.select(
            "lap_number", "neutralised", "ratio"
        ).iter_rows()
        if ratio is not None or called
    }
    under = found = free = partly = unknown = 0
    false: list[int] = []
    for lap in leader:
        if lap.end_ms is None:
            continue
        share = sum(
            share_under(lap, phase.start.ms, phase.end.ms if phase.end else lap.end_ms)
            for phase in of_status
        )
        called = judged.get(lap.number)
        if share >= MOST_OF_A_LAP:
            under += 1
            found += called is True
        elif share > 0:
            partly += 1
        elif called is None:
            unknown += 1
        else:
            free += 1
            false += [lap.number] if called else []
    return Score(laps_from, under, found, free, false, partly, unknown, detected.reason)


def differences(evidence: Evidence, of_status: Sequence[Phase]) -> float:
    """The largest distance of a start or end in seconds between status and race control."""
    said = phases(changes_of(evidence.told or ()), evidence.end)
    apart: list[int] = []
    for phase in of_status:
        twin = min(said, key=lambda other: abs(other.start.ms - phase.start.ms))
        assert twin.kind == phase.kind
        apart.append(abs(twin.start.ms - phase.start.ms))
        if twin.end is not None and phase.end is not None:
            apart.append(abs(twin.end.ms - phase.end.ms))
    return max(apart, default=0) / 1000


def main() -> None:
    """Print both tables."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    frames: list[pl.DataFrame] = []
    scores: list[tuple[object, ...]] = []
    for info, evidence in sessions(root):
        frames.append(neutralisations(info.key, evidence).frame)
        of_status = phases(evidence.changes, evidence.end)
        apart = differences(evidence, of_status)
        kinds: list[tuple[pl.DataFrame, str]] = []
        theirs = fastf1_laps(root, info)
        if theirs is not None:
            kinds.append((theirs, "field (FastF1)"))
        if evidence.laps is not None:
            kinds.append((evidence.laps, "field (ours)"))
        if any(lap.end_ms is not None for lap in evidence.leader) and info.kind == "race":
            kinds.append((laps_of(evidence.leader), "leader (LapCount)"))
        for table, laps_from in kinds:
            leader = evidence.leader or leader_of(table)
            s = score(detect(table), leader, of_status, laps_from)
            scores.append(
                (
                    str(info.key),
                    len(of_status),
                    apart,
                    s.laps_from,
                    f"{s.found} of {s.under}" if s.reason is None else s.reason,
                    f"{len(s.false)} of {s.free}" if s.reason is None else "",
                    ", ".join(map(str, s.false)),
                    s.partly,
                    s.not_judged,
                )
            )
    shown = pl.concat(frames).select(
        "session",
        "kind",
        pl.col("start_ms", "end_ms", "ending_ms") / 1000,
        pl.concat_str("start_lap", pl.lit("-"), "end_lap").alias("laps"),
        "cause",
        "confirmed",
        "seen_in_laps",
        "evidence",
    )
    columns = ["session", "phases", "rc apart s", "laps from", "found", "false", "which"]
    scored = pl.DataFrame(scores, schema=[*columns, "partly", "no laps"], orient="row")
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=220, fmt_str_lengths=50):
        print(shown)
        print(scored)


if __name__ == "__main__":
    main()
