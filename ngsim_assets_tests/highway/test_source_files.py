"""Stored rows tell of the very file they were read from, whatever is delivered afterwards."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import polars as pl

from ngsim_assets.highway import intake, model, reporting, stages
from ngsim_assets.highway.simulation.write_source import write_source
from ngsim_assets.highway.stages import Platform
from ngsim_assets.settings import load_settings
from ngsim_assets.storage.manifest import SourceFile
from ngsim_assets_tests.highway.deliveries import EARLY, rows
from ngsim_assets_tests.highway.odd_files import driven
from ngsim_assets_tests.highway.whole_path import build, taken_in


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _files(platform: Platform, table: model.Table = model.RAW_TRAJECTORIES) -> list[SourceFile]:
    commit = platform.lake.current(table, stages.identity(EARLY))
    assert commit is not None
    return list(commit.provenance.files)


def _assert_rows_stand_in(platform: Platform, contents: dict[str, bytes]) -> None:
    """Every raw row is the line it names of the file with the recorded hash."""
    told = {file.name: file.sha256 for file in _files(platform)}
    stored = platform.lake.scan(model.RAW_TRAJECTORIES, stages.identity(EARLY)).collect()
    assert set(stored["source_file"]) == set(told)
    lines = {name: contents[sha256].decode().splitlines() for name, sha256 in told.items()}
    for name, row, vehicle, frame in stored.select(
        "source_file", "source_row", "vehicle_id", "frame_id"
    ).iter_rows():
        cells = lines[name][row - 1].replace(",", " ").split()
        assert [int(cells[0]), int(cells[1])] == [vehicle, frame]


def test_the_files_of_a_partition_are_recorded_with_its_rows(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.txt", tmp_path / "b.csv.gz"
    write_source(driven(2, 40), plain, "text")
    write_source(driven(3, 40, seed=1), packed, "export")
    platform, keys = taken_in(tmp_path / "data", plain, packed)
    assert keys == [EARLY]
    stages.store_raw(platform, EARLY)
    first, second = _files(platform)
    assert first == SourceFile(
        name="a.txt",
        sha256=_sha256(plain),
        path=str(plain),
        packed_sha256=_sha256(plain),
        rows=80,
        extras=first.extras,
    )
    assert (second.name, second.path, second.rows) == ("b.csv.gz", str(packed), 120)
    assert second.packed_sha256 == _sha256(packed)
    unpacked = gzip.decompress(packed.read_bytes())
    assert second.sha256 == hashlib.sha256(unpacked).hexdigest()
    _assert_rows_stand_in(platform, {first.sha256: plain.read_bytes(), second.sha256: unpacked})


def test_rows_keep_telling_of_their_file_when_it_comes_again_in_another_order(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.txt"
    write_source(driven(3, 40), path, "text")
    before = {_sha256(path): path.read_bytes()}
    platform, _ = taken_in(tmp_path / "data", path)
    build(platform, EARLY)
    write_source(driven(3, 40), path, "text", shuffle=3)
    again, _ = taken_in(tmp_path / "data", path)
    assert {file.file.sha256 for file in again.landing.deliveries(str(EARLY))} == {_sha256(path)}
    _assert_rows_stand_in(again, before)
    # what is made of those rows later still speaks of their file, not of the one there is now
    _, report = reporting.store_report(again, EARLY)
    assert {file.sha256 for file in report.origin.sources} == set(before)
    # read anew, they are rows of the file that is delivered now
    stages.store_raw(again, EARLY)
    _assert_rows_stand_in(again, {_sha256(path): path.read_bytes()})


def test_the_same_rows_read_from_the_same_lines_of_another_file_are_no_version(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.csv"
    write_source(driven(3, 40), path, "export")
    platform, _ = taken_in(tmp_path / "data", path)
    version = stages.store_raw(platform, EARLY).version
    before = _sha256(path)
    path.write_bytes(path.read_bytes() + b"\n")
    again, _ = taken_in(tmp_path / "data", path)
    stages.store_raw(again, EARLY)
    assert again.lake.history(model.RAW_TRAJECTORIES)[0].version == version
    assert [file.sha256 for file in _files(again)] == [before]


def test_two_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    contents: dict[str, bytes] = {}
    paths = [tmp_path / folder / "export.csv" for folder in ("first", "second")]
    for seed, path in enumerate(paths):
        path.parent.mkdir()
        write_source(driven(2 + seed, 40, seed=seed), path, "export", shuffle=seed)
        contents[_sha256(path)] = path.read_bytes()
    platform, _ = taken_in(tmp_path / "data", *paths)
    stages.store_raw(platform, EARLY)
    assert [file.name for file in _files(platform)] == [
        f"export.csv ({sha256[:8]})" for sha256 in contents
    ]
    _assert_rows_stand_in(platform, contents)
    # where both have a vehicle at a frame, the one delivered later holds
    valid, refused = stages.store_validated(platform, EARLY)
    assert valid.rows + refused.rows == 200
    superseded = (
        platform.lake.scan(model.QUARANTINE, stages.identity(EARLY))
        .filter(pl.col("reasons").list.contains("superseded"))
        .collect()
    )
    assert superseded["source_file"].str.contains(next(iter(contents))[:8]).all()
    assert superseded.height == 80


def test_rows_of_no_recording_tell_of_their_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_source(pl.concat([rows(), rows(recording=1)]), path, "export")
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    lines[4] = "complete nonsense"
    path.write_text("\n".join(lines))
    platform, _ = taken_in(tmp_path / "data", path)
    (partition,) = platform.lake.partitions(model.QUARANTINE)
    commit = platform.lake.current(model.QUARANTINE, partition)
    assert commit is not None
    (file,) = commit.provenance.files
    assert (file.name, file.sha256, file.rows) == ("a.csv", _sha256(path), 1)


def test_records_of_before_files_were_recorded_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_source(driven(3, 40), path, "text")
    platform, _ = taken_in(tmp_path / "data", path)
    stages.store_raw(platform, EARLY)
    (log,) = (tmp_path / "data/lake/raw_trajectories/_delta_log").glob("*1.json")
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        action.get("commitInfo", {}).get("lineage", {}).pop("delivered", None)
    log.write_text("\n".join(map(json.dumps, actions)))
    older = stages.open_platform(load_settings(data=tmp_path / "data"))
    assert _files(older) == []
    expected = [file.file.name for file in older.landing.deliveries(str(EARLY))]
    raw = stages.built(older, model.RAW_TRAJECTORIES, EARLY)
    assert [file.name for file in stages.read_from(older, raw, EARLY)] == expected
    assert stages.store_validated(older, EARLY)[0].rows
    assert intake.recording_t0(older.landing, EARLY) == intake.agreed_t0(
        stages.read_from(older, raw, EARLY)
    )
