"""Rules judge whole columns; only broken rows get a list of reasons."""

from __future__ import annotations

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from ngsim_assets.quality.rules import (
    Rule,
    broken,
    documentation,
    evaluate,
    markdown,
    names_of_broken,
)

TOO_FAST = Rule("too_fast", "reject", pl.col("speed") > 45, "it is too fast", "a document")
BACKWARDS = Rule("backwards", "reject", pl.col("speed") < 0, "it goes | backwards", "physics")
STANDS = Rule("stands", "flag", pl.col("speed") == 0, "it stands", "")


def test_every_row_gets_the_names_it_breaks_in_the_order_of_the_rules() -> None:
    also_fast = Rule("very_fast", "reject", pl.col("speed") > 60, "", "")
    frame = pl.DataFrame({"speed": [0.0, 50.0, -1.0, None, 70.0, 10.0]})
    judged = evaluate(frame, [TOO_FAST, STANDS, BACKWARDS, also_fast])
    assert judged["reasons"].to_list() == [
        [],
        ["too_fast"],
        ["backwards"],
        [],
        ["too_fast", "very_fast"],
        [],
    ]
    assert judged["flags"].to_list() == [["stands"], [], [], [], [], []]
    assert judged["speed"].equals(frame["speed"])


def test_an_unknown_value_breaks_nothing() -> None:
    frame = pl.DataFrame({"speed": [None]}, schema={"speed": pl.Float64})
    assert not broken(frame, [TOO_FAST, STANDS]).to_series().any()


def test_no_rows_and_no_rules() -> None:
    empty = pl.DataFrame(schema={"speed": pl.Float64})
    assert evaluate(empty, [TOO_FAST]).schema["reasons"] == pl.List(pl.String)
    judged = evaluate(pl.DataFrame({"speed": [1.0]}), [])
    assert judged["reasons"].to_list() == [[]]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=40))
def test_names_of_broken_is_the_plain_loop_over_rows(rows: list[list[bool]]) -> None:
    names = ["a", "b", "c", "d", "e"]
    masks = pl.DataFrame(rows, schema=names, orient="row")
    expected = [[name for name, bad in zip(names, row, strict=True) if bad] for row in rows]
    assert names_of_broken(masks).to_list() == expected
    only = [Rule(name, "flag", pl.col(name), "", "") for name in "db"]
    expected = [[name for name in "db" if row["abcde".index(name)]] for row in rows]
    assert names_of_broken(masks, only).to_list() == expected


def test_documentation_comes_from_the_rules() -> None:
    assert documentation([STANDS]) == [
        {"rule": "stands", "severity": "flag", "description": "it stands", "source": ""}
    ]
    table = markdown([TOO_FAST, BACKWARDS]).splitlines()
    assert table[0] == "| rule | severity | a row breaks it when | source |"
    assert table[2] == "| `too_fast` | reject | it is too fast | a document |"
    assert table[3] == "| `backwards` | reject | it goes \\| backwards | physics |"
