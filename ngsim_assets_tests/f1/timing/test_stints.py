"""Tyres of laps: a stint for every visit to the pits, whenever the feed tells it."""

from __future__ import annotations

from ngsim_assets.f1.timing.stints import (
    Stint,
    stints_of_feed,
    stints_of_openf1,
    tyres_of_laps,
)


def test_stints_follow_the_visits_to_the_pits() -> None:
    stints = stints_of_feed(
        {
            "Lines": {
                "4": {
                    "Stints": [
                        {"Compound": "SOFT", "New": "false", "StartLaps": 4},
                        {"Compound": "HARD", "New": "true", "StartLaps": 0, "TotalLaps": 9},
                    ]
                },
                "44": {"Stints": []},
                "x": {},
            }
        }
    )
    assert set(stints) == {4}
    tyres = tyres_of_laps(stints[4], [1, 2, 3, 4], [False, True, False, True])
    assert [(on.stint, on.compound, on.life, on.fresh) for on in tyres] == [
        (1, "SOFT", 5, False),
        (1, "SOFT", 6, False),
        (2, "HARD", 1, True),
        (2, "HARD", 2, True),
    ]


def test_more_visits_than_stints_stay_on_the_last_and_none_is_none() -> None:
    one = [Stint("SOFT", new=None, start_laps=None)]
    assert [on.stint for on in tyres_of_laps(one, [1, 2], [True, False])] == [1, 1]
    (bare,) = tyres_of_laps([], [1], [False])
    assert (bare.stint, bare.compound, bare.life) == (1, None, None)


def test_openf1_says_which_lap_a_stint_began_on() -> None:
    rows = [
        {"driver_number": 4, "stint_number": 2, "lap_start": 4, "compound": "HARD"},
        {"driver_number": 4, "stint_number": 1, "lap_start": 1, "tyre_age_at_start": 3},
        {"stint_number": 1},
    ]
    stints = stints_of_openf1(rows)[4]  # pyright: ignore[reportArgumentType]
    tyres = tyres_of_laps(stints, [3, 4, 5], [False, False, False])
    assert [(on.stint, on.life) for on in tyres] == [(1, 4), (2, None), (2, None)]
