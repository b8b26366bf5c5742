"""The table of neutralisations.

Belongs here: its columns with their meanings. Does not belong here: any computation.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from ngsim_assets.f1.columns import Flags, Session, SessionDate, Simulated
from ngsim_assets.storage.schema import Column, Table

Kind: TypeAlias = Literal["safety_car", "virtual_safety_car", "red_flag"]
Evidence: TypeAlias = Literal["status", "race_control", "lap_times"]

_Instant = Column(pl.Datetime("us", "UTC"))


class Neutralisation(BaseModel):
    """A phase in which the whole field was slowed down or stopped."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    session: Session
    date: SessionDate
    number: Annotated[
        int, Field(ge=1, description="Phase of its session, from 1 by start."), Column(pl.Int32())
    ]
    kind: Annotated[Kind, Field(description="What it was."), Column(pl.String())]
    evidence: Annotated[
        Evidence,
        Field(
            description="What it is told by: track status; race control where the status is "
            "silent; lap times alone where both are, and then to whole laps."
        ),
        Column(pl.String()),
    ]
    start_ms: Annotated[
        int | None,
        Field(description="Start since the start of the feed."),
        Column(pl.Int64(), "ms"),
    ]
    end_ms: Annotated[
        int | None,
        Field(description="End since the start of the feed, null if it is not known."),
        Column(pl.Int64(), "ms"),
    ]
    start_timestamp: Annotated[datetime | None, Field(description="Start, UTC."), _Instant]
    end_timestamp: Annotated[datetime | None, Field(description="End, UTC."), _Instant]
    ending_ms: Annotated[
        int | None,
        Field(
            description="When its end was announced: safety car in this lap, virtual safety car "
            "ending; null if it was not."
        ),
        Column(pl.Int64(), "ms"),
    ]
    start_lap: Annotated[
        int | None, Field(ge=1, description="Lap of the leader at its start."), Column(pl.Int32())
    ]
    end_lap: Annotated[
        int | None, Field(ge=1, description="Lap of the leader at its end."), Column(pl.Int32())
    ]
    laps: Annotated[
        int | None,
        Field(ge=1, description="Laps of the leader that it touched, both ends included."),
        Column(pl.Int32()),
    ]
    cause: Annotated[
        Literal[
            "stopped_car",
            "debris",
            "surface",
            "weather",
            "barrier",
            "double_yellow",
            "yellow",
            "escalation",
        ]
        | None,
        Field(
            description="What race control said of the reason, null if nothing; escalation where "
            "it took the place of another phase."
        ),
        Column(pl.String()),
    ]
    cause_text: Annotated[str | None, Field(description="Those messages."), Column(pl.String())]
    confirmed: Annotated[
        bool | None,
        Field(description="Whether race control said so too; null if its messages are not known."),
        Column(pl.Boolean()),
    ]
    seen_in_laps: Annotated[
        bool | None,
        Field(
            description="Whether lap times alone show it; null where they cannot, being unknown, "
            "of no race, or too few laps of the phase."
        ),
        Column(pl.Boolean()),
    ]
    confidence: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="1 from the status; 0.9 from race control alone; from lap times alone, "
            "that of its laps.",
        ),
        Column(pl.Float64()),
    ]
    simulated: Simulated
    flags: Flags


F1_NEUTRALISATIONS = Table(
    name="f1_neutralisations",
    model=Neutralisation,
    partition_by=("date", "session"),
    identity=("session",),
    sort_by=("number",),
    rebuilt_by="ngsim f1 build {session} --force",
)
