"""A portal with small recordings, and settings that hurry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from ngsim_assets.highway.sites import I_80
from ngsim_assets_tests.highway.deliveries import rows
from ngsim_assets_tests.highway.official.portal import FakePortal


@pytest.fixture(scope="session")
def recording() -> pl.DataFrame:
    """A recording of us-101 with as many vehicles as three seconds of a real one."""
    return rows(vehicles=190, frames=29)


@pytest.fixture
def portal(recording: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePortal]:
    """A portal that the settings name, with rows of us-101 and a few of i-80, mixed."""
    other = rows(I_80, vehicles=4, frames=50)
    table = pl.concat([recording, other]).sample(fraction=1, shuffle=True, seed=1)
    with FakePortal(table).serving() as served:
        monkeypatch.setenv("NGSIM_PORTAL", served.url)
        monkeypatch.setenv("NGSIM_HOST_REQUESTS", "1000")
        monkeypatch.setenv("NGSIM_SETTLE", "0")
        yield served


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder that the settings name; it does not exist yet."""
    monkeypatch.setenv("NGSIM_DATA", str(tmp_path / "data"))
    return tmp_path / "data"
