"""Going back: rows of an earlier version are live again, on record, and nothing is copied."""

from __future__ import annotations

from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from ngsim_assets.storage.errors import (
    DamagedFile,
    SchemaMismatch,
    UnknownVersion,
    VacuumedVersion,
)
from ngsim_assets.storage.parquet import Commit, ParquetStorage, Provenance
from ngsim_assets_tests.storage.evolved import WEIGHED
from ngsim_assets_tests.storage.tables import HERE, SAMPLES, THERE, samples

FIRST = Provenance("run 1", "1", {"limit": 0.5}, ("old",), {"read": 12})
SECOND = Provenance("run 2", "2", {"limit": 0.7}, ("new",), {"read": 12})
BACK = Provenance("run 3")


@pytest.fixture
def twice(lake: ParquetStorage) -> tuple[Commit, Commit]:
    """Two versions of one partition, and another partition in between."""
    first = lake.replace(SAMPLES, HERE, [samples()], FIRST)
    lake.replace(SAMPLES, THERE, [samples(site="there")])
    return first, lake.replace(SAMPLES, HERE, [samples(2, shift=9)], SECOND)


def _current(lake: ParquetStorage) -> Commit:
    commit = ParquetStorage(lake.root).current(SAMPLES, HERE)
    assert commit is not None
    return commit


def test_the_files_of_the_earlier_version_are_live_again(
    lake: ParquetStorage, twice: tuple[Commit, Commit]
) -> None:
    first, _ = twice
    before = lake.scan(SAMPLES, HERE, version=first.version).collect()
    there = lake.files(SAMPLES, THERE)
    on_disk = sorted(lake.root.rglob("*.parquet"))
    commit = lake.restore(SAMPLES, HERE, first.version, BACK, ("new",))
    assert (commit.changed, commit.version, commit.files) == (True, 4, first.files)
    assert (commit.operation, commit.restored, commit.held_against) == ("rollback", 1, ("new",))
    assert commit.provenance == Provenance("run 3", "1", {"limit": 0.5}, ("old",), {"read": 12})
    assert commit.content == first.content
    assert_frame_equal(lake.scan(SAMPLES, HERE).collect(), before)
    assert lake.files(SAMPLES, THERE) == there
    assert sorted(lake.root.rglob("*.parquet")) == on_disk
    assert lake.verify(SAMPLES) == []
    assert _current(lake).version == 4
    newest = lake.history(SAMPLES)[0]
    assert (newest.operation, newest.restored, newest.rows) == ("rollback", 1, 12)
    assert newest.held_against == ("new",)


def test_nothing_is_done_where_the_same_files_are_live(
    lake: ParquetStorage, twice: tuple[Commit, Commit]
) -> None:
    _, second = twice
    for held in ((), ("new",)):  # built from these sources, so it is up to date with them
        commit = lake.restore(SAMPLES, HERE, 3, BACK, held)
        assert (commit.changed, commit.version) == (False, second.version)
    assert lake.history(SAMPLES)[0].version == 3
    held = lake.restore(SAMPLES, HERE, 3, BACK, ("newer",))  # pinned against what came since
    assert (held.changed, held.version, held.held_against) == (False, 4, ("newer",))
    assert held.files == second.files
    assert lake.restore(SAMPLES, HERE, 3, BACK, ("newer",)).version == 4
    assert lake.history(SAMPLES)[0].version == 4


def test_a_later_write_or_the_same_rows_built_again_end_the_hold(
    lake: ParquetStorage, twice: tuple[Commit, Commit]
) -> None:
    lake.restore(SAMPLES, HERE, 1, BACK, ("new",))
    confirmed = lake.replace(SAMPLES, HERE, [samples()], FIRST)
    assert (confirmed.changed, confirmed.version, confirmed.held_against) == (False, 4, ())
    assert (confirmed.operation, confirmed.restored) == ("rollback", 1)
    assert _current(lake).held_against == ()
    lake.restore(SAMPLES, HERE, 3, BACK, ("other",))
    replaced = lake.replace(SAMPLES, HERE, [samples(4)], FIRST)
    assert (replaced.operation, replaced.restored, replaced.held_against) == ("replace", None, ())
    assert _current(lake).operation == "replace"


