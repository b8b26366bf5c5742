"""What Formula 1 costs on the way that the platform goes: timing, telemetry, quality.

    python benchmarks/f1_throughput.py [DATA]

DATA is a folder with `livetiming/` and `recordings/`. Its sessions are taken in and stored in a
folder of their own, by the same code as assets and commands run. Rates are per second on the clock,
which is what counts, and per second of processors, which does not depend on who else works; each
of all sessions together, after one that loads and compiles what they share:

    timing      messages, from files in the store to rows in the lake: read, told apart, folded,
                judged and written, with everything recorded
    telemetry   points, a car at a moment with all its channels, on the same way; the recording is
                the only session
    quality     rows judged by every rule of their table; then rows of all tables that a report
                with its metrics and pictures is made of
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from ngsim_assets.f1.delivered import delivered
from ngsim_assets.f1.folded import folded
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.model import (
    F1_LAPS,
    F1_RACE_CONTROL,
    F1_SESSION_STATUS,
    F1_TRACK_STATUS,
    F1_WEATHER,
)
from ngsim_assets.f1.platform import F1Platform, identity, open_f1
from ngsim_assets.f1.recipes import REPORT, TABLE_OF
from ngsim_assets.f1.reporting import store_report
from ngsim_assets.f1.sessions import kind_of
from ngsim_assets.f1.stages import store_session
from ngsim_assets.f1.taking_in import take_in
from ngsim_assets.f1.validate import (
    validated_laps,
    validated_race_control,
    validated_session_status,
    validated_track_status,
    validated_weather,
)
from ngsim_assets.settings import load_settings

DATA = Path(os.environ.get("NGSIM_REAL_DATA", "../shared/data")) / "f1"
PRACTICE = SessionKey.parse("2024-10-26_mexico-city_practice-3")
WANTED = {"timing": 1_500, "telemetry": 10_000, "quality, rules": 5_000, "quality, report": 5_000}
T = TypeVar("T")
Took = tuple[float, float]


def main() -> None:
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(data=Path(folder) / "data")
        taken = take_in(settings, [data / "livetiming"])
        keys = sorted({item.session for item in taken if item.session is not None})
        take_in(settings, [data / "recordings"], session=PRACTICE)
        platform = open_f1(settings)
        warm = open_f1(load_settings(data=Path(folder) / "warm"))
        for key in (keys[1], PRACTICE):  # loads and compiles; written again below
            store_session(replace(warm, store=platform.store), key)
        store_report(replace(warm, store=platform.store), keys[1])
        done = {
            "timing": stored(platform, keys),
            "telemetry": telemetry(platform),
            "quality, rules": judged(platform, keys),
            "quality, report": reported(platform, [*keys, PRACTICE]),
        }
    print("what | records | s | records/s | records/s of processors | wanted")
    for what, (records, took) in done.items():
        clock, processors = (f"{records / seconds:,.0f}" for seconds in took)
        print(f"{what} | {records:,} | {took[0]:.2f} | {clock} | {processors} | {WANTED[what]:,}")


def timed(work: Callable[[], T]) -> tuple[T, Took]:
    """Result, seconds that passed and seconds of processors."""
    clock, processors = time.perf_counter(), time.process_time()
    result = work()
    return result, (time.perf_counter() - clock, time.process_time() - processors)


def stored(platform: F1Platform, keys: Sequence[SessionKey]) -> tuple[int, Took]:
    """Messages of sessions that became tables."""
    found, seconds = timed(lambda: [store_session(platform, key) for key in keys])
    return sum(session.account["messages"] for session in found), seconds


def telemetry(platform: F1Platform) -> tuple[int, Took]:
    """Points of the recording that became tables: of car data, and of positions."""
    found, seconds = timed(lambda: store_session(platform, PRACTICE))
    return found.rows["f1_telemetry"] + found.rows["f1_positions"], seconds


def judged(platform: F1Platform, keys: Sequence[SessionKey]) -> tuple[int, Took]:
    """Rows of all tables that have rules, judged by them."""
    rows, clock, processors = 0, 0.0, 0.0
    for key in keys:
        told = delivered(platform.store, key)
        found = folded(told).rows
        race = kind_of(key.session) == "race"
        circuit = told.info.circuit if told.info else None
        results, (passed, used) = timed(
            lambda found=found, race=race, circuit=circuit: (
                validated_laps(found[F1_LAPS], race=race),
                validated_weather(found[F1_WEATHER], circuit=circuit),
                validated_track_status(found[F1_TRACK_STATUS]),
                validated_race_control(found[F1_RACE_CONTROL]),
                validated_session_status(found[F1_SESSION_STATUS]),
            )
        )
        rows += sum(result.rows for result in results)
        clock += passed
        processors += used
    return rows, (clock, processors)


def reported(platform: F1Platform, keys: Sequence[SessionKey]) -> tuple[int, Took]:
    """Rows of the tables that reports are made of."""
    _, seconds = timed(lambda: [store_report(platform, key) for key in keys])
    tables = [table for name, table in TABLE_OF.items() if name != REPORT]
    commits = [platform.lake.current(table, identity(key)) for table in tables for key in keys]
    return sum(commit.rows for commit in commits if commit is not None), seconds


if __name__ == "__main__":
    main()
