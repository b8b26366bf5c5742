"""The table of quality metrics of sessions.

Belongs here: its columns with their meanings. Does not belong here: any metric (catalogue.py), any
computation.
"""

from __future__ import annotations

from typing import Annotated

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from ngsim_assets.f1.columns import Session, SessionDate, Simulated
from ngsim_assets.storage.schema import Column, Table


class F1QualityMetric(BaseModel):
    """One measured figure about one session, with what it means."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    session: Session
    date: SessionDate
    metric: Annotated[str, Field(description="Name of the metric."), Column(pl.String())]
    subject: Annotated[
        str,
        Field(
            description="What of the session it was measured on: a topic, a car's number, a "
            "table, a rule as table.rule, a reason; empty for the session as a whole."
        ),
        Column(pl.String()),
    ]
    value: Annotated[
        float | None, Field(description="Value, null where undefined."), Column(pl.Float64())
    ]
    unit: Annotated[str, Field(description="Unit of the value."), Column(pl.String())]
    definition: Annotated[
        str, Field(description="Exactly how it is computed."), Column(pl.String())
    ]
    source: Annotated[
        str,
        Field(description="Whose limit it is held against, empty without one."),
        Column(pl.String()),
    ]
    threshold: Annotated[
        float | None,
        Field(description="Limit the value is held against, null none."),
        Column(pl.Float64()),
    ]
    passed: Annotated[
        bool | None,
        Field(description="Whether it keeps the limit, null without one."),
        Column(pl.Boolean()),
    ]
    simulated: Simulated


F1_QUALITY_METRICS = Table(
    name="f1_quality_metrics",
    model=F1QualityMetric,
    partition_by=("date", "session"),
    identity=("session",),
    sort_by=("metric", "subject"),
    rebuilt_by="ngsim f1 build {session} --force",
)
