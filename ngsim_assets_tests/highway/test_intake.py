"""Taking files in: every row once, in its partition, however often and in whatever form."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ngsim_assets.acquisition.errors import NothingDelivered
from ngsim_assets.acquisition.landing import LandingZone
from ngsim_assets.highway.errors import (
    BadPartitionKey,
    CutAtExcelLimit,
    EmptySource,
    NoFilesInFolder,
    SourceUnreadable,
    UnknownHighway,
    UnknownSite,
)
from ngsim_assets.highway.formats import RAW_PHYSICAL
from ngsim_assets.highway.intake import (
    Intake,
    IntakeProgress,
    Rejected,
    delivered_rows,
    recording_t0,
    take_in,
    take_in_all,
    unassigned_partition,
    unassigned_rows,
)
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.model import QUARANTINE, RAW_TRAJECTORIES
from ngsim_assets.highway.sites import I_80, LANKERSHIM, US_101, Site
from ngsim_assets.highway.write_source import write_source

EARLY, LATER = (PartitionKey("us-101", official.key) for official in US_101.recordings[:2])
WEST = PartitionKey("i-80", I_80.recordings[0].key)
WHERE = ["source_file", "source_row"]


def rows(
    site: Site = US_101,
    recording: int = 0,
    *,
    t0: int | None = None,
    vehicles: int = 3,
    frames: int = 40,
    seed: int = 0,
) -> pl.DataFrame:
    """Raw rows of a few vehicles, sorted; values mean nothing but are all different."""
    random = np.random.default_rng([seed, recording, len(site.highway_id)])
    origin = sum(site.recordings[recording].t0) // 2 if t0 is None else t0
    count = vehicles * frames
    frame = np.tile(np.arange(10, 10 + frames), vehicles)
    arterial = {"o_zone", "d_zone", "int_id", "section_id", "direction", "movement"}
    known = {
        "vehicle_id": np.repeat(np.arange(1, vehicles + 1), frames),
        "frame_id": frame,
        "global_time": origin + 100 * frame,
    }
    return pl.DataFrame(
        [
            pl.Series(name, known.get(name, random.integers(0, 90_000, count)), strict=False).cast(
                dtype
            )
            if name != "location" and (name not in arterial or site.arterial)
            else pl.repeat(
                site.highway_id if name == "location" else None, count, dtype=dtype, eager=True
            ).alias(name)
            for name, dtype in RAW_PHYSICAL.items()
        ]
    )


def delivered(zone: LandingZone, key: PartitionKey, chunk_rows: int = 250_000) -> pl.DataFrame:
    return pl.concat(list(delivered_rows(zone, key, chunk_rows=chunk_rows)), how="vertical_relaxed")


def values(frame: pl.DataFrame) -> pl.DataFrame:
    """What was delivered, without where it stood."""
    return frame.select(list(RAW_PHYSICAL)).sort(pl.all())


@pytest.fixture
def zone(tmp_path: Path) -> LandingZone:
    return LandingZone(tmp_path / "landing")


class TestRealExcerpts:
    def test_peachtree_export(self, real_data: Path, zone: LandingZone) -> None:
        (intake,) = take_in(real_data / "ngsim" / "peachtree_socrata_export_10000_rows.csv", zone)
        assert intake.partitions == {
            "peachtree|2006-11-08T1245": 7619,
            "peachtree|2006-11-08T1600": 2381,
        }
        assert (intake.rows, intake.unassigned) == (10_000, 0)
        assert [recording_t0(zone, key) for key in intake.keys] == [1163018600, 1163030300]
        tracks = sum(delivered(zone, key)["vehicle_id"].n_unique() for key in intake.keys)
        assert tracks == 229

    def test_freeway_excerpt(self, real_data: Path, zone: LandingZone) -> None:
        (intake,) = take_in(real_data / "ngsim" / "us101_i80_excerpt_feet.csv", zone)
        assert intake.partitions == {
            "i-80|2005-04-13T1600": 2491,
            "i-80|2005-04-13T1700": 1323,
            "us-101|2005-06-15T0750": 1804,
            "us-101|2005-06-15T0805": 2441,
            "us-101|2005-06-15T0820": 2537,
        }
        for key in intake.keys:
            frame = delivered(zone, key)
            clock = frame["global_time"] - 100 * frame["frame_id"].cast(pl.Int64)
            assert clock.unique().to_list() == [recording_t0(zone, key)]


class TestDeliveredRows:
    def test_columns_types_and_order(self, tmp_path: Path, zone: LandingZone) -> None:
        recording = rows(vehicles=7)
        path = tmp_path / "a.csv"
        write_source(recording, path, "export", shuffle=3)
        take_in(path, zone)
        frame = delivered(zone, EARLY)
        assert frame.columns == list(RAW_TRAJECTORIES.columns)
        assert dict(frame.select(list(RAW_PHYSICAL)).schema) == dict(RAW_PHYSICAL)
        assert frame.select(list(RAW_PHYSICAL)).equals(recording)
        assert frame["source_file"].unique().to_list() == ["a.csv"]
        assert sorted(frame["source_row"]) == list(range(2, recording.height + 2))
        assert frame["date"].unique().to_list() == [US_101.date]

    def test_chunks_are_whole_vehicles(self, tmp_path: Path, zone: LandingZone) -> None:
        write_source(rows(vehicles=9, frames=20), tmp_path / "a.txt", "text")
        take_in(tmp_path / "a.txt", zone)
        whole = delivered(zone, EARLY)
        for chunk_rows, sizes in {1: [20] * 9, 45: [40, 40, 40, 40, 20], 10**6: [180]}.items():
            chunks = list(delivered_rows(zone, EARLY, chunk_rows=chunk_rows))
            assert [chunk.height for chunk in chunks] == sizes
            assert pl.concat(chunks).equals(whole)

    def test_large_partitions_are_read_in_ranges(
        self, tmp_path: Path, zone: LandingZone, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_source(rows(vehicles=30), tmp_path / "a.csv", "export", shuffle=1)
        take_in(tmp_path / "a.csv", zone)
        whole = list(delivered_rows(zone, EARLY, chunk_rows=100))
        monkeypatch.setattr("ngsim_assets.highway.delivered._ROWS_AT_ONCE", 250)
        again = list(delivered_rows(zone, EARLY, chunk_rows=100))
        assert all(one.equals(other) for one, other in zip(whole, again, strict=True))

    def test_equal_keys_keep_the_order_of_delivery_and_line(
        self, tmp_path: Path, zone: LandingZone
    ) -> None:
        first = rows(vehicles=2, frames=3)
        write_source(pl.concat([first, first]), tmp_path / "b.csv", "export")
        write_source(rows(vehicles=2, frames=3, seed=5), tmp_path / "a.txt", "text")
        take_in(tmp_path / "b.csv", zone)
        take_in(tmp_path / "a.txt", zone)
        frame = delivered(zone, EARLY).filter(vehicle_id=1, frame_id=10)
        assert frame.select(WHERE).rows() == [("b.csv", 2), ("b.csv", 8), ("a.txt", 1)]

    def test_nothing_delivered(self, zone: LandingZone) -> None:
        with pytest.raises(NothingDelivered, match="ngsim ingest"):
            list(delivered_rows(zone, EARLY))
        assert recording_t0(zone, EARLY) is None


corpus = pl.concat(
    [
        rows(vehicles=4, frames=30),
        rows(recording=1, vehicles=3, frames=25),
        rows(I_80, vehicles=2, frames=20),
        rows(I_80, t0=1113490000000, vehicles=2, frames=60),
    ]
)
CORPUS_KEYS = [str(EARLY), str(LATER), str(WEST), "i-80|2005-04-14T0746"]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    order=st.randoms(use_true_random=False),
    cuts=st.lists(st.integers(0, corpus.height), max_size=3),
    layouts=st.lists(st.sampled_from(["export", "api", "export.gz"]), min_size=4, max_size=4),
)
def test_order_division_and_form_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory,
    order: Random,
    cuts: list[int],
    layouts: list[str],
) -> None:
    folder = tmp_path_factory.mktemp("intake")
    expected = LandingZone(folder / "expected")
    write_source(corpus, folder / "all.csv", "export")
    take_in(folder / "all.csv", expected)
    assert expected.partitions() == sorted(CORPUS_KEYS)

    zone = LandingZone(folder / "landing")
    places = list(range(corpus.height))
    order.shuffle(places)
    bounds = [0, *sorted(cuts), corpus.height]
    total = 0
    for number, layout in enumerate(layouts[: len(bounds) - 1]):
        part = corpus[places[bounds[number] : bounds[number + 1]]]
        if part.height == 0:
            continue
        name, _, packed = layout.partition(".")
        path = folder / f"{number}.csv{'.gz' if packed else ''}"
        write_source(part, path, "api" if name == "api" else "export")
        (intake,) = take_in(path, zone)
        total += intake.rows
        assert intake.rows == sum(intake.partitions.values()) + intake.unassigned
    if len(cuts) == 0:
        assert zone.partitions() == expected.partitions()
    rows_kept = sum(item.rows for key in zone.partitions() for item in zone.deliveries(key))
    assert rows_kept == total == corpus.height
    for key in CORPUS_KEYS[:3]:
        assert zone.partition_hash(key) == expected.partition_hash(key)
        parsed = PartitionKey.parse(key)
        assert values(delivered(zone, parsed)).equals(values(delivered(expected, parsed)))


@pytest.mark.parametrize("batch_rows", [1, 7, 64])
def test_batch_size_does_not_matter(
    tmp_path: Path, zone: LandingZone, monkeypatch: pytest.MonkeyPatch, batch_rows: int
) -> None:
    from ngsim_assets.highway import intake as module

    write_source(corpus, tmp_path / "all.csv", "export", shuffle=1)
    take_in(tmp_path / "all.csv", zone)
    whole = module.read_batches
    monkeypatch.setattr(
        module, "read_batches", lambda *a, **k: whole(*a, batch_rows=batch_rows, **k)
    )
    monkeypatch.setattr("ngsim_assets.highway.spill._OWN_PARTS_ROWS", 30)
    other = LandingZone(tmp_path / "other")
    take_in(tmp_path / "all.csv", other)
    assert other.partitions() == zone.partitions()
    for key in CORPUS_KEYS:
        assert other.partition_hash(key) == zone.partition_hash(key)
        parsed = PartitionKey.parse(key)
        assert delivered(other, parsed).equals(delivered(zone, parsed))


def test_text_and_export_of_a_freeway_agree(tmp_path: Path, zone: LandingZone) -> None:
    one_decimal = [pl.col(name) // 10 * 10 for name in ("v_length", "v_width")]
    recording = rows(vehicles=4).with_columns(one_decimal)
    write_source(recording, tmp_path / "a.txt", "text")
    take_in(tmp_path / "a.txt", zone)
    before, frame = zone.partition_hash(str(EARLY)), delivered(zone, EARLY)
    write_source(recording, tmp_path / "rows.csv", "export", shuffle=2)
    (intake,) = take_in(tmp_path / "rows.csv", zone)
    assert intake.changed
    assert zone.partition_hash(str(EARLY)) == before
    assert delivered(zone, EARLY).equals(frame), "the same rows again say nothing new"


class TestAgain:
    def test_twice_is_once(self, tmp_path: Path, zone: LandingZone) -> None:
        path = tmp_path / "a.csv"
        write_source(rows(), path, "export")
        (first,) = take_in(path, zone)
        tree = sorted(zone.root.rglob("*"))
        (second,) = take_in(path, zone)
        assert (first.changed, second.changed) == (True, False)
        assert second.partitions == first.partitions
        os.utime(path)
        (third,) = take_in(path, zone)
        assert (third.changed, third.note) == (False, "unchanged")
        assert sorted(zone.root.rglob("*")) == tree

    def test_new_content_replaces_the_old(self, tmp_path: Path, zone: LandingZone) -> None:
        path = tmp_path / "a.csv"
        write_source(rows(), path, "export")
        take_in(path, zone)
        write_source(rows(recording=1), path, "export")
        (intake,) = take_in(path, zone)
        assert intake.changed
        assert zone.partitions() == [str(LATER)]

    def test_copy_and_rename(self, tmp_path: Path, zone: LandingZone) -> None:
        path = tmp_path / "a.csv"
        write_source(rows(), path, "export")
        take_in(path, zone)
        frame = delivered(zone, EARLY)
        copy = Path(shutil.copy(path, tmp_path / "copy.csv"))
        (intake,) = take_in(copy, zone)
        assert not intake.changed
        assert str(path) in intake.note
        renamed = copy.rename(tmp_path / "renamed.csv")
        take_in(renamed, zone)
        with gzip.open(tmp_path / "packed.gz", "wb") as packed:
            packed.write(path.read_bytes())
        (intake,) = take_in(tmp_path / "packed.gz", zone)
        assert not intake.changed
        assert len(zone.files()) == 1
        assert delivered(zone, EARLY).equals(frame)

    def test_told_otherwise_is_taken_in_again(self, tmp_path: Path, zone: LandingZone) -> None:
        path = tmp_path / "a.txt"
        write_source(rows(t0=1700000000000), path, "text")
        take_in(path, zone, highway="I80")
        assert zone.partitions() == ["i-80|2023-11-14T1413"]
        assert not take_in(path, zone)[0].changed, "what was told once holds"
        take_in(path, zone, highway="us-101", recording="2005-06-15T0750")
        assert zone.partitions() == [str(EARLY)]

    def test_a_recording_keeps_its_name_when_its_file_grows(
        self, tmp_path: Path, zone: LandingZone
    ) -> None:
        path = tmp_path / "a.csv"
        whole = rows(t0=1700000000000, frames=1500)
        write_source(whole.filter(pl.col("frame_id") > 1000), path, "export")
        take_in(path, zone)
        write_source(whole, path, "export")
        take_in(path, zone)
        assert zone.partitions() == ["us-101|2023-11-14T1415"]


class TestRowsOfNoRecording:
    def test_they_are_kept_with_their_reasons(self, tmp_path: Path, zone: LandingZone) -> None:
        path = tmp_path / "a.csv"
        recording = pl.concat([rows(), rows(I_80)])
        write_source(recording, path, "export")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        spoiled = {
            3: ("us-101", "us-1o1"),
            4: (lines[4], "complete nonsense"),
            5: (lines[5].split(",")[1], ""),
            6: (str(recording["global_time"][5]), "***"),
        }
        for line, (old, new) in spoiled.items():
            lines[line] = lines[line].replace(old, new, 1)
        path.write_text("\n".join(lines))
        (intake,) = take_in(path, zone)
        assert (intake.rows, intake.unassigned) == (240, 4)
        frame = pl.concat(list(unassigned_rows(zone, zone.files()[0])))
        assert frame.columns == list(QUARANTINE.columns)
        assert dict(frame.select("source_row", "reasons").rows()) == {
            4: ["unknown_highway"],
            5: ["unreadable_row"],
            6: ["no_frame"],
            7: ["no_time"],
        }
        assert frame["source_text"].to_list()[:2] == [lines[3], "complete nonsense"]
        assert frame["highway_id"].unique().to_list() == ["unassigned"]
        assert frame["stage"].unique().to_list() == ["intake"]
        digest = zone.files()[0].sha256
        assert frame["recording"].unique().to_list() == [f"file-{digest[:8]}"]
        assert frame.select("highway_id", "recording").row(0, named=True) == unassigned_partition(
            zone.files()[0]
        )
        kept = sum(delivered(zone, key).height for key in intake.keys)
        assert kept + frame.height == intake.rows

    def test_the_only_recording_takes_them(self, tmp_path: Path, zone: LandingZone) -> None:
        path = tmp_path / "a.txt"
        write_source(rows(), path, "text")
        lines = path.read_text().splitlines()
        lines[7] = "cut off in the mid"
        path.write_text("\n".join(lines))
        (intake,) = take_in(path, zone)
        assert (intake.unassigned, intake.partitions) == (0, {str(EARLY): 120})
        frame = delivered(zone, EARLY)
        assert frame["source_text"].drop_nulls().to_list() == ["cut off in the mid"]
        assert frame["vehicle_id"][0] is None, "null comes first"
        assert list(unassigned_rows(zone, zone.files()[0])) == []

    def test_a_site_they_all_name_is_kept(self, tmp_path: Path, zone: LandingZone) -> None:
        path = tmp_path / "a.csv"
        recording = pl.concat([rows(), rows(recording=1)])
        spoiled = recording.with_columns(
            frame_id=pl.when(pl.int_range(pl.len()) > 1).then("frame_id")
        )
        write_source(spoiled, path, "export")
        take_in(path, zone)
        frame = pl.concat(list(unassigned_rows(zone, zone.files()[0])))
        assert frame.select("highway_id", "date", "location").unique().rows() == [
            ("us-101", US_101.date, "us-101")
        ]
        assert frame["reasons"].to_list() == [["no_frame"]] * 2

    def test_a_broken_clock_stays_with_its_recording(
        self, tmp_path: Path, zone: LandingZone
    ) -> None:
        recording = pl.concat([rows(t0=1700000000000, frames=500), rows(I_80)])
        spoiled = recording.with_columns(
            pl.when(pl.int_range(pl.len()) == 17)
            .then(pl.col("global_time") + 86_400_000)
            .otherwise("global_time")
            .alias("global_time")
        )
        write_source(spoiled, tmp_path / "a.csv", "export")
        (intake,) = take_in(tmp_path / "a.csv", zone)
        assert intake.partitions == {"us-101|2023-11-14T1413": 1500, str(WEST): 120}
        assert recording_t0(zone, intake.keys[1]) == 1700000000000


class TestArchives:
    def test_members_are_deliveries_of_their_own(self, tmp_path: Path, zone: LandingZone) -> None:
        for name, number in {"a.txt": 0, "b.txt": 1}.items():
            write_source(rows(recording=number), tmp_path / name, "text")
        archive = tmp_path / "us-101.zip"
        with zipfile.ZipFile(archive, "w") as packed:
            packed.write(tmp_path / "a.txt", "data/a.txt")
            packed.write(tmp_path / "b.txt", "data/b.txt")
            packed.writestr("readme.txt", "what this is\n")
        first, second = take_in(archive, zone)
        assert (first.name, second.name) == (
            "us-101.zip!data/a.txt",
            "us-101.zip!data/b.txt",
        )
        assert zone.partitions() == [str(EARLY), str(LATER)]
        assert [intake.note for intake in take_in(archive, zone)] == ["unchanged"] * 2
        with zipfile.ZipFile(archive, "w") as packed:
            packed.write(tmp_path / "b.txt", "data/b.txt")
        take_in(archive, zone)
        assert zone.partitions() == [str(LATER)]

    def test_one_bad_member_does_not_stop_the_others(
        self, tmp_path: Path, zone: LandingZone
    ) -> None:
        write_source(rows(), tmp_path / "a.txt", "text")
        write_source(rows(t0=1700000000000), tmp_path / "b.csv", "csv")
        archive = tmp_path / "x.zip"
        with zipfile.ZipFile(archive, "w") as packed:
            packed.write(tmp_path / "b.csv", "b.csv")
            packed.write(tmp_path / "a.txt", "a.txt")
        bad, good = take_in_all([archive], zone)
        assert isinstance(bad, Rejected)
        assert isinstance(bad.error, UnknownSite)
        assert isinstance(good, Intake)
        assert good.partitions == {str(EARLY): 120}
        assert [entry.member for entry in zone.rejected()] == ["b.csv"]
        with pytest.raises(UnknownSite):
            take_in(archive, zone)

    def test_a_spreadsheet_copy_beside_the_whole_file_is_no_failure(
        self, tmp_path: Path, zone: LandingZone, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ngsim_assets.highway.source.EXCEL_ROWS", 101)
        recording = rows()
        write_source(recording, tmp_path / "a.txt", "text")
        write_source(recording.head(100), tmp_path / "a.csv", "csv")
        archive = tmp_path / "x.zip"
        with zipfile.ZipFile(archive, "w") as packed:
            packed.write(tmp_path / "a.csv", "a.csv")
            packed.write(tmp_path / "a.txt", "a.txt")
        whole, cut = take_in(archive, zone)
        assert whole.rows == 120
        assert (cut.rows, cut.keys) == (0, [])
        assert "whole in the same archive" in cut.sentence()
        assert zone.rejected() == []
        with pytest.raises(CutAtExcelLimit):
            take_in(tmp_path / "a.csv", zone)


class TestBadInput:
    def test_a_bad_file_does_not_stop_the_others(self, tmp_path: Path, zone: LandingZone) -> None:
        folder = tmp_path / "in" / "deep"
        folder.mkdir(parents=True)
        write_source(rows(), folder / "good.txt", "text")
        (folder / "empty.txt").touch()
        (folder / ".hidden").write_text("not looked at")
        (tmp_path / "in" / ".git").mkdir()
        (tmp_path / "in" / ".git" / "x").write_text("not looked at")
        (tmp_path / "nothing").mkdir()
        paths = [tmp_path / "none.txt", tmp_path / "nothing", tmp_path / "in"]
        results = list(take_in_all(paths, zone))
        kinds = [
            type(result.error) if isinstance(result, Rejected) else type(result)
            for result in results
        ]
        assert kinds == [SourceUnreadable, NoFilesInFolder, EmptySource, Intake]
        assert [Path(entry.path).name for entry in zone.rejected()] == ["empty.txt"]
        write_source(rows(recording=1), folder / "empty.txt", "text")
        take_in(folder / "empty.txt", zone)
        assert zone.rejected() == []

    def test_bad_arguments(self, tmp_path: Path, zone: LandingZone) -> None:
        with pytest.raises(UnknownHighway, match="us-101, i-80"):
            take_in(tmp_path, zone, highway="a-1")
        with pytest.raises(BadPartitionKey):
            take_in(tmp_path, zone, recording="../x")

    def test_a_bad_new_content_leaves_the_old(self, tmp_path: Path, zone: LandingZone) -> None:
        path = tmp_path / "a.txt"
        write_source(rows(), path, "text")
        take_in(path, zone)
        path.write_text("")
        with pytest.raises(EmptySource):
            take_in(path, zone)
        assert zone.partitions() == [str(EARLY)]
        assert len(zone.rejected()) == 1


def test_coordinates_tell_a_site_the_clock_does_not(tmp_path: Path, zone: LandingZone) -> None:
    from ngsim_assets.highway.geodesy import projection

    box = projection(LANKERSHIM)
    recording = rows(LANKERSHIM, t0=1700000000000).with_columns(
        global_x=pl.lit(round((box.easting.low + box.easting.high) * 500), pl.Int64),
        global_y=pl.lit(round((box.northing.low + box.northing.high) * 500), pl.Int64),
    )
    write_source(recording, tmp_path / "a.csv", "export")
    lines = (tmp_path / "a.csv").read_text(encoding="utf-8-sig").splitlines()
    (tmp_path / "b.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines))
    (intake,) = take_in(tmp_path / "b.csv", zone)
    assert intake.partitions == {"lankershim|2023-11-14T1413": 120}


def test_progress_and_summary(tmp_path: Path, zone: LandingZone) -> None:
    path = tmp_path / "a.csv"
    write_source(rows(), path, "export")
    seen: list[IntakeProgress] = []
    (intake,) = take_in(path, zone, progress=seen.append)
    assert (seen[-1].bytes_done, seen[-1].bytes_total) == (path.stat().st_size,) * 2
    assert (seen[-1].rows, seen[-1].name) == (120, "a.csv")
    assert intake.summary()["partitions"] == {str(EARLY): 120}
    assert intake.sentence() == "a.csv: 120 rows (us-101|2005-06-15T0750 120)"


TAKER = """
    import sys, time
    from pathlib import Path
    from ngsim_assets.acquisition.landing import LandingZone
    from ngsim_assets.highway import intake

    zone, path, stop = LandingZone(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3] == "stop"

    def progress(seen):
        print(seen.rows, flush=True)
        if stop:
            time.sleep(60)

    print(intake.take_in(path, zone, progress=progress)[0].rows, flush=True)
"""


@contextmanager
def taker(zone: LandingZone, path: Path, mode: str) -> Iterator[subprocess.Popen[str]]:
    arguments: Sequence[str] = [
        sys.executable, "-c", textwrap.dedent(TAKER), str(zone.root), str(path), mode,
    ]  # fmt: skip
    repository = Path(__file__).resolve().parents[2]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=repository) as process:
        try:
            yield process
        finally:
            process.kill()


def test_killed_and_then_two_at_once(tmp_path: Path, zone: LandingZone) -> None:
    path = tmp_path / "a.csv"
    write_source(corpus, path, "export")
    with taker(zone, path, "stop") as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == str(corpus.height)
    assert zone.files() == []
    assert len(list((zone.root / ".staging").iterdir())) == 2, "a folder and its lock are left"
    with taker(zone, path, "go") as first, taker(zone, path, "go") as second:
        for process in (first, second):
            output, _ = process.communicate(timeout=60)
            assert process.returncode == 0
            assert output.split()[-1] == str(corpus.height)
    assert len(zone.files()) == 1
    assert zone.partitions() == sorted(CORPUS_KEYS)
    assert delivered(zone, EARLY).height == 120
    assert list((zone.root / ".staging").iterdir()) == []
