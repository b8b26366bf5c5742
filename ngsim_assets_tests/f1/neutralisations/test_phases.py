"""Codes of the track's status become phases with the right start, end and announcement."""

from __future__ import annotations

import pytest

from ngsim_assets.f1.neutralisations.messages import Told, cause_of, changes_of
from ngsim_assets.f1.neutralisations.phases import Change, Moment, Phase, phases


def _changes(text: str) -> list[Change]:
    """Changes written `4@10 1@50`, seconds behind the code."""
    told = (entry.split("@") for entry in text.split())
    return [Change(Moment(round(float(at) * 1000)), code) for code, at in told]


def _short(found: list[Phase]) -> list[tuple[str, int, int | None, int | None]]:
    return [
        (
            phase.kind,
            phase.start.ms // 1000,
            phase.end.ms // 1000 if phase.end else None,
            phase.ending.ms // 1000 if phase.ending else None,
        )
        for phase in found
    ]


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ("1@0 2@5 1@9", []),
        ("2@5 4@10 1@50", [("safety_car", 10, 50, None)]),
        ("4@10 2@20 1@50", [("safety_car", 10, 50, None)]),
        ("4@10 4@20 1@50", [("safety_car", 10, 50, None)]),
        ("6@10 7@20 1@25", [("virtual_safety_car", 10, 25, 20)]),
        ("6@10 1@25", [("virtual_safety_car", 10, 25, None)]),
        ("6@10 7@20 6@22 7@30 1@35", [("virtual_safety_car", 10, 35, 30)]),
        ("6@10 4@15 1@50", [("virtual_safety_car", 10, 15, None), ("safety_car", 15, 50, None)]),
        ("4@10 5@15 1@50", [("safety_car", 10, 15, None), ("red_flag", 15, 50, None)]),
        ("5@10 1@50 5@60 1@70", [("red_flag", 10, 50, None), ("red_flag", 60, 70, None)]),
        ("7@20 1@25", [("virtual_safety_car", 20, 25, 20)]),
        ("in_this_lap@20 1@25", [("safety_car", 20, 25, 20)]),
        ("4@10 in_this_lap@20 1@25", [("safety_car", 10, 25, 20)]),
        ("1@50 4@10", [("safety_car", 10, 50, None)]),
        ("4@10", [("safety_car", 10, None, None)]),
    ],
)
def test_codes_become_phases(
    codes: str, expected: list[tuple[str, int, int | None, int | None]]
) -> None:
    assert _short(phases(_changes(codes))) == expected


def test_what_is_unusual_about_a_phase_is_said() -> None:
    assert phases(_changes("7@20 1@25"))[0].flags == ("start_not_seen",)
    virtual, real = phases(_changes("6@10 4@15"), Moment(90_000))
    assert (virtual.flags, real.flags) == (("escalated",), ("ended_with_session",))
    assert real.follows == "virtual_safety_car"
    assert real.end == Moment(90_000)


def _told(text: str, at: float = 0.0, **fields: str) -> Told:
    return Told(Moment(round(at * 1000)), text, **fields)


@pytest.mark.parametrize(
    ("message", "codes"),
    [
        (_told("CHEQUERED FLAG"), ""),
        (_told("CHEQUERED FLAG", flag="CHEQUERED", scope="Track"), ""),
        (_told("RED FLAG"), "5"),
        (_told("RED FLAG", flag="RED", scope="Track"), "5"),
        (_told("RED FLAG INCIDENT INVOLVING CAR 7 (RAI) WILL BE INVESTIGATED"), ""),
        (_told("SAFETY CAR DEPLOYED", mode="SAFETY CAR", status="DEPLOYED"), "4"),
        (_told("SAFETY CAR IN THIS LAP", mode="SAFETY CAR", status="IN THIS LAP"), "in_this_lap"),
        (_told("SAFETY CAR IN THIS LAP"), "in_this_lap"),
        (
            _told(
                "SAFETY CAR THROUGH THE PIT LANE", mode="SAFETY CAR", status="THROUGH THE PIT LANE"
            ),
            "",
        ),
        (_told("SAFETY CAR WILL USE START/FINISH STRAIGHT"), ""),
        (_told("LAPPED CARS MAY NOW OVERTAKE THE SAFETY CAR: 5, 31"), ""),
        (_told("VSC DEPLOYED"), "6"),
        (_told("VIRTUAL SAFETY CAR DEPLOYED", mode="VIRTUAL SAFETY CAR", status="DEPLOYED"), "6"),
        (_told("VIRTUAL SAFETY CAR ENDING", mode="VIRTUAL SAFETY CAR", status="ENDING"), "7"),
        (_told("TRACK CLEAR", flag="CLEAR", scope="Track"), "1"),
        (_told("CLEAR IN TRACK SECTOR 3", flag="CLEAR", scope="Sector"), ""),
        (_told("INCIDENT INVOLVING CAR 14 (ALO) NOTED - SAFETY CAR INFRINGEMENT"), ""),
        (_told("MEDICAL CAR DEPLOYED"), ""),
    ],
)
def test_messages_are_changes_only_where_they_are(message: Told, codes: str) -> None:
    assert "".join(change.code for change in changes_of([message])) == codes


@pytest.mark.parametrize(
    ("messages", "cause"),
    [
        (
            [_told("YELLOW IN TRACK SECTOR 5", 90), _told("CAR 11 (PER) STOPPED AT TURN 3", 140)],
            "stopped_car",
        ),
        (
            [_told("YELLOW IN TRACK SECTOR 5", 90), _told("DOUBLE YELLOW IN TRACK SECTOR 5", 95)],
            "double_yellow",
        ),
        ([_told("DOUBLE YELLOW IN TRACK SECTOR 5", 105)], None),
        ([_told("DEBRIS ON TRACK AT TURN 4", 60)], "debris"),
        ([_told("CAR 11 (PER) STOPPED AT TURN 3", 2)], None),
    ],
)
def test_the_cause_is_what_race_control_said_around_the_start(
    messages: list[Told], cause: str | None
) -> None:
    phase = Phase("safety_car", Moment(100_000))
    found, text = cause_of(phase, messages)
    assert found == cause
    assert (text is None) == (cause is None)


def test_a_phase_that_takes_the_place_of_another_says_so() -> None:
    _, real = phases(_changes("6@10 4@15 1@50"))
    assert cause_of(real, []) == ("escalation", "takes the place of a virtual safety car")
