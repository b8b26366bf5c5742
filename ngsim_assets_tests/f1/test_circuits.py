"""Circuits: every name of the feeds is known, and the numbers are possible."""

from __future__ import annotations

import json
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ngsim_assets.f1.circuits import CIRCUITS, circuit, circuit_named
from ngsim_assets.f1.errors import UnknownCircuit
from ngsim_assets.f1.sessions import of_index


def test_the_numbers_are_possible_and_the_zones_exist() -> None:
    for one in CIRCUITS.values():
        assert -90 < one.latitude < 90
        assert -180 < one.longitude < 180
        assert -50 < one.altitude < 2_500
        assert 3_000 < one.lap_length < 7_100
        assert ZoneInfo(one.time_zone)


def test_pressure_falls_with_altitude() -> None:
    # measured in Mexico City: 783 hPa; at the sea: 1,016 hPa in Baku
    assert circuit("Mexico City").pressure == pytest.approx(783, abs=15)
    assert circuit("Baku").pressure == pytest.approx(1016, abs=5)


@pytest.mark.parametrize("name", ["Monaco", "Singapore", "Spa-Francorchamps", "Sakhir", "monza"])
def test_names_of_feeds_are_known(name: str) -> None:
    assert circuit_named(None, name) is not None


def test_an_unknown_circuit_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(UnknownCircuit, match="baku"):
        circuit("Brands Hatch")
    assert circuit_named("", "---", None) is None


def test_every_session_of_the_archive_has_a_circuit_and_a_key_of_its_own(f1_data: Path) -> None:
    for path in sorted(f1_data.glob("livetiming/*/Index.json")):
        index = json.loads(path.read_text("utf-8-sig"))
        sessions = list(of_index(index, path.name))
        assert len(sessions) > 100
        assert [str(one.key) for one in sessions if one.circuit is None] == []
        assert len({one.key for one in sessions}) == len(sessions)
