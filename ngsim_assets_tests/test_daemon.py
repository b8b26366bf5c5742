"""A real daemon over a folder: files arrive, grow, change and are bad; it is killed and goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from ngsim_assets.highway import model, stages
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.reporting import report_folder
from ngsim_assets.highway.simulate import Scenario, simulate
from ngsim_assets.highway.simulation.write_source import write_source
from ngsim_assets.settings import load_settings
from ngsim_assets.storage.schema import Table

BIN = Path(sys.executable).parent
PATIENCE = 400.0  # s for one step on a machine that has much else to do
EARLY = PartitionKey("us-101", "2005-06-15T0750")
WEST = PartitionKey("i-80", "2005-04-13T1600")
GROWN = PartitionKey("i-80", "2005-04-13T1700")
PER_RECORDING = [table for table in model.TABLES.values() if table.partition_by]


@dataclass
class Platform:
    """A data folder of its own and the daemon that watches it."""

    data: Path
    logs: list[Path] = field(default_factory=list)
    daemon: subprocess.Popen[bytes] | None = None

    @property
    def incoming(self) -> Path:
        return self.data / "incoming"

    @property
    def environment(self) -> dict[str, str]:
        chosen = {
            "NGSIM_DATA": str(self.data),
            "DAGSTER_HOME": str(self.data / "dagster"),
            "NGSIM_SETTLE": "5",
        }
        return {**os.environ, **chosen}

    def start(self) -> None:
        log = self.data.parent / f"daemon{len(self.logs)}.log"
        self.logs.append(log)
        with log.open("wb") as output:
            self.daemon = subprocess.Popen(
                [BIN / "dagster-daemon", "run", "-m", "ngsim_assets.definitions"],
                env=self.environment,
                cwd=self.data.parent,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """As a machine that loses power: the daemon, its code server and its runs at once."""
        if self.daemon is not None:
            os.killpg(self.daemon.pid, signal.SIGKILL)
            self.daemon.wait()
            self.daemon = None

    @property
    def opened(self) -> stages.Platform:
        return stages.open_platform(load_settings(data=self.data))

    def versions(self, key: PartitionKey) -> dict[str, list[int]]:
        """Versions of each table that changed a recording, newest first."""
        lake = self.opened.lake
        return {
            table.name: [
                version.version
                for version in lake.history(table)
                if version.operation == "replace" and is_of(table, version.partition, key)
            ]
            for table in PER_RECORDING
        }

    def reported(self, *keys: PartitionKey) -> bool:
        folders = [report_folder(self.data / "reports", key) for key in keys]
        return all((folder / "report.json").exists() for folder in folders)

    def summed_up(self) -> dict[str, int]:
        """Raw rows by recording, as the summary of all of them has it."""
        rows = self.opened.lake.scan(model.CORPUS_SUMMARY).filter(pl.col("score").is_not_null())
        told = rows.select(pl.concat_str("highway_id", "recording", separator="|"), "rows_raw")
        return dict(told.collect().iter_rows())

    def wait(self, what: str, there: Callable[[], object], every: float = 1.5) -> None:
        """Until `there()` holds; what the daemon said where it takes too long or it ended."""
        end = time.monotonic() + PATIENCE
        while not there():
            ended = self.daemon is not None and self.daemon.poll() is not None
            if ended or time.monotonic() > end:
                said = "\n".join(log.read_text(errors="replace")[-8000:] for log in self.logs)
                why = "the daemon ended" if ended else f"not within {PATIENCE:.0f} s"
                raise AssertionError(f"{what}: {why}\n{said}")
            time.sleep(every)


def is_of(table: Table, partition: object, key: PartitionKey) -> bool:
    wanted = stages.identity(key)
    if table is model.QUARANTINE:
        wanted["stage"] = "validated"
    return partition == wanted


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    watched = Platform(tmp_path / "data")
    subprocess.run(
        [BIN / "ngsim", "init"],
        env=watched.environment,
        check=True,
        capture_output=True,
    )
    watched.incoming.mkdir(parents=True, exist_ok=True)
    try:
        yield watched
    finally:
        watched.kill()


def delivered(folder: Path, key: PartitionKey, seed: int) -> Path:
    """A few seconds of a simulated recording."""
    start = datetime.strptime(key.recording, "%Y-%m-%dT%H%M")  # noqa: DTZ007
    scenario = Scenario(highway_id=key.highway_id, start=start, minutes=0.15, seed=seed)
    path = folder / f"{key.highway_id}-{key.recording}.csv"
    write_source(simulate(scenario).recording, path, "csv")
    return path


@pytest.mark.daemon
def test_a_folder_is_kept_up_with_unattended(platform: Platform, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    files = {key: delivered(outside, key, seed=3) for key in (EARLY, WEST, GROWN)}
    lines = {key: path.read_bytes().splitlines(keepends=True) for key, path in files.items()}
    bad = platform.incoming / "bad.csv"
    growing = platform.incoming / files[GROWN].name

    # before the daemon has ever run: two whole files, a bad one, and one that is being written
    for key in (EARLY, WEST):
        (platform.incoming / files[key].name).write_bytes(files[key].read_bytes())
    bad.write_bytes(b"Vehicle_ID,Frame_ID\nthis,is\nno,trajectory\n")
    growing.write_bytes(b"".join(lines[GROWN][:20]))
    half = iter(range(20, len(lines[GROWN]), 5))

    def grow() -> None:
        at = next(half, None)
        with growing.open("ab") as file:
            file.write(b"".join(lines[GROWN][at : at + 5]) if at is not None else b"")

    def working() -> bool:
        grow()
        raw = platform.opened.lake.current(model.RAW_TRAJECTORIES, stages.identity(EARLY))
        return raw is not None

    platform.start()
    platform.wait("the first recording begins to be built", working, every=0.25)
    platform.kill()
    assert not platform.reported(EARLY), "killed too late to tell anything"
    with growing.open("ab") as file:
        at = next(half, len(lines[GROWN]))
        file.write(b"".join(lines[GROWN][at:]))
    platform.start()
    platform.wait("all are reported", lambda: platform.reported(EARLY, WEST, GROWN))
    platform.wait("the bad file is put aside", lambda: not bad.exists())
    rows = {str(key): len(lines[key]) - 1 for key in lines}
    platform.wait("all are summed up", lambda: platform.summed_up() == rows)
    assert list((platform.data / "rejected").rglob("bad.csv*"))
    before = {key: platform.versions(key) for key in files}
    for key, versions in before.items():
        assert {name: len(made) for name, made in versions.items() if len(made) != 1} == {}, key

    # one recording loses its last rows, one comes again in another order
    changed = platform.incoming / files[EARLY].name
    changed.write_bytes(b"".join(lines[EARLY][:-30]))
    again = platform.incoming / files[WEST].name
    again.write_bytes(b"".join([lines[WEST][0], *reversed(lines[WEST][1:])]))
    rows[str(EARLY)] -= 30
    platform.wait("what changed is summed up", lambda: platform.summed_up() == rows)
    platform.kill()

    after = {key: platform.versions(key) for key in files}
    # nothing of it is refused, before or after: of that there is no second version
    expected = {table.name: 1 if table is model.QUARANTINE else 2 for table in PER_RECORDING}
    assert {name: len(made) for name, made in after[EARLY].items()} == expected
    assert (after[WEST], after[GROWN]) == (before[WEST], before[GROWN])