def test_a_rollback_can_be_rolled_back(lake: ParquetStorage, twice: tuple[Commit, Commit]) -> None:
    first, second = twice
    back = lake.restore(SAMPLES, HERE, first.version, BACK)
    forth = lake.restore(SAMPLES, HERE, second.version, BACK)
    assert (forth.files, forth.provenance.sources) == (second.files, ("new",))
    again = lake.restore(SAMPLES, HERE, back.version, BACK)
    assert (again.files, again.provenance.sources, again.restored) == (first.files, ("old",), 4)
    # versions in between that were about another partition name the same state
    assert lake.restore(SAMPLES, HERE, 2).version == again.version


def test_what_a_version_was_made_from_is_what_was_known_then(lake: ParquetStorage) -> None:
    lake.replace(SAMPLES, HERE, [samples()], FIRST)
    lake.replace(SAMPLES, HERE, [samples()], SECOND)  # version 2 confirms
    lake.replace(SAMPLES, HERE, [samples(4)], SECOND)
    assert lake.restore(SAMPLES, HERE, 1).provenance.sources == ("old",)
    lake.replace(SAMPLES, HERE, [samples(4)], SECOND)
    assert lake.restore(SAMPLES, HERE, 2).provenance.sources == ("new",)


def test_back_to_before_there_were_rows(lake: ParquetStorage, twice: tuple[Commit, Commit]) -> None:
    commit = lake.restore(SAMPLES, HERE, 0, BACK, ("new",))
    assert (commit.rows, commit.changed, commit.operation) == (0, True, "rollback")
    assert lake.partitions(SAMPLES) == [THERE]
    assert _current(lake).held_against == ("new",)
    full = lake.restore(SAMPLES, HERE, 3)
    assert (full.rows, full.provenance.sources) == (8, ("new",))


def test_what_cannot_be_live_again_is_refused(
    lake: ParquetStorage, twice: tuple[Commit, Commit]
) -> None:
    first, second = twice
    paths = [lake.root / "samples" / file.path for file in first.files]
    with pytest.raises(UnknownVersion, match="no version 4"):
        lake.restore(SAMPLES, HERE, 4)
    with pytest.raises(UnknownVersion, match="no version 1"):
        ParquetStorage(lake.root / "other").restore(SAMPLES, HERE, 1)
    content = paths[0].read_bytes()
    paths[0].write_bytes(content[:-1] + b"?")
    with pytest.raises(DamagedFile, match="version 1 cannot be live again") as damaged:
        lake.restore(SAMPLES, HERE, 1)
    assert damaged.value.path == paths[0]
    paths[0].unlink()
    for ask in (
        lambda: lake.restore(SAMPLES, HERE, 1),
        lambda: lake.scan(SAMPLES, HERE, version=1),
        lambda: lake.files(SAMPLES, version=2),
    ):
        with pytest.raises(VacuumedVersion, match=r"1 of its \d files were removed"):
            ask()
    assert lake.scan(SAMPLES, THERE, version=2).collect().height == 12  # the other one has its own
    assert _current(lake).version == second.version
    assert lake.history(SAMPLES)[0].version == 3


def test_rows_from_before_a_column_came_are_live_again_with_nulls(lake: ParquetStorage) -> None:
    lake.replace(SAMPLES, HERE, [samples()])
    lake.replace(WEIGHED, HERE, [samples().with_columns(weight=2.5)])
    commit = lake.restore(WEIGHED, HERE, 1)
    assert commit.rows == 12
    assert lake.scan(WEIGHED).collect()["weight"].null_count() == 12


def test_rows_with_a_column_the_table_lost_are_refused(lake: ParquetStorage) -> None:
    from deltalake import write_deltalake

    lake.replace(WEIGHED, HERE, [samples().with_columns(weight=2.5)])
    folder = lake.root / "samples"
    rows = lake.scan(SAMPLES).collect()
    write_deltalake(folder, rows.to_arrow(), mode="overwrite", schema_mode="overwrite")
    with pytest.raises(SchemaMismatch, match="since version 1, column weight is no longer"):
        lake.restore(SAMPLES, HERE, 1)


def test_rollbacks_are_one_commit_or_none(
    lake: ParquetStorage, twice: tuple[Commit, Commit], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ParquetStorage(lake.root)
    log = lake.log(SAMPLES)
    exchange = log.exchange
    numbers: list[int] = []

    def late(base, *arguments):
        if not numbers:
            other.replace(SAMPLES, THERE, [samples(5, site="there")])
        numbers.append(base.version)
        return exchange(base, *arguments)

    monkeypatch.setattr(log, "exchange", late)
    assert lake.restore(SAMPLES, HERE, 1).version == 5
    assert numbers == [3, 4]
    assert lake.scan(SAMPLES, THERE).collect().height == 20
    assert not list(Path(lake.root).rglob("*.tmp"))
