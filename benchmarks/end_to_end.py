"""File to every table: this platform against pandas, on one machine, in one run.

    python -m benchmarks.end_to_end                 a 15-minute recording (1.2 M rows)
    python -m benchmarks.end_to_end --rows 12000000 a unified export of many recordings

Each contender runs in a process of its own, so peak memory is its own; figures are printed as
ratios. Timed from the first byte read to the last table committed; the compiled kernels are
warmed up first on a minute of traffic, because a user pays for compiling once per machine.
Report pages (HTML, pictures) are timed apart: pandas makes none.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Result:
    """What one contender did with one file."""

    rows: int
    seconds: float
    peak_mb: float
    spent: dict[str, float] = field(default_factory=dict)

    @property
    def speed(self) -> float:
        """M rows/s."""
        return self.rows / self.seconds / 1e6


def ours(path: Path, data: Path) -> Result:
    """Take the file in and build all tables; seconds by stage, rows and peak memory."""
    from ngsim_assets.highway import intake, reporting, stages
    from ngsim_assets.highway.keys import PartitionKey
    from ngsim_assets.settings import load_settings

    platform = stages.open_platform(load_settings(data=data))
    builders: dict[str, Callable[[stages.Platform, PartitionKey], object]] = {
        "raw_trajectories": stages.store_raw,
        "validated_points": stages.store_validated,
        "cleaned_trajectories": stages.store_cleaned,
        "trajectory_segments": stages.store_segments,
        "traffic_state": stages.store_traffic_state,
        "quality_metrics": reporting.store_metrics,
    }
    spent: dict[str, float] = {}
    started = time.perf_counter()
    taken = intake.take_in(path, platform.landing)
    spent["intake"] = time.perf_counter() - started
    for key in map(PartitionKey.parse, platform.landing.partitions()):
        for stage, build in builders.items():
            begun = time.perf_counter()
            build(platform, key)
            spent[stage] = spent.get(stage, 0.0) + time.perf_counter() - begun
    seconds = time.perf_counter() - started
    return Result(sum(result.rows for result in taken), seconds, _peak_mb(), spent)


def one_vehicle(data: Path, looks: int = 50) -> float:
    """Median milliseconds to read one vehicle's cleaned rows, recording known, warm."""
    import polars as pl

    from ngsim_assets.highway import stages
    from ngsim_assets.highway.keys import PartitionKey
    from ngsim_assets.highway.model import CLEANED_TRAJECTORIES
    from ngsim_assets.settings import load_settings

    platform = stages.open_platform(load_settings(data=data))
    keys = [PartitionKey.parse(key) for key in platform.landing.partitions()]
    seconds = []
    for look in range(looks):
        begun = time.perf_counter()
        points = platform.lake.scan(CLEANED_TRAJECTORIES, stages.identity(keys[look % len(keys)]))
        points.filter(pl.col("vehicle_id") == 100 + 7 * look).collect()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds) * 1000


def pandas(path: Path, data: Path) -> Result:
    """The yardstick of benchmarks/pandas_baseline.py."""
    from benchmarks.pandas_baseline import run

    measured = run(path, data)
    return Result(int(measured["rows"]), measured["seconds"], measured["peak_mb"])


CONTENDERS = {"ours": ours, "pandas": pandas}


def main() -> None:
    """Make the input if need be, run the contenders, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_200_000)
    parser.add_argument("--file", type=Path, help="an export to use instead of a simulated one")
    parser.add_argument("--folder", type=Path, help="where inputs and tables go (kept)")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--without-pandas", action="store_true")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        print(json.dumps(asdict(CONTENDERS[options.contender](options.file, options.folder))))
        return
    folder = options.folder or Path(tempfile.mkdtemp(prefix="ngsim-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    path = options.file or _export(folder, options.rows)
    warm = _export(folder, 60_000)
    measure("ours", warm, folder / "warm")
    best: dict[str, Result] = {}
    for _ in range(options.repeat):
        for name in ["ours"] if options.without_pandas else ["ours", "pandas"]:
            result = measure(name, path, folder / name)
            if name not in best or result.seconds < best[name].seconds:
                best[name] = result
    size = path.stat().st_size
    print(f"{path.name}: {size / 1e6:,.0f} MB, best of {options.repeat}")
    for name, result in best.items():
        print(
            f"{name:>8}: {result.seconds:8.2f} s  {result.speed:6.3f} M rows/s  "
            f"peak {result.peak_mb:,.0f} MB"
        )
    for stage, seconds in best["ours"].spent.items():
        print(f"          {stage:<22}{seconds:8.2f} s")
    if "pandas" in best:
        print(f"   ratio: {best['pandas'].seconds / best['ours'].seconds:.1f} x pandas")
    print(f"one vehicle of {best['ours'].rows:,} rows: {one_vehicle(folder / 'ours'):.1f} ms warm")
    for table in sorted((folder / "ours" / "lake").iterdir()):
        stored = sum(file.stat().st_size for file in table.rglob("*.parquet"))
        print(f"          {table.name:<22}{stored / size:8.1%} of the CSV")


def measure(name: str, path: Path, folder: Path) -> Result:
    """Run one contender in a process of its own on an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    done = subprocess.run(
        [
            *[sys.executable, "-W", "ignore", "-m", "benchmarks.end_to_end"],
            *["--contender", name, "--file", str(path), "--folder", str(folder)],
        ],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return Result(**json.loads(done.stdout.splitlines()[-1]))


def _export(folder: Path, rows: int) -> Path:
    from ngsim_assets.highway.simulate import simulate_export

    path = folder / f"export_{rows}.csv"
    if not path.exists():
        print(f"simulating {rows:,} rows into {path}", file=sys.stderr)
        simulate_export(path, rows=rows, seed=1, recordings=max(1, round(rows / 1_100_000)))
    return path


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
