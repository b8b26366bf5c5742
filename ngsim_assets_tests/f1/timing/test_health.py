"""Feeds that are complete, cut off, silent, or of a session that never starts."""

from __future__ import annotations

from ngsim_assets.f1.timing.health import Silence, health_of
from ngsim_assets_tests.f1.conftest import RealSession
from ngsim_assets_tests.f1.feeds import message

STARTED = message("SessionStatus", 100_000, {"Status": "Started"})
FINISHED = message("SessionStatus", 900_000, {"Status": "Finished"})


def test_states_of_a_feed() -> None:
    inactive = message("SessionStatus", 1_000, {"Status": "Inactive"})
    assert health_of([]).state == "empty"
    assert health_of([inactive]).state == "never_started"
    assert health_of([inactive, STARTED]).state == "cut_off"
    assert health_of([inactive, STARTED, FINISHED]).state == "complete"


def test_silence_counts_while_the_session_runs_from_start_to_end() -> None:
    told = [message("TimingData", at, {"Lines": {}}) for at in (50_000, 150_000, 240_000)]
    stopped = message("SessionStatus", 250_000, {"Status": "Aborted"})
    again = message("SessionStatus", 880_000, {"Status": "Started"})
    health = health_of([STARTED, *told, stopped, again, FINISHED])
    assert health.silences == (Silence("TimingData", 150_000, 240_000),)
    assert (health.first, health.last) == (50_000, 900_000)


def test_real_feeds_are_complete_and_silent_in_the_garages_only(
    real_sessions: dict[str, RealSession],
) -> None:
    silent: dict[str, int] = {}
    for key, session in real_sessions.items():
        health = health_of(session.messages)
        assert health.state == "complete"
        assert all(silence.topic == "TimingData" for silence in health.silences)
        silent[key] = len(health.silences)
    # parts of a qualifying begin before the first car leaves its garage
    assert {key: count for key, count in silent.items() if count} == {
        "2019-09-07_italian_qualifying": 5,
        "2021-11-06_mexico-city_qualifying": 2,
        "2024-06-22_spanish_qualifying": 1,
    }
