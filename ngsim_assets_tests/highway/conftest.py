"""Fixtures of the highway's tests that several modules share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # Dagster takes seconds to import, and most modules need none
    from ngsim_assets_tests.highway.official.portal import FakePortal
    from ngsim_assets_tests.highway.watched import Watched


@pytest.fixture(scope="session")
def fresh_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Dagster instance that knows nothing, to copy."""
    from ngsim_assets_tests.highway.watched import new_home

    return new_home(tmp_path_factory.mktemp("dagster"))


@pytest.fixture
def platform(
    fresh_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Watched]:
    """A platform with nothing in it that is watched; files are settled at once."""
    from ngsim_assets_tests.highway.watched import watched

    monkeypatch.setenv("NGSIM_SETTLE", "0")
    monkeypatch.setenv("NGSIM_DATA", str(tmp_path / "data"))
    with watched(fresh_home, tmp_path / "data") as platform:
        yield platform


@pytest.fixture
def portal(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePortal]:
    """A data portal that the settings name: a recording of us-101, a little of i-80, mixed."""
    from ngsim_assets_tests.highway.official.portal import FakePortal, published

    with FakePortal(published()).serving() as served:
        monkeypatch.setenv("NGSIM_PORTAL", served.url)
        monkeypatch.setenv("NGSIM_HOST_REQUESTS", "1000")
        monkeypatch.setenv("NGSIM_SETTLE", "0")
        yield served
