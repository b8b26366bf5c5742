"""Checks side by side: the worst counts, a slow one holds up nobody; what heartbeats mean."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.observability import heartbeats
from ngsim_assets.observability.health import Check, Examination, Health
from ngsim_assets.observability.heartbeats import HUNG, SILENT, Heartbeat

NOW = 1_000_000.0


def _fine() -> Check:
    return Check("fine", "ok", "all is well", {"free": 3})


def _no_room() -> Check:
    raise NgsimAssetsError("no room", "free some")


def _bug() -> Check:
    raise KeyError("x")


def test_the_worst_counts() -> None:
    fine, meh = _fine(), Check("meh", "degraded", "look at it")
    assert Health(()).status == "ok"
    assert Health((fine, meh)).status == "degraded"
    assert Health((meh, Check("bad", "failing", "broken"), fine)).status == "failing"
    assert Health((fine, meh)).summary() == {
        "status": "degraded",
        "checks": {
            "fine": {"status": "ok", "detail": "all is well", "free": 3},
            "meh": {"status": "degraded", "detail": "look at it"},
        },
    }


def test_a_check_that_fails_is_failing_and_no_other() -> None:
    examined = Examination({"fine": _fine, "room": _no_room, "bug": _bug})
    found = asyncio.run(examined.health())
    assert [check.status for check in found.checks] == ["ok", "failing", "failing"]
    assert found.checks[1].detail == "no room (free some)"
    assert "KeyError" in found.checks[2].detail


def test_a_check_that_hangs_is_told_and_asked_once() -> None:
    release, asked = threading.Event(), []

    def hangs() -> Check:
        asked.append(time.monotonic())
        release.wait(20)
        return Check("slow", "ok", "back")

    async def look() -> None:
        examined = Examination({"slow": hangs, "fine": _fine}, limit=0.2, fresh=0.0)
        began = time.monotonic()
        first, second = await asyncio.gather(examined.health(), examined.health())
        third = await examined.health()
        assert time.monotonic() - began < 2.0
        for found in (first, second, third):
            assert found.status == "failing"
            assert [check.status for check in found.checks] == ["failing", "ok"]
            assert "hangs" in found.checks[0].detail
        assert len(asked) == 1
        release.set()
        for _ in range(200):  # its thread has to come to its end
            found = await examined.health()
            if found.status == "ok":
                break
            await asyncio.sleep(0.01)
        assert found.checks[0].detail == "back"

    asyncio.run(look())


def test_an_answer_is_kept_ten_times_as_long_as_it_took() -> None:
    counts = {"quick": 0, "slow": 0}

    def check(name: str, seconds: float) -> Callable[[], Check]:
        def ask() -> Check:
            counts[name] += 1
            time.sleep(seconds)
            return Check(name, "ok", "")

        return ask

    async def look() -> None:
        examined = Examination({"quick": check("quick", 0), "slow": check("slow", 0.2)}, fresh=0.05)
        await asyncio.gather(*(examined.health() for _ in range(50)))
        assert counts == {"quick": 1, "slow": 1}
        await asyncio.sleep(0.2)
        await examined.health()
        assert counts == {"quick": 2, "slow": 1}

    asyncio.run(look())


@pytest.mark.parametrize(
    ("ages", "status", "told"),
    [
        ({}, "degraded", "none ever did"),
        ({"SENSOR": 10, "ASSET": 40}, "ok", "10 s ago"),
        ({"SENSOR": SILENT + 1, "ASSET": 3 * HUNG}, "failing", "dead"),
        ({"SENSOR": 10, "ASSET": SILENT + 1}, "ok", "10 s ago"),  # works at something long
        ({"SENSOR": 10, "ASSET": HUNG + 1}, "failing", "ASSET"),
    ],
)
def test_what_heartbeats_say(ages: dict[str, float], status: str, told: str) -> None:
    beats = {kind: Heartbeat(NOW - age) for kind, age in ages.items()}
    check = heartbeats.judged(beats, now=NOW)
    assert (check.name, check.status) == ("daemon", status)
    assert told in check.detail
    assert check.data["up"] == (status == "ok")


def test_only_the_kinds_that_are_wanted_must_beat() -> None:
    beats = {"SENSOR": Heartbeat(NOW - 10), "MONITORING": Heartbeat(NOW - 10 * HUNG)}
    assert heartbeats.depends_on_required(beats, now=NOW)
    assert heartbeats.judged(beats, ["SENSOR"], now=NOW).status == "ok"
    assert heartbeats.judged(beats, ["SENSOR", "MONITORING"], now=NOW).status == "failing"
    never = heartbeats.judged(beats, ["SENSOR", "SCHEDULER"], now=NOW)
    assert never.status == "failing"
    assert "SCHEDULER" in never.detail
    assert not heartbeats.depends_on_required({"SENSOR": Heartbeat(NOW - 10)}, now=NOW)


def test_a_daemon_that_runs_with_errors_is_degraded() -> None:
    check = heartbeats.judged({"SENSOR": Heartbeat(NOW - 5, "no module x")}, now=NOW)
    assert check.status == "degraded"
    assert "SENSOR: no module x" in check.detail
    assert check.data["up"] is True
