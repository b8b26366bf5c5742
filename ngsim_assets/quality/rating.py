"""A score from 0 to 100 whose make-up is shown: metrics become points, points add up.

Belongs here: how far a metric is from the best and the worst worth telling apart, as points, and
their sum. Does not belong here: which metrics count, how much and why (a domain's own list).

A metric at its `full` mark or better earns all points it can, at its `none` mark or worse no
point, and between them in proportion to the distance (or, where values span orders of magnitude,
to its logarithm). A metric without a value is left out, and what it could have earned is spread
over the others in proportion; with less than two thirds of the weight measured there is no score.
Every part is rounded down to a tenth of a point, so that the parts add up to the score as shown
and none looks full that is not. For the same set of measured metrics a better value never lowers
the score.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

LEAST_MEASURED = 2 / 3
"""Share of the weight that must have been measured for the rest to stand for the whole: two rows of
one vehicle, which have no jerk and nobody ahead, have half of a recording's figures."""

_TENTHS = 1000
"""100 points in tenths."""


class Criterion(BaseModel):
    """One metric that counts: how much, between which marks, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: str = Field(description="Name of the metric.")
    weight: float = Field(gt=0, description="Points of the metric against those of the others.")
    full: float = Field(description="Value that earns all points, in the metric's unit.")
    none: float = Field(description="Value that earns none; on the worse side of `full`.")
    scale: Literal["linear", "logarithmic"] = "linear"
    absolute: bool = Field(default=False, description="Whether only the size of the value counts.")
    why: str = Field(description="Why it counts.")
    source: str = Field(description="Where the two marks are from.")

    @model_validator(mode="after")
    def _marks_differ(self) -> Criterion:
        if self.full == self.none:
            raise ValueError(f"{self.metric}: both marks are {self.full:g}")
        if self.scale == "logarithmic" and min(self.full, self.none) <= 0:
            raise ValueError(f"{self.metric}: a logarithm needs marks over 0")
        return self

    def share(self, value: float) -> float:
        """Share of its points that `value` earns, 0 to 1."""
        size = abs(value) if self.absolute else value
        if self.scale == "linear":
            reached = (self.none - size) / (self.none - self.full)
        elif size <= 0:
            reached = float(self.full < self.none)
        else:
            reached = math.log(self.none / size) / math.log(self.none / self.full)
        return min(1.0, max(0.0, reached))


class RatingPart(BaseModel):
    """What one metric brought to the score."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    criterion: Criterion
    value: float | None = Field(description="The metric's value, null where it has none.")
    possible: float | None = Field(description="Points it could earn, null where left out.")
    points: float | None = Field(description="Points it earned, null where left out.")


class Rating(BaseModel):
    """A score and its parts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: str = Field(description="Stage whose metrics were rated.")
    label: str = Field(description="The stage as people call it.")
    score: float | None = Field(
        ge=0,
        le=100,
        description="Sum of the parts' points; null with less than two thirds of the weight "
        "measured.",
    )
    measured: float = Field(ge=0, le=1, description="Share of the weight that was measured.")
    parts: tuple[RatingPart, ...]

    @property
    def left_out(self) -> tuple[RatingPart, ...]:
        """Parts whose metric has no value."""
        return tuple(part for part in self.parts if part.possible is None)

    @property
    def text(self) -> str:
        """The make-up as one sentence."""
        told = [
            f"{part.criterion.metric} {part.points:.1f} of {part.possible:.1f}"
            for part in self.parts
            if part.possible is not None and part.points is not None
        ]
        names = ", ".join(part.criterion.metric for part in self.left_out)
        missing = f" Without a value and left out: {names}." if names else ""
        if self.score is None:
            return f"No score: {self.measured:.0%} of the weight was measured.{missing}"
        return f"{', '.join(told)}.{missing}"


def rate(
    criteria: Sequence[Criterion],
    values: Mapping[str, float | None],
    stage: str,
    label: str = "",
) -> Rating:
    """The score of one stage from its metrics' values by name; absent and NaN mean none."""
    found = [_number(values.get(criterion.metric)) for criterion in criteria]
    weight = math.fsum(criterion.weight for criterion in criteria)
    counted = [c.weight if v is not None else 0.0 for c, v in zip(criteria, found, strict=True)]
    measured = math.fsum(counted) / weight if weight else 0.0
    enough = measured >= LEAST_MEASURED
    possible = _in_tenths(counted) if enough else [0] * len(counted)
    parts: list[RatingPart] = []
    earned = 0
    for criterion, value, most in zip(criteria, found, possible, strict=True):
        if value is None or not enough:
            parts.append(RatingPart(criterion=criterion, value=value, possible=None, points=None))
            continue
        # a full share gives all tenths whatever its last bit
        tenths = math.floor(most * criterion.share(value) + 1e-9)
        earned += tenths
        parts.append(
            RatingPart(criterion=criterion, value=value, possible=most / 10, points=tenths / 10)
        )
    return Rating(
        stage=stage,
        label=label or stage,
        score=earned / 10 if enough else None,
        measured=min(1.0, measured),
        parts=tuple(parts),
    )


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


def _in_tenths(weights: Sequence[float]) -> list[int]:
    """100 points shared out by weight in whole tenths, none lost: largest remainders first."""
    total = math.fsum(weights)
    exact = [_TENTHS * weight / total for weight in weights]
    shares = [math.floor(part) for part in exact]
    by_remainder = sorted(range(len(exact)), key=lambda place: shares[place] - exact[place])
    for place in by_remainder[: _TENTHS - sum(shares)]:
        shares[place] += 1
    return shares
