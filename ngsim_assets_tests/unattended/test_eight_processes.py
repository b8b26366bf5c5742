"""Eight processes that take in overlapping sets of files at once, from nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path

from ngsim_assets.highway import model, overview, stages
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.settings import load_settings
from ngsim_assets_tests.highway.whole_path import build, taken_in, values
from ngsim_assets_tests.unattended.places import deliver

PROCESSES = 8
_PRELOADED = ["ngsim_assets.cli", "ngsim_assets.definitions", "deltalake", __name__]


def ingest(data: Path, files: Sequence[Path], said: Path) -> None:
    """`ngsim ingest` in a process of its own, with a Dagster instance nobody has made yet."""
    os.environ |= {"NGSIM_DATA": str(data), "DAGSTER_HOME": str(data / "dagster")}
    written = os.open(said, os.O_CREAT | os.O_WRONLY)
    os.dup2(written, 1)
    os.dup2(written, 2)
    from ngsim_assets.highway import plots

    plots.recording_figures = lambda *_: []  # pictures take most of the time and hold no rows
    sys.argv = ["ngsim", "ingest", *map(str, files)]
    from ngsim_assets.cli import main

    main()


def test_they_leave_the_tables_that_one_leaves(tmp_path: Path) -> None:
    """One recording in three files that share rows, each file handed to several of them."""
    incoming = tmp_path / "incoming"
    files = [
        deliver(incoming / "a.csv", frames=30),
        deliver(incoming / "b.txt", frames=30, layout="text"),
        deliver(incoming / "c.csv", frames=45, layout="csv"),
    ]
    data = tmp_path / "data"
    context = get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    running = [
        context.Process(
            target=ingest,
            args=(
                data,
                [files[(number + step) % len(files)] for step in range(2)],
                tmp_path / f"said-{number}",
            ),
        )
        for number in range(PROCESSES)
    ]
    for process in running:
        process.start()
    for number, process in enumerate(running):
        process.join(300)
        assert process.exitcode == 0, (tmp_path / f"said-{number}").read_text()

    platform = stages.open_platform(load_settings(data=data))
    order = [Path(file.claims[0].path) for file in platform.landing.files()]
    assert {path.name for path in order} <= {path.name for path in files}
    alone, keys = taken_in(tmp_path / "alone", *order)
    assert len(keys) == 1
    for key in keys:
        assert overview.stale_tables(platform, key) == []
        build(alone, key)
        held, expected = values(platform, key), values(alone, key)
        for name, rows in expected.items():
            assert rows.equals(held[name]), (key, name)
    for table in model.TABLES.values():
        assert platform.lake.verify(table) == []
        platform.lake.sweep(table)
    summary = platform.lake.scan(model.CORPUS_SUMMARY).collect()
    told = [PartitionKey(*row) for row in summary.select("highway_id", "recording").rows()]
    assert sorted(told) == sorted(keys)
