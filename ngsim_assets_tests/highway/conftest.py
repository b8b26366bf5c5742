"""Fixtures of the highway's tests that several modules share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # Dagster takes seconds to import, and most modules need none
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
