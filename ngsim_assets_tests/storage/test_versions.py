"""Versions as people name them: numbers that mean something and always name the same rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ngsim_assets.storage.errors import (
    DamagedFile,
    NoSuchVersion,
    NotAVersion,
    SchemaMismatch,
)
from ngsim_assets.storage.folding import Folding
from ngsim_assets.storage.migration import migrate
from ngsim_assets.storage.parquet import ParquetStorage, Provenance
from ngsim_assets.storage.versions import DataVersionManager, TableVersion
from ngsim_assets_tests.storage.evolved import RENAMED, WEIGHED, WIDENED
from ngsim_assets_tests.storage.tables import HERE, SAMPLES, THERE, samples

NEW_CODE = Provenance("run 9", "2")


@pytest.fixture
def versions(lake: ParquetStorage) -> DataVersionManager:
    """A manager that has seen nothing yet."""
    return DataVersionManager(lake)


def _told(versions: list[TableVersion]) -> list[tuple[int, str, str]]:
    return [(version.number, version.semantic, version.change) for version in reversed(versions)]


@pytest.fixture
def lived_in(lake: ParquetStorage) -> ParquetStorage:
    """A table that has seen most of what can happen to one."""
    lake.replace(SAMPLES, HERE, [samples()], Provenance("run 1", "1"))
    lake.replace(SAMPLES, THERE, [samples(site="there")])
    lake.replace(SAMPLES, HERE, [samples(shift=1)])
    lake.replace(SAMPLES, HERE, [samples(shift=1)], NEW_CODE)  # the same rows: no version
    lake.replace(SAMPLES, HERE, [samples(4)])
    lake.restore(SAMPLES, HERE, 1, Provenance("run 6"), ("now",))
    lake.replace(SAMPLES, THERE, [])
    lake.replace(WEIGHED, THERE, [samples(2, site="there").with_columns(weight=1.0)])
    return lake


def test_numbers_tell_what_kind_of_change_it_was(lived_in: ParquetStorage) -> None:
    versions = DataVersionManager(lived_in)
    assert _told(versions.versions(WEIGHED)) == [
        (0, "v1.0.0", "table created"),
        (1, "v1.1.0", "first rows"),
        (2, "v1.2.0", "first rows"),
        (3, "v1.2.1", "rows corrected"),
        (5, "v1.3.0", "rows added"),
        (6, "v1.3.1", "rolled back to version 1"),
        (7, "v1.3.2", "emptied"),
        (8, "v1.4.0", "columns added: weight"),
        (9, "v1.5.0", "first rows"),
    ]


def test_versions_of_a_partition_are_those_that_changed_it(lived_in: ParquetStorage) -> None:
    versions = DataVersionManager(lived_in).versions(SAMPLES, HERE)
    assert [version.number for version in versions] == [8, 6, 5, 3, 1]
    added, back, *_, first = versions
    assert (first.rows_before, first.rows, first.run_id, first.code_version) == (
        0,
        12,
        "run 1",
        "1",
    )
    assert (back.rows_before, back.rows, back.run_id, back.code_version) == (16, 12, "run 6", "1")
    assert (back.operation, back.restored, back.held_against) == ("rollback", 1, ("now",))
    assert back.bytes == first.bytes > 0
    assert [version.live for version in versions] == [True, False, False, False, False]
    assert (added.partition, added.operation, added.rows) == (HERE, "add column", 12)
    assert all(version.readable for version in versions)
    assert first.timestamp.tzinfo is not None


def test_of_each_partition_one_version_is_live(lived_in: ParquetStorage) -> None:
    versions = DataVersionManager(lived_in).versions(SAMPLES)
    live = [(version.number, version.partition) for version in versions if version.live]
    assert live == [(9, THERE)]  # what added a column was about every partition
    lived_in.replace(WEIGHED, HERE, [samples(2).with_columns(weight=1.0)])
    live = [v.number for v in DataVersionManager(lived_in).versions(SAMPLES) if v.live]
    assert live == [10, 9]


@pytest.mark.parametrize(
    ("wanted", "number"),
    [
        ("5", 5),
        ("@5", 5),
        ("4", 3),  # a confirmation: what was live then
        ("@0", 9),
        ("@-1", 8),
        ("-2", 7),
        ("v1.2.1", 3),
        ("1.2.1", 3),
        ("v1.3", 7),
        ("v1", 9),
        ("v1.0.0", 0),
        ("2999-01-01", 9),
    ],
)
def test_every_form_of_name_finds_its_version(
    lived_in: ParquetStorage, wanted: str, number: int
) -> None:
    assert DataVersionManager(lived_in).find(SAMPLES, wanted).number == number


@pytest.mark.parametrize(
    ("wanted", "number"), [("7", 6), ("@-1", 6), ("@-4", 1), ("v1.2.0", 1), ("v1.2", 3)]
)
def test_of_a_partition_it_is_what_was_live_there(
    lived_in: ParquetStorage, wanted: str, number: int
) -> None:
    assert DataVersionManager(lived_in).find(SAMPLES, wanted, HERE).number == number


def test_a_time_names_what_was_live_then_whatever_its_zone(lived_in: ParquetStorage) -> None:
    versions = DataVersionManager(lived_in)
    third = versions.find(SAMPLES, "3")
    for moment in (
        third.timestamp.isoformat(),
        third.timestamp.replace(tzinfo=None).isoformat(),
        (third.timestamp + timedelta(hours=5)).replace(tzinfo=None).isoformat() + "+05:00",
    ):
        assert versions.find(SAMPLES, moment).number == 3
    with pytest.raises(NoSuchVersion, match=r"no version 1999-12-31 \(there are, newest first"):
        versions.find(SAMPLES, "1999-12-31")


@pytest.mark.parametrize("wanted", ["99", "@-9", "v2.0.0", "v1.2.9", "1999-01-01T00:00Z"])
def test_an_unknown_version_says_what_there_is(lived_in: ParquetStorage, wanted: str) -> None:
    with pytest.raises(NoSuchVersion, match=r"v1\.5\.0 \(@9, .* UTC\), v1\.4\.0 \(@8") as caught:
        DataVersionManager(lived_in).find(SAMPLES, wanted)
    assert "and 1 older ones" in str(caught.value)


@pytest.mark.parametrize("wanted", ["", "yesterday", "v1.2.3.4", "@", "@x", "--1", "v", "٣"])
def test_what_names_no_version_is_told_the_forms(lived_in: ParquetStorage, wanted: str) -> None:
    with pytest.raises(NotAVersion, match=r"names no version of table samples .*2026-03-01T12:00"):
        DataVersionManager(lived_in).find(SAMPLES, wanted)


def test_a_table_without_versions(versions: DataVersionManager) -> None:
    assert versions.versions(SAMPLES) == []
    with pytest.raises(NoSuchVersion, match="there is none yet"):
        versions.find(SAMPLES, "@-1", HERE)


def test_a_manager_follows_the_table(lake: ParquetStorage, versions: DataVersionManager) -> None:
    assert versions.versions(SAMPLES) == []
    ParquetStorage(lake.root).replace(SAMPLES, HERE, [samples()])
    assert versions.find(SAMPLES, "@0").semantic == "v1.1.0"
    ParquetStorage(lake.root).replace(SAMPLES, HERE, [samples(4)])
    assert versions.find(SAMPLES, "@0").semantic == "v1.2.0"


def test_commits_of_other_programs_count_by_what_they_did(lake: ParquetStorage) -> None:
    from deltalake import DeltaTable, write_deltalake

    lake.replace(SAMPLES, HERE, [samples()])
    lake.replace(SAMPLES, THERE, [samples(site="there")])
    folder = lake.root / "samples"
    more = lake.scan(SAMPLES, HERE).collect()
    write_deltalake(folder, more.to_arrow(), mode="append")
    table = DeltaTable(folder)
    table.optimize.compact()
    table.delete("site = 'there'")
    table.restore(3)
    table.alter.set_table_properties({"delta.checkpointInterval": "7"})
    versions = DataVersionManager(lake)
    told = versions.versions(SAMPLES)
    assert _told(told)[3:] == [
        (3, "v1.3.0", "write by another program"),
        (5, "v1.3.1", "delete by another program"),
        (6, "v1.4.0", "restore by another program"),
    ]
    assert told[0].rows == 36
    by_partition = versions.versions(SAMPLES, HERE)
    assert [(version.number, version.rows) for version in by_partition] == [
        (6, 24),
        (3, 24),
        (1, 12),
    ]
    lake.replace(SAMPLES, HERE, [samples()])
    assert versions.find(SAMPLES, "@0", HERE).semantic == "v1.4.1"
    assert lake.restore(SAMPLES, HERE, 3).rows == 24


def test_a_migration_is_a_new_major_version(lake: ParquetStorage) -> None:
    lake.replace(SAMPLES, HERE, [samples()], Provenance("run 1", "1"))
    lake.replace(SAMPLES, THERE, [samples(site="there")])
    migrate(lake, RENAMED, run_id="move")
    lake.replace(RENAMED, HERE, [samples(4).rename({"name": "title"})])
    versions = DataVersionManager(lake)
    assert _told(versions.versions(RENAMED, HERE)) == [
        (1, "v1.1.0", "first rows"),
        (3, "v2.0.0", "columns migrated"),
        (4, "v2.1.0", "rows added"),
    ]
    migrated = versions.find(RENAMED, "v2.0")
    assert (migrated.number, migrated.rows, migrated.rows_before, migrated.run_id) == (
        3,
        24,
        24,
        "move",
    )
    with pytest.raises(SchemaMismatch, match="since version 2, column name is no longer"):
        lake.restore(RENAMED, HERE, versions.find(RENAMED, "v1").number)
    assert lake.restore(RENAMED, HERE, 3).rows == 12
    assert lake.scan(RENAMED, HERE, version=1).collect().height == 12
    migrate(lake, WIDENED, restart=True)
    newest = versions.find(WIDENED, "@0")
    assert (newest.semantic, newest.rows, newest.rows_before) == ("v3.0.0", 0, 24)
    versions.vacuum(WIDENED, keep_days=0, keep_versions=2)
    assert lake.scan(RENAMED, HERE, version=5).collect().height == 12


def test_damaged_files_written_again_are_a_correction(lake: ParquetStorage) -> None:
    commit = lake.replace(SAMPLES, HERE, [samples()])
    (lake.root / "samples" / commit.files[0].path).unlink()
    versions = DataVersionManager(lake)
    assert [version.readable for version in versions.versions(SAMPLES, HERE)] == [False]
    lake.replace(SAMPLES, HERE, [samples()])
    newest, damaged = versions.versions(SAMPLES, HERE)
    assert (newest.change, newest.semantic, newest.readable) == (
        "damaged files written again",
        "v1.1.1",
        True,
    )
    assert not damaged.readable


def test_a_commit_that_cannot_be_read_is_named(lived_in: ParquetStorage) -> None:
    from deltalake import DeltaTable

    DeltaTable(lived_in.root / "samples").create_checkpoint()  # what is live stays readable
    path = lived_in.root / "samples" / "_delta_log" / f"{4:020}.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:50])
    for harm in (lambda: None, path.unlink):
        harm()
        fresh = ParquetStorage(lived_in.root)
        with pytest.raises(DamagedFile, match=rf"{path.name}: .*from a backup"):
            DataVersionManager(fresh).versions(SAMPLES)
        assert len(fresh.history(SAMPLES)) == 9  # the others are still told
        current = fresh.current(SAMPLES, HERE)
        assert current is not None
        assert (current.operation, current.rows) == ("rollback", 12)
    path.write_bytes(whole)
    assert len(DataVersionManager(ParquetStorage(lived_in.root)).versions(SAMPLES)) == 9


_SITES = [HERE, THERE]
_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["replace", "replace", "restore", "empty", "confirm"]),
        st.integers(0, 1),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=9,
)


def _do(lake: ParquetStorage, kind: str, site: int, size: int) -> None:
    partition = _SITES[site]
    if kind == "restore":
        newest = lake.history(SAMPLES)
        lake.restore(SAMPLES, partition, size % len(newest)) if newest else None
    elif kind == "confirm":
        frames = list(lake.frames(SAMPLES, partition))
        lake.replace(SAMPLES, partition, frames, NEW_CODE)
    else:
        things = 0 if kind == "empty" else size
        lake.replace(SAMPLES, partition, [samples(things, 1, site=partition["site"])])


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=_STEPS)
def test_folding_never_goes_back_and_does_not_depend_on_when(
    steps: list[tuple[str, int, int]],
) -> None:
    with TemporaryDirectory() as folder:
        lake = ParquetStorage(Path(folder))
        following = DataVersionManager(lake)
        seen: dict[int, str] = {}
        for step in steps:
            _do(lake, *step)
            for version in following.versions(SAMPLES):
                # once a version has a number, nothing that comes later changes it
                assert seen.setdefault(version.number, version.semantic) == version.semantic
        if not seen:
            return
        fresh = {v.number: v.semantic for v in DataVersionManager(lake).versions(SAMPLES)}
        assert fresh == seen
        folding = Folding(SAMPLES)
        for record in reversed([*lake.log(SAMPLES).records()]):
            folding.add(record)
            # what is folded is what the Delta library says is live
            live = {f.path for states in folding.states.values() for f in states[-1].files}
            assert live == {file.path for file in lake.log(SAMPLES).at(record.version).files}
        numbers = [change.semantic for change in folding.changes]
        assert all(before < after for before, after in pairwise(numbers))
        rows = {tuple(p.values()): lake.scan(SAMPLES, p).collect().height for p in _SITES}
        for identity, states in folding.states.items():
            assert states[-1].rows == rows[identity]


def test_numbers_are_found_again_from_the_index(
    lake: ParquetStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ngsim_assets.storage.records.BLOCK", 2)
    for size in (1, 2, 3, 2):
        lake.replace(SAMPLES, HERE, [samples(size)])
    told = DataVersionManager(lake).versions(SAMPLES)
    parts = sorted((lake.root / "samples" / "_records").iterdir())
    assert len(parts) == 2

    def again() -> list[TableVersion]:
        return DataVersionManager(ParquetStorage(lake.root)).versions(SAMPLES)

    log = lake.root / "samples" / "_delta_log"
    harms: list[Callable[[], object]] = [
        lambda: None,
        lambda: parts[0].write_bytes(parts[0].read_bytes()[:-40]),
        lambda: parts[0].write_text("[1, {}]\n"),
        lambda: parts[0].write_bytes(b"\xff\xfe"),
        parts[1].unlink,
        lambda: parts[1].write_bytes(parts[0].read_bytes()),
    ]
    for harm in harms:
        harm()
        assert again() == told
    # a copy of another log is not believed
    (log / f"{2:020}.json").touch()
    assert again() == told
