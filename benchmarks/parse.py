"""Reading a delivered file: this package against polars, on the same rows, in one run.

    python -m benchmarks.parse [--rows 1000000] [--rounds 5]

Rows of random numbers with the widths of real ones are written as freeway text and as unified
export. Rounds are interleaved and the best of each contender counts, because the machine may be
shared: ratios and processor time mean more than rows per second. polars cannot read runs of
blanks, so for the text it gets the same rows as CSV. What was read is compared with what was
written before anything is printed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ngsim_assets.highway.formats import LAYOUTS, LOCATIONS, RAW_PHYSICAL
from ngsim_assets.highway.simulation.write_source import write_rows
from ngsim_assets.highway.source import SourceMember, read_batches


def random_rows(rows: int) -> pl.DataFrame:
    """Raw rows in physical units, in no order, arterial columns absent as on freeways."""
    chance = np.random.default_rng(1)
    frame = chance.integers(1, 10_000, rows)
    made = {
        "vehicle_id": chance.integers(1, 3_000, rows),
        "frame_id": frame,
        "total_frames": chance.integers(200, 1_600, rows),
        "global_time": 1_118_846_978_900 + 100 * frame,
        "local_x": chance.integers(0, 90_000, rows),
        "local_y": chance.integers(0, 2_200_000, rows),
        "global_x": 6_451_137_641 + chance.integers(0, 2_000_000, rows),
        "global_y": 1_873_344_962 + chance.integers(0, 2_000_000, rows),
        "v_length": 10 * chance.integers(100, 700, rows),
        "v_width": 10 * chance.integers(40, 90, rows),
        "v_class": chance.integers(1, 4, rows),
        "v_vel": chance.integers(0, 9_000, rows),
        "v_acc": chance.integers(-1_120, 1_120, rows),
        "lane_id": chance.integers(1, 9, rows),
        "preceding": chance.integers(0, 3_000, rows),
        "following": chance.integers(0, 3_000, rows),
        "space_headway": chance.integers(0, 40_000, rows),
        "time_headway": np.where(
            chance.random(rows) < 0.05, 999_999, chance.integers(0, 900, rows)
        ),
        "location": chance.integers(0, len(LOCATIONS.categories), rows).astype(np.uint8),
    }
    series = [
        pl.Series(name, made[name]).cat.to(LOCATIONS)
        if name == "location"
        else pl.Series(name, made.get(name, [None] * rows), dtype=dtype)
        for name, dtype in RAW_PHYSICAL.items()
    ]
    return pl.DataFrame(series)


def ours(path: Path, threads: int = 2) -> pl.DataFrame:
    """All batches of a file, as one frame."""
    return pl.concat(list(read_batches(SourceMember(path), threads=threads)))


def theirs(path: Path) -> pl.DataFrame:
    """The same file by polars; columns with thousands separators stay text."""
    return pl.read_csv(path, infer_schema_length=10_000)


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to read one file; `peer` is the one it is compared with."""

    name: str
    path: Path
    run: Callable[[], object]
    peer: str


def fastest(contenders: list[Contender], rounds: int) -> dict[str, tuple[float, float]]:
    """Wall and processor seconds, each of the best round, after one that does not count."""
    best = dict.fromkeys((each.name for each in contenders), (float("inf"), float("inf")))
    for turn in range(rounds + 1):
        for each in contenders:
            wall, processor = time.perf_counter(), time.process_time()
            each.run()
            if turn:
                spent = (time.perf_counter() - wall, time.process_time() - processor)
                best[each.name] = (
                    min(best[each.name][0], spent[0]),
                    min(best[each.name][1], spent[1]),
                )
    return best


def main() -> None:
    """Write, check, measure, print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    rows = random_rows(options.rows)
    with tempfile.TemporaryDirectory() as folder:
        text, export, csv = (Path(folder, name) for name in ("a.txt", "b.csv", "c.csv"))
        write_rows([rows], text, "text")
        write_rows([rows], export, "export")
        write_rows([rows], csv, "csv")
        freeway = list(LAYOUTS["freeway_text"].columns)
        assert ours(export).select(rows.columns).equals(rows)
        assert ours(text).select(freeway).equals(rows.select(freeway))
        as_csv, as_export = "text as CSV, polars.read_csv", "export, polars.read_csv"
        contenders = [
            Contender("text, 2 threads", text, lambda: ours(text), as_csv),
            Contender("text, 1 thread", text, lambda: ours(text, 1), as_csv),
            Contender(as_csv, csv, lambda: theirs(csv), as_csv),
            Contender("export, 2 threads", export, lambda: ours(export), as_export),
            Contender("export, 1 thread", export, lambda: ours(export, 1), as_export),
            Contender(as_export, export, lambda: theirs(export), as_export),
        ]
        best = fastest(contenders, options.rounds)
        for each in contenders:
            wall, processor = best[each.name]
            peer_wall, peer_processor = best[each.peer]
            print(
                f"{each.name:30} {options.rows / wall / 1e6:6.2f} M rows/s"
                f" {each.path.stat().st_size / wall / 1e6:6.0f} MB/s"
                f" {processor / options.rows * 1e9:6.0f} ns of processor per row;"
                f" {peer_wall / wall:5.2f} x polars,"
                f" {peer_processor / processor:5.2f} x per processor second"
            )


if __name__ == "__main__":
    main()
