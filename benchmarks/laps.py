"""Laps of real sessions against FastF1's, and how fast they are made.

    python benchmarks/laps.py DATA

DATA is a folder with `livetiming/` (the tree of the archive) and `fastf1_laps/` (tables that
FastF1 made of some of its sessions). Prints a table per session, the differences by cause, and
every difference; rates are per second of processor time.

A lap counts if FastF1 has a lap time of it ("timed"), and it is equal if its lap time and its
three sectors are, to the millisecond. Three shares are told, since they say different things:

    feed alone      laps made of the feed and nothing else, of all timed laps
    in the feed     the same, of the timed laps whose time the feed tells at all
    with results    laps made of the feed and of first laps out of a service of results, of all
                    timed laps

No feed tells how long the first lap of a race took: FastF1 has that from Ergast. Its table is the
service of results here, for first laps and for nothing else, so their lap times are equal because
they are the same; their sectors are still those of the feed.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ngsim_assets.f1.clock import clock_of
from ngsim_assets.f1.origin import Origin
from ngsim_assets.f1.reading.feed_lines import read_folder
from ngsim_assets.f1.sessions import of_messages
from ngsim_assets.f1.timing.comparison import EXPLANATIONS, Comparison, compare, fastf1_laps
from ngsim_assets.f1.timing.session import fold_session
from ngsim_assets.f1.validate import Validated, validated_laps


@dataclass(frozen=True, slots=True)
class Compared:
    """One session. first_laps: lap times that the service of results told."""

    session: str
    alone: Comparison
    with_results: Comparison
    first_laps: int
    costs: str


def main() -> None:
    data = Path(sys.argv[1])
    compared = [compared_with(table, data) for table in sorted(data.glob("fastf1_laps/*.laps.*"))]
    print("session | messages | read/s | folded/s | checked/s")
    for one in compared:
        print(f"{one.session} | {one.costs}")
    print(
        "\nsession | laps | FastF1 | timed | feed alone | in the feed | first laps told"
        " | with results"
    )
    for one in compared:
        print(shares(one.session, [one]))
    print(shares("all", compared))
    causes(compared)
    with pl.Config(
        tbl_rows=-1, tbl_hide_dataframe_shape=True, fmt_str_lengths=40, tbl_width_chars=140
    ):
        print(
            pl.concat(
                one.alone.differences.select(pl.lit(one.session).alias("session"), pl.all())
                for one in compared
            )
        )


def compared_with(table: Path, data: Path) -> Compared:
    """The laps of one session against the table FastF1 made of it."""
    folder = folder_of(data / "livetiming", table.name.removesuffix(".laps.csv.gz"))
    began = time.process_time()
    readings = [reading for _, reading in read_folder(folder, "session")]
    messages = [message for reading in readings for message in reading.messages]
    read = time.process_time()
    info = of_messages(messages)
    assert info is not None
    clock = clock_of(messages, info)
    origin = Origin(info.key, "livetiming")
    tables, account = fold_session(messages, origin, clock=clock)
    folded = time.process_time()
    assert account.complete
    checked, took = _quickest(tables.laps, race=info.kind == "race")
    assert checked.complete
    reference = fastf1_laps(table)
    first = first_laps(reference) if info.kind == "race" else {}
    again = (
        fold_session(messages, origin, clock=clock, first_laps=first)[0].laps
        if first
        else tables.laps
    )
    lines = sum(reading.lines for reading in readings)
    return Compared(
        str(info.key),
        compare(tables.laps, reference),
        compare(again, reference),
        again.filter(pl.col("lap_time_from") == "results").height,
        f"{len(messages):,} | {lines / (read - began):,.0f}"
        f" | {len(messages) / (folded - read):,.0f} | {checked.rows / took:,.0f}",
    )


def first_laps(reference: pl.DataFrame) -> dict[int, int]:
    """Lap times of first laps by car, as the service of results has them: without a sector 1."""
    told = reference.filter(
        pl.col("lap_number") == 1,
        pl.col("lap_time_ms").is_not_null(),
        pl.col("sector1_ms").is_null(),
    )
    return dict(told.select("driver_number", "lap_time_ms").iter_rows())


def shares(name: str, of: Sequence[Compared]) -> str:
    """The three shares of one session, or of all."""
    alone, with_results = [one.alone for one in of], [one.with_results for one in of]
    timed = sum(one.timed for one in alone)
    equal = sum(one.equal for one in alone)
    told = timed - sum(one.untold for one in alone)
    completed = sum(one.equal for one in with_results)
    return (
        f"{name} | {sum(one.laps for one in alone)} | {sum(one.reference for one in alone)}"
        f" | {timed} | {equal} ({equal / timed:.2%}) | {equal} of {told} ({equal / told:.2%})"
        f" | {sum(one.first_laps for one in of)} | {completed} ({completed / timed:.2%})"
    )


def causes(compared: Sequence[Compared]) -> None:
    """Print how many laps differ for which reason, without results and with them."""
    print("\ncause | laps, feed alone | laps, with results | meaning")
    for why, meaning in EXPLANATIONS.items():
        alone = sum(one.alone.reasons.get(why, 0) for one in compared)
        results = sum(one.with_results.reasons.get(why, 0) for one in compared)
        print(f"{why} | {alone} | {results} | {meaning}")


def _quickest(laps: pl.DataFrame, *, race: bool) -> tuple[Validated, float]:
    """The laps judged, and the seconds that took at best: the first time compiles the rules."""
    times: list[float] = []
    while True:
        began = time.process_time()
        checked = validated_laps(laps, race=race)
        times.append(time.process_time() - began)
        if len(times) == 3:
            return checked, min(times)


def folder_of(archive: Path, name: str) -> Path:
    """The archive's folder of `2018_Azerbaijan_Grand_Prix_Race`."""
    year = name[:4]
    for folder in sorted((archive / year).glob("*/*")):
        meeting, session = (re.sub(r"^\d{4}-\d\d-\d\d_", "", part) for part in folder.parts[-2:])
        if name == f"{year}_{meeting}_{session}":
            return folder
    raise SystemExit(f"no folder of {name} below {archive}")


if __name__ == "__main__":
    main()
