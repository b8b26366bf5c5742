"""What telemetry costs: rows a second from a recording's lines to a Parquet file.

Usage: python benchmarks/f1_telemetry.py [RECORDING] [TIMES]

The recording is read TIMES times over, its messages handed on as if of one long session. A row is
one car at one moment (six channels, or three coordinates). Two threads, as the platform has two
cores: one reads lines and inflates, the other decodes and writes; the kernel, zlib and Parquet let
go of the interpreter while they work.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import polars as pl

from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.origin import Origin
from ngsim_assets.f1.reading.messages import Message
from ngsim_assets.f1.reading.recordings import read_file
from ngsim_assets.f1.simulate import MockTelemetryGenerator, MockTimingGenerator, Scenario
from ngsim_assets.f1.simulation.scenario import LEAD_IN
from ngsim_assets.f1.simulation.wire import write_recording
from ngsim_assets.f1.telemetry.streams import Rows, car_data, positions

RECORDING = Path(os.environ.get("NGSIM_REAL_DATA", "../shared/data")) / (
    "f1/recordings/2024-10-26_mexico_fp3_presession_car_and_position.txt"
)
SESSION = "2024-10-26_mexico-city_practice-3"
ORIGIN = Origin(SessionKey.parse(SESSION), "signalr")
T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[T, float, float]:
    """Result, seconds that passed and seconds of processors."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def decode(messages: list[Message]) -> tuple[Rows, Rows]:
    """Rows of car data and of positions."""
    cars, places = car_data(messages, ORIGIN), positions(messages, ORIGIN)
    assert cars is not None
    assert places is not None
    return cars, places


def store(rows: tuple[Rows, Rows], folder: Path, part: int) -> int:
    """Write both tables; rows decoded."""
    for name, found in zip(("cars", "positions"), rows, strict=True):
        found.measured.frame.write_parquet(folder / f"{name}-{part}.parquet", compression="zstd")
    return sum(found.decoded for found in rows)


def decode_and_store(messages: list[Message], folder: Path, part: int) -> int:
    """Rows decoded of one turn."""
    return store(decode(messages), folder, part)


def whole_way(recording: Path, times: int, folder: Path) -> int:
    """Lines to Parquet, reading one turn ahead of writing; rows decoded."""
    done: list[Future[int]] = []
    with ThreadPoolExecutor(1) as writer:
        for part in range(times):
            reading = read_file(recording, SESSION)
            if part >= 2:
                done[part - 2].result()  # no more than two turns in memory
            done.append(writer.submit(decode_and_store, reading.messages, folder, part))
        return sum(future.result() for future in done)


def measure(recording: Path, times: int, folder: Path) -> None:
    """Print the table of one recording."""
    messages = read_file(recording, SESSION).messages
    turns, *spent = timed(lambda: [decode(messages) for _ in range(times)])
    rows = sum(found.decoded for turn in turns for found in turn)
    report = [("decode messages to rows", rows, *spent)]
    _, *spent = timed(lambda: [store(turn, folder, part) for part, turn in enumerate(turns)])
    report.append(("write Parquet", rows, *spent))
    cars, places = turns[0]
    count, *spent = timed(lambda: whole_way(recording, times, folder))
    report.append(("lines to Parquet, two threads", count, *spent))
    stored = sum(path.stat().st_size for path in folder.glob("*-0.parquet"))
    table = pl.DataFrame(
        [(what, n, wall, cpu, round(n / wall), round(n / cpu)) for what, n, wall, cpu in report],
        schema=["step", "rows", "seconds", "cpu seconds", "rows/s", "rows/cpu s"],
        orient="row",
    )
    print(f"{times} x {recording.name}: car data {cars.decoded:,}, positions {places.decoded:,}")
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=130, thousands_separator=","):
        print(table)
    print(f"nulled {dict(cars.measured.nulled)} {dict(places.measured.nulled)}")
    each = stored / (cars.decoded + places.decoded)
    print(f"other cars {dict(places.measured.other_cars)}; {each:.1f} bytes a row stored\n")


def driven(folder: Path) -> Path:
    """A simulated recording of cars that all drive, where the real one has most of them parked."""
    scenario = Scenario("spa", laps=8)
    race = MockTimingGenerator(scenario).race
    cars = MockTelemetryGenerator(scenario, race, span=(LEAD_IN, LEAD_IN + 600_000))
    return write_recording(cars.messages(), scenario.feed_start, folder / "simulated.txt")


def main() -> None:
    """Print the tables."""
    recording = Path(sys.argv[1]) if len(sys.argv) > 1 else RECORDING
    times = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    decode(read_file(recording, SESSION).messages[:50])  # compiles, or fetches what was compiled
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        measure(recording, times, folder)
        measure(driven(folder), times, folder)


if __name__ == "__main__":
    main()
