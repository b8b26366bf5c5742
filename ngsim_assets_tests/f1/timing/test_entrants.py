"""Which cars take part: only a list that describes all of them says so."""

from __future__ import annotations

from pathlib import Path

from ngsim_assets.f1.reading.recordings import read_file
from ngsim_assets.f1.timing.entrants import Entrants


def test_a_list_that_describes_every_car_is_believed() -> None:
    entrants = Entrants()
    entrants.take({"4": {"RacingNumber": "4", "Line": 2}, "81": {"Tla": "PIA"}, "_kf": True})
    entrants.take({"4": {"Line": 1}, "241": {"Line": 9}})
    assert entrants.numbers == {4, 81}
    entrants.add(1)
    entrants.add(None)
    entrants.add(10**9)
    assert entrants.numbers == {1, 4, 81}


def test_changes_alone_leave_out_cars_that_keep_their_place() -> None:
    entrants = Entrants()
    entrants.take({"4": {"Line": 2}, "1": {"Line": 3}})
    assert entrants.numbers == frozenset()
    entrants.take({"27": {"RacingNumber": "27", "Tla": "HUL"}})
    assert entrants.numbers == frozenset()  # that 4 and 1 are left out by, too
    entrants.take([])
    entrants.take({"x": 1, "1" * 5_000: {"Tla": "?"}})
    assert entrants.numbers == frozenset()


def test_a_real_recording_that_begins_late_leaves_no_car_out(f1_data: Path) -> None:
    recording = f1_data / "recordings/2024-10-26_mexico_fp3_presession_car_and_position.txt"
    entrants = Entrants()
    for message in read_file(recording, "s").messages:
        if message.topic == "DriverList":
            entrants.take(message.payload)
    # 20 cars drive, and one of them is in no change
    assert len(entrants.named) == 19
    assert entrants.numbers == frozenset()
