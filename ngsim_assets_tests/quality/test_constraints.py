"""The compiled rules say of a row what Pydantic says of it."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import annotated_types as at
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, Field, ValidationError, field_validator

from ngsim_assets.quality.constraints import Source, UncompilableConstraint, constraint_rules
from ngsim_assets.quality.rules import broken, documentation

EPOCH = datetime(2005, 6, 15, tzinfo=UTC)


class Everything(BaseModel):
    """One field per kind of constraint the compiler knows."""

    plain: float
    optional: float | None
    at_least: Annotated[float, Field(ge=-1.5), Source("a document")]
    above: Annotated[float | None, Field(gt=0)]
    at_most: Annotated[float | None, at.Le(45.0)]
    under: Annotated[float, Field(lt=1e300)]
    closed: Annotated[float | None, at.Interval(ge=-2, le=2)]
    finite: Annotated[float | None, Field(ge=-5, lt=5, allow_inf_nan=False)]
    nested: Annotated[float, Field(ge=0)] | None
    code: Literal[1, 2, 9] | None
    kind: Literal["auto", "truck"]
    count: Annotated[int, Field(ge=1, le=7)]
    text: Annotated[str | None, Field(min_length=2, max_length=4, pattern="^a")]
    several: Annotated[list[str] | None, Field(min_length=1, max_length=2)]
    moment: Annotated[datetime, Field(ge=EPOCH)]


SCHEMA = pl.Schema(
    {
        **dict.fromkeys(
            [
                "plain",
                "optional",
                "at_least",
                "above",
                "at_most",
                "under",
                "closed",
                "finite",
                "nested",
            ],
            pl.Float64(),
        ),
        "code": pl.Int32(),
        "kind": pl.String(),
        "count": pl.Int64(),
        "text": pl.String(),
        "several": pl.List(pl.String()),
        "moment": pl.Datetime("us", "UTC"),
    }
)
NUMBERS = st.none() | st.floats() | st.sampled_from([-1.5, 0.0, -0.0, 45.0, 2.0, -2.0, 5.0, -5.0])
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            **{name: NUMBERS for name, kind in SCHEMA.items() if kind == pl.Float64},
            "code": st.none() | st.integers(-1, 10),
            "kind": st.sampled_from([None, "auto", "truck", "Auto", ""]),
            "count": st.none() | st.integers(-3, 9),
            "text": st.none() | st.sampled_from(["", "a", "ab", "abcd", "abcde", "ba", "äbc"]),
            "several": st.none() | st.lists(st.sampled_from(["", "a"]), max_size=3),
            "moment": st.none()
            | st.datetimes(datetime(2005, 6, 14), datetime(2005, 6, 16)).map(  # noqa: DTZ001
                lambda moment: moment.replace(tzinfo=UTC)
            ),
        }
    ),
    min_size=1,
    max_size=30,
)


def faulty_fields(model: type[BaseModel], row: dict[str, Any]) -> set[str]:
    """Fields Pydantic finds fault with."""
    try:
        model(**row)
    except ValidationError as error:
        return {str(found["loc"][0]) for found in error.errors()}
    return set()


@settings(max_examples=80, deadline=None)
@given(ROWS)
def test_pydantic_and_compiled_rules_agree_row_by_row_and_field_by_field(
    rows: list[dict[str, Any]],
) -> None:
    frame = pl.DataFrame(rows, schema=SCHEMA)
    by_field = {
        name: pl.any_horizontal(
            pl.col(rule.name) for rule in constraint_rules(Everything, fields=[name])
        )
        for name in SCHEMA
        if name != "optional"
    }
    masks = broken(frame, constraint_rules(Everything)).select(**by_field)
    for row, verdict in zip(rows, masks.iter_rows(named=True), strict=True):
        assert {name for name, bad in verdict.items() if bad} == faulty_fields(Everything, row)


def test_names_tell_the_field_and_what_is_wrong() -> None:
    names = [rule.name for rule in constraint_rules(Everything)]
    assert len(names) == len(set(names))
    assert {
        "plain_missing",
        "at_least_below",
        "at_most_above",
        "finite_not_finite",
        "code_unknown",
        "text_too_short",
        "text_too_long",
        "text_malformed",
    } <= set(names)
    assert "optional_missing" not in names


def test_a_rule_carries_severity_and_source() -> None:
    (rule,) = [
        rule
        for rule in constraint_rules(Everything, severity="flag")
        if rule.name == "at_least_below"
    ]
    assert documentation([rule]) == [
        {
            "rule": "at_least_below",
            "severity": "flag",
            "description": "at_least is below -1.5",
            "source": "a document",
        }
    ]


def test_only_named_fields_are_compiled() -> None:
    rules = constraint_rules(Everything, fields={"count"})
    assert [rule.name for rule in rules] == ["count_missing", "count_below", "count_above"]


def test_nan_passes_where_pydantic_lets_it_pass() -> None:
    frame = pl.DataFrame({"plain": [math.nan, math.inf, 1.0, None]})
    masks = broken(frame, constraint_rules(Everything, fields={"plain"}))
    assert masks["plain_missing"].to_list() == [False, False, False, True]


class Validated(BaseModel):
    a: int

    @field_validator("a")
    @classmethod
    def even(cls, value: int) -> int:
        return value


class Functional(BaseModel):
    a: Annotated[int, AfterValidator(abs)]


class Multiple(BaseModel):
    a: Annotated[int, Field(multiple_of=3)]


class Predicated(BaseModel):
    a: at.LowerCase[str]


class Mixed(BaseModel):
    a: Literal[1] | float


@pytest.mark.parametrize("model", [Validated, Functional, Multiple, Predicated, Mixed])
def test_what_columns_cannot_express_is_refused_instead_of_forgotten(
    model: type[BaseModel],
) -> None:
    with pytest.raises(UncompilableConstraint, match="has no column form"):
        constraint_rules(model)
