"""Messages whose content is damaged at random: nothing raises, nothing gets lost, no lap twice."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from pathlib import Path

import pytest

from ngsim_assets.f1.clock import clock_of
from ngsim_assets.f1.formats import Json
from ngsim_assets.f1.origin import Origin
from ngsim_assets.f1.reading.messages import Message
from ngsim_assets.f1.reading.openf1 import endpoint_of, read_file
from ngsim_assets.f1.timing.openf1 import tables_of_openf1
from ngsim_assets.f1.timing.session import SessionTables, fold_session, in_order_of_time
from ngsim_assets.f1.validate import (
    validated_laps,
    validated_race_control,
    validated_track_status,
    validated_weather,
)
from ngsim_assets_tests.f1.conftest import RealSession
from ngsim_assets_tests.f1.feeds import QUALIFYING

JUNK: list[Json] = [
    None,
    True,
    0,
    -1,
    9e99,
    float("nan"),
    "",
    "x",
    "-5",
    "9" * 30,
    "²",
    "1:00.000",
    [],
    {},
    [None],
    {"0": 1},
    {"Value": {}},
    {"_deleted": 5},
    {"a": {"b": [1]}},
]


def damaged(node: Json, chance: random.Random, share: float) -> Json:
    """`node` with that share of its parts replaced or renamed."""
    if chance.random() < share:
        return copy.deepcopy(chance.choice(JUNK))
    if isinstance(node, dict):
        return {
            chance.choice(["0", "x", "_x", "999999"])
            if chance.random() < share / 4
            else key: damaged(value, chance, share)
            for key, value in node.items()
        }
    return [damaged(item, chance, share) for item in node] if isinstance(node, list) else node


def assert_judged(tables: SessionTables, *, race: bool) -> None:
    for judged in (
        validated_laps(tables.laps, race=race),
        validated_weather(tables.weather, circuit=None),
        validated_track_status(tables.track_status),
        validated_race_control(tables.race_control),
    ):
        assert judged.complete
    numbers = tables.laps.select("driver_number", "lap_number")
    assert numbers.n_unique() == numbers.height


@pytest.mark.parametrize("seed", range(3))
def test_feeds(seed: int, real_sessions: dict[str, RealSession]) -> None:
    chance = random.Random(seed)  # noqa: S311
    session = real_sessions["2019-09-07_italian_qualifying"]
    messages = list(in_order_of_time(session.messages, session.clock))[:900]
    share = chance.choice([0.002, 0.02, 0.2])
    taken = [
        replace(
            message,
            payload=damaged(message.payload, chance, share),
            snapshot=chance.random() < 0.01,
        )
        for message in messages
        if chance.random() < 0.95
    ]
    clock_of(taken)
    tables, account = fold_session(taken, session.origin, clock=session.clock)
    assert account.complete
    assert account.messages == len(taken)
    assert_judged(tables, race=chance.random() < 0.5)


@pytest.mark.parametrize("share", [0.01, 0.2])
def test_openf1(share: float, f1_data: Path) -> None:
    chance = random.Random(1)  # noqa: S311
    messages: list[Message] = []
    for path in sorted(f1_data.glob("openf1/spain_*.json")):
        messages += read_file(path, "s", endpoint_of(path.name) or "").messages
    taken = [replace(one, payload=damaged(one.payload, chance, share)) for one in messages]
    tables, account = tables_of_openf1(taken, Origin(QUALIFYING, "openf1"))
    assert account.complete
    assert_judged(tables, race=False)
