"""What race control says of lap times, and its messages as rows."""

from __future__ import annotations

import pytest

from ngsim_assets.f1.race_control import Deletion, deletions, messages
from ngsim_assets.f1.timing.folding import fold
from ngsim_assets_tests.f1.conftest import RealSession
from ngsim_assets_tests.f1.feeds import RACE_ORIGIN, message


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        (
            "CAR 47 (MSC) TIME 1:21.524 DELETED - TRACK LIMITS AT TURN 12",
            Deletion(47, "deleted", 81_524, None, "TRACK LIMITS AT TURN 12"),
        ),
        (
            "CAR 63 (RUS) TIME 2:02.240 DELETED - TRACK LIMITS AT TURN 3 LAP 3 17:09:26",
            Deletion(63, "deleted", 122_240, 3, "TRACK LIMITS AT TURN 3 LAP 3"),
        ),
        (
            "CAR 12 (ANT) LAP DELETED - TRACK LIMITS AT TURN 10 LAP 6 17:11:35 (PIT)",
            Deletion(12, "deleted", None, 6, "TRACK LIMITS AT TURN 10 LAP 6 (PIT)"),
        ),
        (
            "CAR 4 (NOR) TIME 1:20.000 REINSTATED",
            Deletion(4, "reinstated", 80_000, None, None),
        ),
        ("CAR 4 (NOR) 5 SECOND TIME PENALTY", None),
        ("CHEQUERED FLAG", None),
    ],
)
def test_deletions(told: str, meant: Deletion | None) -> None:
    assert deletions([told]) == ([] if meant is None else [meant])


def test_messages_are_numbered_and_a_changed_one_is_told_whole() -> None:
    first = {"Messages": [{"Utc": "2025-05-04T19:00:10", "Flag": "GREEN", "Message": "GREEN"}]}
    more = {"Messages": {"0": {"Lap": 3}, "1": {"Message": "DRS ENABLED", "Sector": 2}}}
    state = fold(None, first)  # pyright: ignore[reportArgumentType]
    (row,) = messages(RACE_ORIGIN, state, message("RaceControlMessages", 10_250, first))  # pyright: ignore[reportArgumentType]
    assert (row["number"], row["flag"], row["lap"]) == (0, "GREEN", None)
    state = fold(state, more)  # pyright: ignore[reportArgumentType]
    changed, new = messages(RACE_ORIGIN, state, message("RaceControlMessages", 20_000, more))  # pyright: ignore[reportArgumentType]
    assert (changed["number"], changed["flag"], changed["lap"]) == (0, "GREEN", 3)
    assert (new["number"], new["message"], new["sector"]) == (1, "DRS ENABLED", 2)


def test_every_real_deletion_is_read(real_sessions: dict[str, RealSession]) -> None:
    for session in real_sessions.values():
        texts = session.tables.race_control["message"].to_list()
        worded = [text for text in texts if "DELETED" in text or "REINSTATED" in text]
        assert len(deletions(texts)) == len(worded)
