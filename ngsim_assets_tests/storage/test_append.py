"""Batches of a stream: each there once, none rewritten, and all that holds of tables holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ngsim_assets.storage.claims import claimed
from ngsim_assets.storage.errors import ConflictingWrite
from ngsim_assets.storage.live import live_commits
from ngsim_assets.storage.parquet import ParquetStorage, Provenance
from ngsim_assets.storage.versions import DataVersionManager
from ngsim_assets_tests.storage.tables import HERE, SAMPLES, THERE, samples

IDENTITY = (HERE["site"], HERE["session"])


def batch(number: int) -> pl.DataFrame:
    return samples(2, 3, shift=100 * number)


def steps(lake: ParquetStorage) -> list[int]:
    return lake.scan(SAMPLES, HERE).collect()["step"].to_list()


def put(lake: ParquetStorage, number: int, name: str | None = None) -> bool:
    told = Provenance(f"run {number}", "live", rows={"to": number})
    return lake.append(SAMPLES, HERE, [batch(number)], name or f"batch {number}", told).changed


def test_batches_stand_behind_each_other_and_are_the_partition(lake: ParquetStorage) -> None:
    there = lake.replace(SAMPLES, THERE, [samples(site="there")])
    assert put(lake, 1)
    first = lake.files(SAMPLES, HERE)
    assert put(lake, 2)
    assert steps(lake) == pl.concat([batch(1), batch(2)])["step"].to_list()
    assert all(file in lake.files(SAMPLES, HERE) for file in first)
    commit = ParquetStorage(lake.root).current(SAMPLES, HERE)
    assert commit is not None
    assert (commit.operation, commit.rows, len(commit.files)) == ("append", 12, len(first) * 2)
    assert commit.provenance == Provenance("run 2", "live", rows={"to": 2})
    assert set(commit.content) == {file.sha256 for file in lake.files(SAMPLES, HERE)}
    assert live_commits(lake, SAMPLES)[IDENTITY] == commit
    assert lake.files(SAMPLES, THERE) == list(there.files)
    assert lake.verify(SAMPLES) == []
    newest = lake.history(SAMPLES)[0]
    assert (newest.operation, newest.rows, newest.files) == ("append", 12, len(commit.files))
    versions = DataVersionManager(lake).versions(SAMPLES, HERE)
    assert [(v.operation, v.change, v.rows) for v in versions] == [
        ("append", "rows added", 12),
        ("append", "first rows", 6),
    ]


def test_a_batch_that_is_tried_again_is_there_once(lake: ParquetStorage) -> None:
    assert put(lake, 1)
    assert put(lake, 2)
    assert not put(ParquetStorage(lake.root), 1)
    assert not put(lake, 3, "batch 2")
    assert lake.current(SAMPLES, HERE) == ParquetStorage(lake.root).current(SAMPLES, HERE)
    assert len(steps(lake)) == 12
    assert not lake.append(SAMPLES, HERE, [], "nothing").changed


def test_what_a_killed_writer_left_of_a_batch_is_not_in_the_way(
    lake: ParquetStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(lake, 1)
    with monkeypatch.context() as patch:
        patch.setattr(lake.log(SAMPLES), "exchange", _killed)
        patch.setattr("ngsim_assets.storage.partition_writer.PartitionWriter.discard", _nothing)
        with pytest.raises(KeyboardInterrupt):
            put(lake, 2)
    left = [path for path in lake.root.rglob("*.parquet") if path.name not in _live(lake)]
    assert left
    with claimed(lake.root / SAMPLES.name, left[0].stem.rpartition("-")[2]):
        pass  # as the dead writer's claim
    assert put(ParquetStorage(lake.root), 2)
    assert len(steps(lake)) == 12
    assert lake.verify(SAMPLES) == []


def test_batches_of_several_writers_all_arrive(lake: ParquetStorage) -> None:
    put(lake, 0)
    with ThreadPoolExecutor(4) as pool:
        came = list(pool.map(lambda number: put(ParquetStorage(lake.root), number), range(8)))
    assert came == [False] + [True] * 7
    expected = pl.concat(batch(number) for number in range(8))["step"]
    assert sorted(steps(lake)) == sorted(expected.to_list())


def test_a_partition_that_is_replaced_meanwhile_is_not_added_to(lake: ParquetStorage) -> None:
    put(lake, 1)

    def rows() -> Iterator[pl.DataFrame]:
        yield batch(2)
        ParquetStorage(lake.root).replace(SAMPLES, HERE, [samples(4)])

    with pytest.raises(ConflictingWrite):
        lake.append(SAMPLES, HERE, rows(), "batch 2")
    assert steps(lake) == samples(4)["step"].to_list()
    # the final rows took the place of the batches: the same names begin anew
    assert put(lake, 1)
    assert len(steps(lake)) == samples(4).height + 6


def test_appended_rows_are_replaced_and_come_back(lake: ParquetStorage) -> None:
    put(lake, 1)
    put(lake, 2)
    before = lake.scan(SAMPLES, HERE).collect()
    appended = lake.current(SAMPLES, HERE)
    assert appended is not None
    lake.replace(SAMPLES, HERE, [samples(5)])
    back = lake.restore(SAMPLES, HERE, appended.version)
    assert (back.rows, back.restored, set(back.content)) == (12, 2, set(appended.content))
    assert_frame_equal(lake.scan(SAMPLES, HERE).collect(), before)
    versions = DataVersionManager(lake).versions(SAMPLES, HERE)
    assert [v.rows for v in versions] == [12, samples(5).height, 12, 6]
    assert put(lake, 3)
    assert len(steps(lake)) == 18


def test_the_same_rows_from_elsewhere_confirm_what_batches_brought(lake: ParquetStorage) -> None:
    put(lake, 1)
    lake.append(SAMPLES, HERE, [], "nothing")
    commit = lake.replace(SAMPLES, HERE, [batch(1)], Provenance(code_version="final"))
    assert (commit.changed, commit.operation) == (False, "append")
    assert commit.provenance.code_version == "final"
    assert not put(lake, 1)


def test_a_vacuum_keeps_what_lives_and_gives_up_what_was_replaced(lake: ParquetStorage) -> None:
    for number in range(3):
        put(lake, number)
    manager = DataVersionManager(lake)
    assert manager.vacuum(SAMPLES, 0, 1).files == 0
    lake.replace(SAMPLES, HERE, [samples(5)])
    gone = manager.vacuum(SAMPLES, 0, 1)
    assert (gone.files, gone.leftovers) == (3 * len(batch(0)["kind"].unique()), 0)
    assert {path.name for path in lake.root.rglob("*.parquet")} == _live(lake)
    assert put(lake, 0)
    assert manager.vacuum(SAMPLES, 0, 1).files == 0
    assert lake.verify(SAMPLES) == []


def test_a_log_of_batches_names_each_file_once(lake: ParquetStorage) -> None:
    for number in range(4):
        put(lake, number)
    log = lake.root / SAMPLES.name / "_delta_log"
    told = [json.loads(line) for line in (log / f"{4:020}.json").read_text().splitlines()]
    assert sum("add" in action for action in told) == len(lake.files(SAMPLES, HERE)) // 4
    assert not any("remove" in action for action in told)


def _live(lake: ParquetStorage) -> set[str]:
    return {Path(file.path).name for file in lake.files(SAMPLES)}


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def _nothing(*_: object) -> None:
    return
