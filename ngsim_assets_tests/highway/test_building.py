"""Writers of one recording take turns, those of different recordings need not."""

from __future__ import annotations

from pathlib import Path
from threading import Event, Thread

import pytest

from ngsim_assets.highway.building import alone
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.stages import Platform, open_platform
from ngsim_assets.settings import load_settings
from ngsim_assets_tests.highway.deliveries import EARLY, LATER


def _entered(platform: Platform, key: PartitionKey) -> tuple[Thread, Event]:
    """A thread that wants to write a recording, and whether it is at it."""
    inside = Event()

    def write() -> None:
        with alone(platform, key):
            inside.set()

    thread = Thread(target=write)
    thread.start()
    return thread, inside


def test_a_second_writer_of_a_recording_waits(tmp_path: Path) -> None:
    platform = open_platform(load_settings(data=tmp_path))
    with alone(platform, EARLY):
        same, same_inside = _entered(platform, EARLY)
        other, other_inside = _entered(platform, LATER)
        assert other_inside.wait(10)
        assert not same_inside.wait(0.2)
    assert same_inside.wait(10)
    same.join()
    other.join()


def test_one_that_failed_keeps_nobody_waiting(tmp_path: Path) -> None:
    platform = open_platform(load_settings(data=tmp_path))
    with pytest.raises(ValueError, match="invalid"), alone(platform, EARLY):
        int("not a number")
    thread, inside = _entered(platform, EARLY)
    assert inside.wait(10)
    thread.join()
