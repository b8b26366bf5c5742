"""Rows read back from the landing zone: all of them, in one order, and those of no recording."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from ngsim_assets.acquisition.errors import NothingDelivered
from ngsim_assets.acquisition.landing import LandingZone
from ngsim_assets.highway.formats import RAW_PHYSICAL
from ngsim_assets.highway.intake import (
    delivered_rows,
    recording_t0,
    take_in,
    unassigned_partition,
    unassigned_rows,
)
from ngsim_assets.highway.model import QUARANTINE, RAW_TRAJECTORIES
from ngsim_assets.highway.simulation.write_source import write_source
from ngsim_assets.highway.sites import I_80, US_101
from ngsim_assets_tests.highway.deliveries import EARLY, WEST, delivered, rows

WHERE = ["source_file", "source_row"]


@pytest.fixture
def zone(tmp_path: Path) -> LandingZone:
    return LandingZone(tmp_path / "landing")


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
        monkeypatch.setattr("ngsim_assets.highway.arrival.delivered._ROWS_AT_ONCE", 250)
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
