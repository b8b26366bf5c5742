"""A small simulated session as files, and its tables, for tests of what becomes of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.platform import F1Platform, identity, open_f1
from ngsim_assets.f1.simulate import Scenario, SimulatedSession, simulate
from ngsim_assets.f1.simulation.scenario import LEAD_IN
from ngsim_assets.f1.stages import TABLES, Stored
from ngsim_assets.f1.taking_in import Taken, take_in
from ngsim_assets.settings import Settings, load_settings

SCENARIO = Scenario("monaco", laps=3, cars=4, seed=12)
SESSION = SCENARIO.session
SPAN = (LEAD_IN, LEAD_IN + 8_000)
UNTIMED = frozenset({"f1_telemetry", "f1_positions", "f1_quarantine"})


def simulated() -> SimulatedSession:
    """The session that these tests are about."""
    return simulate(SCENARIO, telemetry=SPAN)


def settings_at(folder: Path) -> Settings:
    return load_settings(data=folder)


def brought_in(folder: Path, *paths: Path, session: SessionKey | None = None) -> F1Platform:
    """A platform below `folder` that holds what is at `paths`, all of it."""
    platform = open_f1(settings_at(folder))
    assert all(found.taken for found in taken(folder, *paths, session=session))
    return platform


def taken(folder: Path, *paths: Path, session: SessionKey | None = None) -> list[Taken]:
    return take_in(settings_at(folder), paths, session=session)


def contents(platform: F1Platform, session: SessionKey = SESSION) -> dict[str, tuple[str, ...]]:
    """Hashes of the files of every table."""
    found: dict[str, tuple[str, ...]] = {}
    for name, table in TABLES.items():
        commit = platform.lake.current(table, identity(session))
        found[name] = () if commit is None else tuple(file.sha256 for file in commit.files)
    return found


def versions(platform: F1Platform) -> dict[str, int]:
    """Versions of every table so far."""
    return {name: len(platform.lake.history(table)) for name, table in TABLES.items()}


def assert_accounted(stored: Stored) -> None:
    """Messages = folded + passed on + unfoldable; rows read = rows stored + rows set aside."""
    told = stored.account
    assert told["lines"] <= told["messages"] + told["repeated"] + told["set_aside"]
    assert told["messages"] == told["folded"] + told["passed_on"] + told["unfoldable"]
    assert stored.rows["f1_messages"] == told["messages"]
    quarantined = told["set_aside"] + told["unfoldable"]
    for name, commit in stored.commits.items():
        counts: Mapping[str, int] = commit.provenance.rows
        if name in {"f1_telemetry", "f1_positions"}:
            kept = commit.rows + counts["rejected"] + counts["other_cars"]
            assert counts["decoded"] == kept, name
            quarantined += counts["rejected"] + counts["unread"]
        elif "read" in counts:
            assert counts["read"] == commit.rows + counts["quarantined"], name
            quarantined += counts["quarantined"]
    assert stored.rows["f1_quarantine"] == quarantined


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
