"""From a file's arrival to its finished report, under a real daemon.

    python -m benchmarks.arrival [--folder F]

A daemon watches an empty folder. Then one delivery at a time is put there: a recording of one
minute, an export of ten recordings, a recording of 15 minutes (1.2 M rows). Seconds from the
moment the file has its name until its rows are in the landing zone, until the first and the last
report are finished, and until the corpus is summed up. NGSIM_SETTLE (5 s) of them are waited to
see that nobody writes to the file any more.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from ngsim_assets.highway import overview
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.reporting import report_folder
from ngsim_assets.highway.simulate import Scenario, simulate, simulate_export
from ngsim_assets.highway.simulation.write_source import write_source
from ngsim_assets.highway.stages import Platform, open_platform
from ngsim_assets.settings import load_settings

_EVERY = 0.25
_PATIENCE = 900.0
_TICKING = "Sensor rebuild_what_changed skipped"
_RECORDINGS = 10


def main() -> None:
    """Start a daemon, deliver, print a line per delivery."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, help="work here instead of a temporary folder")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ngsim-arrival-") as temporary:
        folder: Path = chosen.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        deliveries = _deliveries(folder)
        platform = open_platform(load_settings(data=folder / "data"))
        with _daemon(folder) as incoming:
            print(f"{'delivery':<46}{'taken in':>10}{'first':>8}{'last':>8}{'summed up':>11}")
            for name, path in deliveries.items():
                taken_in, first, last, summed_up = _arrives(platform, path, incoming)
                print(f"{name:<46}{taken_in:>10.1f}{first:>8.1f}{last:>8.1f}{summed_up:>11.1f}")


def _deliveries(folder: Path) -> dict[str, Path]:
    minute, many, whole = (folder / name for name in ("minute.txt", "many.csv", "whole.txt"))
    # no official recordings, so that none of the deliveries shares one with another
    _write(minute, datetime(2005, 6, 14, 9, 0), 1.0)  # noqa: DTZ001  # local by nature
    simulate_export(many, rows=200_000, recordings=_RECORDINGS)
    _write(whole, datetime(2005, 6, 14, 12, 0), 15.0)  # noqa: DTZ001
    return {
        "1 recording of a minute": minute,
        f"{_RECORDINGS} recordings, 200,000 rows, one export": many,
        "1 recording of 15 minutes": whole,
    }


def _write(path: Path, start: datetime, minutes: float) -> None:
    write_source(simulate(Scenario("us-101", start, minutes, seed=3)).recording, path, "text")


@contextmanager
def _daemon(folder: Path) -> Iterator[Path]:
    """A daemon that has looked at its empty folder; killed with all its runs in the end."""
    data, log = folder / "data", folder / "daemon.log"
    environment = {
        **os.environ,
        "NGSIM_DATA": str(data),
        "DAGSTER_HOME": str(data / "dagster"),
    }
    bin_folder = Path(sys.executable).parent
    subprocess.run([bin_folder / "ngsim", "init"], env=environment, check=True)
    with log.open("wb") as output:
        daemon = subprocess.Popen(
            [bin_folder / "dagster-daemon", "run", "-m", "ngsim_assets.definitions"],
            env=environment,
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait(lambda: _TICKING in log.read_text(errors="replace"))
        yield data / "incoming"
    finally:
        os.killpg(daemon.pid, signal.SIGKILL)
        daemon.wait()


def _arrives(platform: Platform, path: Path, incoming: Path) -> tuple[float, float, float, float]:
    """Seconds until taken in, first report, last report, summary."""
    before = set(platform.landing.partitions())
    path.rename(incoming / path.name)
    arrived = time.perf_counter()

    def since() -> float:
        return time.perf_counter() - arrived

    _wait(lambda: set(platform.landing.partitions()) > before)
    taken_in = since()
    keys = [PartitionKey.parse(name) for name in set(platform.landing.partitions()) - before]
    pages = [report_folder(platform.reports, key) / "report.json" for key in keys]
    _wait(lambda: any(page.exists() for page in pages))
    first = since()
    _wait(lambda: all(page.exists() for page in pages))
    last = since()
    _wait(lambda: overview.summary_is_current(platform))
    return taken_in, first, last, since()


def _wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not until():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not in {_PATIENCE:.0f} s")
        time.sleep(_EVERY)


if __name__ == "__main__":
    main()
