"""What a change costs: nothing new, the same in another form, one row, one file, everything.

    python -m benchmarks.changes                    1.2 M rows
    python -m benchmarks.changes --rows 12000000    1.5 GB of export, some minutes

A platform holds a unified export of eleven recordings and one more recording as a file of its own.
Then one thing happens at a time: seconds to take in and to build, bytes written by either,
recordings rebuilt, peak memory, and the seconds as a share of building everything anew. Each is
a process of its own. Report pages are left out: they cost the same for every recording.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

RECORDINGS = 11
_SINGLE_MINUTES = 1.0


@dataclass
class Cost:
    """What one change cost.

    Attributes:
        read, built: seconds to take files in, and to build. landed, written: MB written by the
            one and the other. rebuilt: recordings. peak_mb: of the process.
    """

    rows: int = 0
    read: float = 0.0
    built: float = 0.0
    landed: float = 0.0
    written: float = 0.0
    rebuilt: int = 0
    peak_mb: float = 0.0

    @property
    def seconds(self) -> float:
        """Of both."""
        return self.read + self.built


def cost_of(data: Path, files: list[Path], *, force: bool) -> Cost:
    """Take `files` in and build what is out of date, or everything."""
    from ngsim_assets.highway import intake, overview, reporting, stages
    from ngsim_assets.highway.keys import PartitionKey
    from ngsim_assets.settings import load_settings

    platform = stages.open_platform(load_settings(data=data))
    cost = Cost()
    before, begun = _bytes_written(), time.perf_counter()
    cost.rows = sum(
        taken.rows for path in files for taken in intake.take_in(path, platform.landing)
    )
    cost.read, cost.landed = time.perf_counter() - begun, _bytes_written() - before

    before, begun = _bytes_written(), time.perf_counter()
    for key in map(PartitionKey.parse, platform.landing.partitions()):
        # the report, which is not made here, is no reason
        stale = set(overview.stale_tables(platform, key)) - {"quality_metrics", "quality_report"}
        if not stale and not force:
            continue
        cost.rebuilt += 1
        stages.store_raw(platform, key)
        stages.store_validated(platform, key)
        stages.store_cleaned(platform, key)
        stages.store_segments(platform, key)
        stages.store_traffic_state(platform, key)
        reporting.store_metrics(platform, key)
    cost.built, cost.written = time.perf_counter() - begun, _bytes_written() - before
    cost.peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return cost


def main() -> None:
    """Make the files, let one thing happen after the other, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_200_000)
    parser.add_argument("--folder", type=Path, help="where files and tables go (kept)")
    parser.add_argument("--measure", nargs="*", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--force", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        done = cost_of(options.folder, options.measure, force=options.force)
        print(json.dumps(asdict(done)))
        return
    folder = options.folder or Path(tempfile.mkdtemp(prefix="ngsim-changes-"))
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "data", ignore_errors=True)
    costs = dict(_costs(folder, options.rows))
    print(
        f"{'':<34}{'read s':>8}{'build s':>9}{'landed MB':>11}{'tables MB':>11}"
        f"{'rebuilt':>9}{'peak MB':>9}{'of all':>8}"
    )
    everything = costs["first delivery: read and build all"].seconds
    for name, cost in costs.items():
        print(
            f"{name:<34}{cost.read:8.2f}{cost.built:9.2f}{cost.landed:11.1f}{cost.written:11.1f}"
            f"{cost.rebuilt:9}{cost.peak_mb:9,.0f}{cost.seconds / everything:8.1%}"
        )
    if options.folder is None:
        shutil.rmtree(folder)


def _costs(folder: Path, rows: int) -> Iterator[tuple[str, Cost]]:
    from ngsim_assets.highway.simulate import simulate_export

    export, single = folder / "export.csv", folder / "single.txt"
    _say(f"simulating {rows:,} rows")
    simulate_export(export, rows=rows, seed=1, recordings=RECORDINGS)
    _simulate_single(single, corrected=False)
    _measure(folder, [], data="warm")  # imports, and kernels that are compiled once per machine
    _say("everything for the first time")
    yield "first delivery: read and build all", _measure(folder, [export, single])
    _say("nothing new")
    yield "no-op: the same files again", _measure(folder, [export, single])
    export.touch()
    yield "no-op: the export touched", _measure(folder, [export])
    _change_one_row(export)
    _say("one row of the export changed")
    yield "one row of the export changed", _measure(folder, [export])
    _simulate_single(single, corrected=True)
    _say("one recording file changed")
    yield "one recording file changed", _measure(folder, [single])
    _say("the same rows in another order and format")
    other = folder / "other.csv"
    _in_another_form(export, other)
    yield "same rows, other order and format", _measure(folder, [other])
    other.unlink()
    _say("everything rebuilt")
    yield "all rebuilt, nothing read", _measure(folder, [], force=True)


def _measure(folder: Path, files: list[Path], *, data: str = "data", force: bool = False) -> Cost:
    done = subprocess.run(
        [
            *[sys.executable, "-W", "ignore", "-m", "benchmarks.changes"],
            *["--folder", str(folder / data), "--measure", *map(str, files)],
            *(["--force"] if force else []),
        ],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def _simulate_single(path: Path, *, corrected: bool) -> None:
    """A recording the export does not hold, as the text file of a period."""
    from datetime import datetime

    import polars as pl

    from ngsim_assets.highway.simulate import Scenario, simulate
    from ngsim_assets.highway.simulation.write_source import write_source

    # no official recording, and none that the export's are moved to
    start = datetime(2005, 6, 14, 9, 0)  # noqa: DTZ001  # local by nature
    rows = simulate(Scenario("us-101", start, _SINGLE_MINUTES, seed=9)).recording
    if corrected:
        rows = rows.with_columns(
            pl.when(pl.int_range(pl.len()) == 500)
            .then(pl.col("local_x") + 10)
            .otherwise("local_x")
            .alias("local_x")
        )
    write_source(rows, path, "text")


def _in_another_form(export: Path, other: Path) -> None:
    """The rows of the export, shuffled batch by batch, as the portal's API delivers them."""
    from ngsim_assets.highway.formats import RAW_PHYSICAL
    from ngsim_assets.highway.simulation.write_source import write_rows
    from ngsim_assets.highway.source import read_batches, survey

    (member,) = survey(export).members
    shuffled = (
        batch.select(list(RAW_PHYSICAL)).sample(fraction=1.0, shuffle=True, seed=3)
        for batch in read_batches(member)
    )
    write_rows(shuffled, other, "api")


def _change_one_row(export: Path) -> None:
    """Change the last digit of a Local_X in the middle of the file, in place."""
    with export.open("r+b") as file:
        file.seek(export.stat().st_size // 2)
        file.readline()
        line_at = file.tell()
        line = file.readline()
        # cells of more than three digits before the point are quoted: "1,156"
        starts, quoted = [0], False
        for place, byte in enumerate(line):
            quoted ^= byte == ord('"')
            if byte == ord(",") and not quoted:
                starts.append(place + 1)
        with export.open("rb") as top:
            names = top.readline().decode("utf-8-sig").strip().split(",")
        last = starts[names.index("Local_X") + 1] - 2
        file.seek(line_at + last)
        file.write(b"1" if line[last : last + 1] != b"1" else b"2")


def _bytes_written() -> float:
    """MB this process has handed to the operating system to write."""
    counters = Path(f"/proc/{os.getpid()}/io").read_text().split()
    return int(counters[counters.index("wchar:") + 1]) / 1e6


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
