"""Several processes on one lake, and processes that are killed: never a mix of old and new."""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import signal
import time
from collections.abc import Sequence
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

import polars as pl
import pytest

from ngsim_assets.storage.claims import claimed
from ngsim_assets.storage.parquet import ParquetStorage
from ngsim_assets_tests.storage.tables import HERE, SAMPLES, samples
from ngsim_assets_tests.storage.writers import (
    PRELOADED,
    STEPS,
    THINGS,
    write_own_partition,
    write_same_partition,
    write_until_killed,
)


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Children of a server that has everything imported, so that they start at once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def _join(children: Sequence[BaseProcess]) -> list[int | None]:
    for child in children:
        child.join(60)
    return [child.exitcode for child in children]


def _content(lake: ParquetStorage) -> int:
    """Shift of the rows that are live in the partition; fails unless they are of one write."""
    rows = lake.scan(SAMPLES, HERE).collect()
    assert rows.height in {0, THINGS * STEPS}
    if rows.is_empty():
        return 0
    shift = int(rows["step"].to_numpy().min())
    expected = samples(THINGS, STEPS, shift=shift)
    assert (
        rows.select("thing", "step").sort("thing", "step").equals(expected.select("thing", "step"))
    )
    return shift


def test_partitions_are_replaced_side_by_side(
    lake: ParquetStorage, processes: ForkServerContext
) -> None:
    """Table creation included: nobody has made the table when everybody starts."""
    writers, writes = 6, 4
    start = processes.Barrier(writers)
    children = [
        processes.Process(
            target=write_own_partition, args=(lake.root, f"session-{number}", writes, start)
        )
        for number in range(writers)
    ]
    for child in children:
        child.start()
    assert _join(children) == [0] * writers
    history = lake.history(SAMPLES)
    assert len([version for version in history if version.operation == "replace"]) == 24
    assert len(lake.partitions(SAMPLES)) == writers
    rows = lake.scan(SAMPLES).collect()
    assert rows.height == writers * THINGS * STEPS
    assert set(rows.group_by("session").agg(pl.col("step").min())["step"]) == {writes - 1}
    assert lake.verify(SAMPLES) == []


def test_of_several_writes_of_one_partition_one_wins(
    lake: ParquetStorage, processes: ForkServerContext, tmp_path: Path
) -> None:
    writers = 4
    answers = tmp_path / "answers"
    answers.mkdir()
    start = processes.Barrier(writers)
    children = [
        processes.Process(target=write_same_partition, args=(lake.root, shift, start, answers))
        for shift in range(1, writers + 1)
    ]
    for child in children:
        child.start()
    assert _join(children) == [0] * writers
    found = {int(path.name): path.read_text() for path in answers.iterdir()}
    winners = [shift for shift, answer in found.items() if answer.startswith("version")]
    losers = [answer for answer in found.values() if re.fullmatch(r"conflict \d+", answer)]
    assert (len(winners), len(losers)) == (1, writers - 1)
    assert _content(lake) == winners[0]
    assert len(list(lake.root.rglob("*.parquet"))) == len(lake.files(SAMPLES))  # losers tidied up


def test_a_killed_writer_leaves_the_old_rows_or_the_new(
    lake: ParquetStorage, processes: ForkServerContext
) -> None:
    chance = random.Random(2005)  # noqa: S311
    live = 0
    for _ in range(10):
        started = processes.Event()
        child = processes.Process(target=write_until_killed, args=(lake.root, live, started))
        child.start()
        assert started.wait(30)
        time.sleep(chance.uniform(0, 0.06))
        os.kill(child.pid or 0, signal.SIGKILL)
        assert _join([child]) == [-signal.SIGKILL]
        before, live = live, _content(lake)
        assert live > before
        assert lake.verify(SAMPLES) == []
    lake.replace(SAMPLES, HERE, [samples(THINGS, STEPS)])  # sweeps what the killed have left
    named = {
        file.path
        for version in lake.history(SAMPLES)
        for file in lake.files(SAMPLES, version=version.version)
    }
    on_disk = {
        str(path.relative_to(lake.root / "samples")) for path in lake.root.rglob("*.parquet")
    }
    assert on_disk == named


def test_leftovers_are_told_from_work_in_progress(lake: ParquetStorage) -> None:
    commit = lake.replace(SAMPLES, HERE, [samples()])
    table = lake.root / "samples"
    folder = (table / commit.files[0].path).parent
    killed, living = "00000000dead", "00000000babe"
    for write in (killed, living, commit.write):
        (table / "_writing" / write).touch()  # as if each had been killed while it held its claim
        (folder / f"00000-{'0' * 64}-{write}.parquet").touch()
    staged = table / "_delta_log" / f"{7:020}.json#1"
    staged.touch()

    with claimed(table, living):
        removed = lake.sweep(SAMPLES)
    assert [path.name for path in removed] == [f"00000-{'0' * 64}-{killed}.parquet"]
    assert staged.exists()  # too young to be nobody's
    os.utime(staged, (0, 0))
    assert lake.sweep(SAMPLES) == [staged]
    assert lake.verify(SAMPLES) == []
    assert list((table / "_writing").iterdir()) == []
