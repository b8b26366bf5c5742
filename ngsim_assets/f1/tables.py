"""Every table of the domain, whichever folder declares it.

Belongs here: nothing but the list. Does not belong here: columns (model.py and those of the
folders).
"""

from __future__ import annotations

from ngsim_assets.f1 import model
from ngsim_assets.f1.assessment.model import F1_QUALITY_METRICS
from ngsim_assets.f1.neutralisations.model import F1_NEUTRALISATIONS
from ngsim_assets.f1.telemetry.model import (
    F1_POSITIONS,
    F1_TELEMETRY,
    F1_TELEMETRY_RESAMPLED,
)
from ngsim_assets.storage.schema import Table

TABLES: tuple[Table, ...] = (
    *model.TABLES,
    F1_NEUTRALISATIONS,
    F1_TELEMETRY,
    F1_POSITIONS,
    F1_TELEMETRY_RESAMPLED,
    F1_QUALITY_METRICS,
)
"""Tables by the order in which a reader may want them."""
