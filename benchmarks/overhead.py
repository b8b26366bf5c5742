"""What metrics and logs cost: a file to every table with both of them, and without.

    python -m benchmarks.overhead                   five pairs of a recording of 400 k rows

The work is that of `ngsim ingest` without Dagster and without pictures, which would only make the
share smaller. It is measured as the asset graph and the commands measure it: counts are folded into
the totals after every stage, and each stage writes its lines as JSON. Runs with and without
alternate in one process, each on an empty folder, and which one goes first alternates too.

Two figures. The difference of pairs, by the clock and by processor time, is what a user would see;
on a busy machine it says little. The processor time spent in measuring itself says it exactly.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ngsim_assets.highway import intake, measuring, reporting, stages
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.simulate import Scenario, simulate_to
from ngsim_assets.observability import logs
from ngsim_assets.settings import Settings, load_settings
from ngsim_assets.storage.parquet import Commit

TARGET = 0.02
ROWS_PER_MINUTE = 96_000

STAGES: dict[str, Callable[[stages.Platform, PartitionKey], Commit | Iterable[Commit]]] = {
    "raw_trajectories": stages.store_raw,
    "validation": stages.store_validated,
    "cleaned_trajectories": stages.store_cleaned,
    "trajectory_segments": stages.store_segments,
    "traffic_state": stages.store_traffic_state,
    "quality_report": reporting.store_metrics,
}


@dataclass
class Spent:
    """Seconds of one run: by the clock, of the processor, and of that for measuring."""

    clock: float = 0.0
    processor: float = 0.0
    measuring: float = 0.0


class _Watch:
    """Adds up the processor time of blocks."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        began = time.process_time()
        try:
            yield
        finally:
            self.seconds += time.process_time() - began


def with_both(settings: Settings, path: Path) -> float:
    """The work, measured and logged; processor seconds for that."""
    watch, platform = _Watch(), stages.open_platform(settings)
    with ExitStack() as measured:
        with watch.running():
            measured.enter_context(logs.bound(run="benchmark", source=measuring.COMMAND_LINE))
            done = measured.enter_context(logs.step("take_in_files"))
            watched = measured.enter_context(measuring.taking_in(settings, measuring.COMMAND_LINE))
        taken = list(watched(intake.take_in_all([path], platform.landing)))
        with watch.running():
            done["files"] = len(taken)
            measured.close()
    for key in _keys(platform):
        for name, function in STAGES.items():
            with ExitStack() as measured:
                with watch.running():
                    measured.enter_context(logs.bound(run="benchmark", partition=str(key)))
                    told = measured.enter_context(logs.step(name))
                    stage = measured.enter_context(measuring.stage(settings, platform, key))
                commits = _commits(function(platform, key))
                with watch.running():
                    told["rows"] = {commit.table: commit.rows for commit in commits}
                    stage.wrote(commits)
                    measured.close()
    return watch.seconds


def without(settings: Settings, path: Path) -> float:
    """The same work; nobody looks."""
    platform = stages.open_platform(settings)
    list(intake.take_in_all([path], platform.landing))
    for key in _keys(platform):
        for function in STAGES.values():
            _commits(function(platform, key))
    return 0.0


def spent_on(work: Callable[[Settings, Path], float], data: Path, path: Path) -> Spent:
    """What `work` takes on an empty folder."""
    shutil.rmtree(data, ignore_errors=True)
    clock, processor = time.perf_counter(), time.process_time()
    measured = work(load_settings(data=data), path)
    return Spent(time.perf_counter() - clock, time.process_time() - processor, measured)


def main() -> None:
    """Make the file, run the pairs, print what they took; fails above the target."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ngsim-overhead-") as name, ExitStack() as open_files:
        folder = Path(name)
        path = folder / "trajectories-0750am-0805am.txt"
        written = simulate_to(path, Scenario(minutes=options.rows / ROWS_PER_MINUTE), faults=0.005)
        logs.configure(
            mode="json", stream=open_files.enter_context((folder / "log.jsonl").open("w"))
        )
        print(f"{written.rows:,} rows, {options.pairs} pairs")
        spent_on(with_both, folder / "data", path)  # kernels are compiled, libraries imported
        pairs: list[tuple[Spent, Spent]] = []
        for number in range(options.pairs):
            found: dict[bool, Spent] = {}
            for measured in (True, False) if number % 2 else (False, True):
                found[measured] = spent_on(
                    with_both if measured else without, folder / "data", path
                )
            pairs.append((found[True], found[False]))
            _show(f"pair {number + 1}", found[True], found[False])
        lines = (folder / "log.jsonl").read_text().count("\n")
    shares = {
        "by the clock": [on.clock / off.clock - 1 for on, off in pairs],
        "by processor time": [on.processor / off.processor - 1 for on, off in pairs],
        "measuring itself": [on.measuring / on.processor for on, _ in pairs],
    }
    print(f"{lines} lines logged")
    for told, values in shares.items():
        print(
            f"{told:>18}: median {statistics.median(values):+.2%}"
            f"  (from {min(values):+.2%} to {max(values):+.2%})"
        )
    least_on, least_off = (
        min(spent.processor for spent in side) for side in zip(*pairs, strict=True)
    )
    print(f"least of each side: {least_on / least_off - 1:+.2%} of processor time")
    if statistics.median(shares["measuring itself"]) > TARGET:
        raise SystemExit(f"more than {TARGET:.0%}")


def _show(title: str, on: Spent, off: Spent) -> None:
    print(
        f"{title}: with {on.clock:6.2f} s, {on.processor:6.2f} s of processor"
        f" ({on.measuring * 1000:.0f} ms for measuring);"
        f" without {off.clock:6.2f} s, {off.processor:6.2f} s",
        flush=True,
    )


def _keys(platform: stages.Platform) -> list[PartitionKey]:
    return [PartitionKey.parse(key) for key in platform.landing.partitions()]


def _commits(made: Commit | Iterable[Commit]) -> list[Commit]:
    return [made] if isinstance(made, Commit) else list(made)


if __name__ == "__main__":
    main()
