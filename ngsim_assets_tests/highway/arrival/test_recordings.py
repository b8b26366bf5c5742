"""Origins become recordings: official ones by window, others by their first minute."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ngsim_assets.highway.arrival.recordings import (
    Assignment,
    assign_recordings,
)
from ngsim_assets.highway.errors import (
    NoRecording,
    OtherFrameInterval,
    TooManyRecordings,
    UnknownSite,
    UnusableClock,
)
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.sites import I_80, LANKERSHIM, PEACHTREE, SITES, US_101, Site
from ngsim_assets.highway.validation.geodesy import projection

Origin = tuple[str | None, int | None, int, int]

EARLY, LATER = 1118846978900, 1118847842000  # us-101 07:50 and 08:05
OTHER = 1700000000000  # 2023-11-14T22:13:20Z, 14:13:20 in Los Angeles


def frame(*origins: Origin) -> pl.DataFrame:
    return pl.DataFrame(
        [(number, *origin) for number, origin in enumerate(origins)],
        schema={
            "origin": pl.Int32,
            "highway_id": pl.String,
            "t0": pl.Int64,
            "rows": pl.Int64,
            "first_frame": pl.Int32,
        },
        orient="row",
    )


def assign(
    *origins: Origin,
    known: Mapping[PartitionKey, int | None] | None = None,
    highway: str | None = None,
    recording: str | None = None,
    coordinates: pl.DataFrame | None = None,
) -> Assignment:
    return assign_recordings(
        frame(*origins),
        "f.txt",
        known=known or {},
        highway=highway,
        recording=recording,
        coordinates=lambda: [] if coordinates is None else [coordinates],
    )


def owners(assignment: Assignment) -> list[str | None]:
    return [
        str(assignment.keys[place]) if place >= 0 else None for place in assignment.owner.tolist()
    ]


@pytest.mark.parametrize("site", SITES.values(), ids=list(SITES))
def test_official_recordings_carry_the_official_start(site: Site) -> None:
    for official in site.recordings:
        for t0 in (*official.t0, sum(official.t0) // 2):
            got = assign((site.highway_id, t0, 1, 50))
            assert owners(got) == [f"{site.highway_id}|{official.key}"]
            assert got.t0 == (t0,)


def test_windows_of_all_sites_are_apart() -> None:
    windows = sorted(official.t0 for site in SITES.values() for official in site.recordings)
    for (_, end), (start, _) in pairwise(windows):
        assert end < start


def test_other_recordings_are_named_after_their_first_minute() -> None:
    got = assign(("us-101", OTHER, 5000, 10 * 60 * 3), ("i-80", OTHER, 5000, 0))
    assert owners(got) == ["us-101|2023-11-14T1416", "i-80|2023-11-14T1413"]


def test_the_clock_of_peachtree_counts_seconds() -> None:
    got = assign(("peachtree", 1163030300 + 7200, 5000, 600))
    assert owners(got) == ["peachtree|2006-11-08T2059"]
    # a second is one unit there: two recordings, not one
    assert (
        len(
            assign(
                ("peachtree", OTHER // 1000, 500, 0), ("peachtree", OTHER // 1000 + 60, 500, 0)
            ).keys
        )
        == 2
    )


def test_a_minute_taken_gets_its_second() -> None:
    got = assign(("i-80", OTHER, 500, 0), ("i-80", OTHER + 5_000, 600, 0))
    assert owners(got) == ["i-80|2023-11-14T1413", "i-80|2023-11-14T141325"]
    official = 1118847000000 + 50_000  # reads 07:50:50, but is not the official origin
    assert owners(assign(("us-101", official, 500, 0))) == ["us-101|2005-06-15T075050"]
    named = {PartitionKey("i-80", "2023-11-14T1413"): None}
    assert owners(assign(("i-80", OTHER, 500, 0), known=named)) == ["i-80|2023-11-14T141320"]


def test_a_recording_keeps_the_name_it_has() -> None:
    first = assign(("i-80", OTHER, 500, 1200))
    known = dict(zip(first.keys, first.t0, strict=True))
    again = assign(("i-80", OTHER, 500, 0), ("i-80", OTHER + 900_000, 500, 0), known=known)
    assert owners(again) == ["i-80|2023-11-14T1415", "i-80|2023-11-14T1428"]
    assert owners(assign(("us-101", OTHER, 500, 0), known=known)) == ["us-101|2023-11-14T1413"]


def test_origins_within_a_second_are_one_recording() -> None:
    got = assign(
        ("i-80", OTHER + 400, 300, 0), ("i-80", OTHER, 600, 5), ("i-80", OTHER - 900, 20, 5)
    )
    assert owners(got) == ["i-80|2023-11-14T1413"] * 3
    assert got.t0 == (OTHER,), "the origin most rows share"


def test_a_broken_clock_makes_no_recording() -> None:
    got = assign(
        ("us-101", EARLY, 2000, 1),
        ("us-101", LATER, 3000, 1),
        ("us-101", LATER + 1_000_000_000, 1, 1),
        ("us-101", EARLY - 100_000, 99, 1),
        ("us-101", 0, 1, 1),
    )
    early, later = "us-101|2005-06-15T0750", "us-101|2005-06-15T0805"
    assert owners(got) == [early, later, later, early, early]
    assert dict(zip(map(str, got.keys), got.t0, strict=True)) == {early: EARLY, later: LATER}


def test_few_rows_are_a_recording_where_there_are_no_more() -> None:
    assert len(assign(("us-101", OTHER, 1, 1)).keys) == 1
    assert len(assign(("us-101", OTHER, 20, 1), ("us-101", OTHER + 10**6, 2, 1)).keys) == 2
    assert len(assign(("us-101", OTHER, 10**6, 1), ("us-101", OTHER + 10**6, 100, 1)).keys) == 2
    assert len(assign(("us-101", OTHER, 10**6, 1), ("us-101", LATER, 1, 1)).keys) == 2, "official"


def test_rows_without_a_clock_go_to_the_only_recording() -> None:
    got = assign(("us-101", EARLY, 2000, 1), ("us-101", None, 3, 0), (None, None, 2, 0))
    assert owners(got) == ["us-101|2005-06-15T0750"] * 3
    got = assign(("us-101", EARLY, 2000, 1), ("us-101", LATER, 2000, 1), ("us-101", None, 3, 0))
    assert owners(got)[2] is None
    got = assign(("us-101", EARLY, 2000, 1), ("i-80", None, 3, 0))
    assert owners(got)[1] is None, "another highway's"


def test_an_unknown_site_among_known_ones_is_not_guessed() -> None:
    got = assign(("us-101", EARLY, 2000, 1), (None, EARLY, 5, 1))
    assert owners(got) == ["us-101|2005-06-15T0750", None]
    told = assign(("us-101", EARLY, 2000, 1), (None, EARLY, 5, 1), highway="us-101")
    assert owners(told) == ["us-101|2005-06-15T0750"] * 2


def test_the_official_clock_tells_the_site() -> None:
    i_80 = I_80.recordings[0].t0[0]
    got = assign((None, EARLY, 2000, 1), (None, i_80, 100, 1), (None, EARLY + 10**7, 500, 1))
    assert owners(got) == [
        "us-101|2005-06-15T0750",
        "i-80|2005-04-13T1600",
        "us-101|2005-06-15T1036",
    ]


@pytest.mark.parametrize("site", [US_101, I_80, LANKERSHIM, PEACHTREE], ids=lambda s: s.highway_id)
def test_coordinates_tell_the_site(site: object) -> None:
    known = next(each for each in SITES.values() if each == site)
    box = projection(known)
    middle = [(axis.low + axis.high) / 2 for axis in (box.easting, box.northing)]
    rows = pl.DataFrame(
        {
            "global_x": [round(middle[0] * 1000)] * 5 + [None],
            "global_y": [round(middle[1] * 1000)] * 5 + [0],
            "o_zone": pl.Series([101 if known.arterial else None] * 6, dtype=pl.Int32),
        }
    )
    t0 = OTHER // known.clock.origin_scale
    got = assign((None, t0, 2000, 1), coordinates=rows)
    assert got.keys[0].highway_id == known.highway_id


def test_nothing_tells_the_site() -> None:
    elsewhere = pl.DataFrame({"global_x": [5], "global_y": [6], "o_zone": [None]})
    with pytest.raises(UnknownSite, match="--highway us-101"):
        assign((None, OTHER, 2000, 1), coordinates=elsewhere)
    assert owners(assign((None, OTHER, 9, 0), highway="i-80")) == ["i-80|2023-11-14T1413"]


def test_no_row_has_a_clock() -> None:
    with pytest.raises(NoRecording, match=r"f\.txt"):
        assign(("us-101", None, 20, 0))
    with pytest.raises(NoRecording):
        assign((None, None, 20, 0))
    got = assign(("us-101", None, 20, 0), recording="2005-06-15T0750")
    assert (owners(got), got.t0) == (["us-101|2005-06-15T0750"], (None,))


def test_the_user_names_the_recording() -> None:
    got = assign(("us-101", 5, 60, 1), ("us-101", 99_999, 40, 1), recording="2005-06-15T0750")
    assert owners(got) == ["us-101|2005-06-15T0750"] * 2
    assert got.t0 == (5,)
    scattered = [("us-101", vehicle * 10_000, 400, 1) for vehicle in range(500)]
    got = assign(*scattered, recording="2005-06-15T0750")
    assert got.t0 == (None,), "no half of the rows agrees"


def test_frames_that_do_not_count_from_common_origins() -> None:
    with pytest.raises(TooManyRecordings, match="--recording"):
        assign(*[("us-101", vehicle * 10_000, 400, 1) for vehicle in range(500)])


@pytest.mark.parametrize("interval", [0, 40, 50, 200, 1000])
@pytest.mark.parametrize("recording", [None, "2005-06-15T0750"])
def test_frames_of_another_length_are_refused_by_name(interval: int, recording: str | None) -> None:
    drifting = [("us-101", EARLY + (interval - 100) * n, 3 + n % 5, n) for n in range(7, 300)]
    strays: list[Origin] = [("us-101", EARLY + 13_337 * n, 1, n) for n in range(20)]
    with pytest.raises(OtherFrameInterval, match=f"{interval} ms apart.*us-101 are 100 ms"):
        assign(*drifting, *strays, recording=recording)


def test_broken_clocks_on_one_line_do_not_make_frames_of_another_length() -> None:
    strays: list[Origin] = [("us-101", EARLY + 7 * n, 3, n) for n in range(1, 60)]
    got = assign(("us-101", EARLY, 400, 0), *strays)
    assert owners(got) == ["us-101|2005-06-15T0750"] * 60


@pytest.mark.parametrize("t0", [10**18, -(10**18), 253402300799000 + 10**6])
def test_a_clock_outside_the_calendar(t0: int) -> None:
    with pytest.raises(UnusableClock, match="no time"):
        assign(("us-101", t0, 400, 1))
    got = assign(("us-101", t0, 400, 1), ("us-101", EARLY, 20, 1))
    assert owners(got) == ["us-101|2005-06-15T0750"] * 2, "a good recording is kept"


origin = st.tuples(
    st.sampled_from(["us-101", "i-80", "peachtree", None]),
    st.none()
    | st.integers(OTHER, OTHER + 3_000_000)
    | st.integers(OTHER // 1000, OTHER // 1000 + 3_000)
    | st.sampled_from([EARLY, LATER, EARLY + 700, 1163018600]),
    st.integers(1, 3000),
    st.integers(0, 9000),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(origin, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_order_of_origins_does_not_matter(origins: list[Origin], random: object) -> None:
    distinct = list({each[:2]: each for each in origins}.values())
    try:
        expected = assign(*distinct, highway="i-80")
    except (NoRecording, UnusableClock) as error:
        with pytest.raises(type(error)):
            assign(*sorted(distinct, key=str), highway="i-80")
        return
    by_origin = dict(zip(distinct, owners(expected), strict=True))
    shuffled = sorted(distinct, key=str)
    again = dict(zip(shuffled, owners(assign(*shuffled, highway="i-80")), strict=True))
    assert again == by_origin
    for each, owner in by_origin.items():
        assert (owner is not None) or each[1] is None, "a row with a clock has a recording"
        if owner is not None:
            assert owner.startswith(each[0] or "i-80")
