"""What each asset of a session is built from, by which make of the code, and whether it still is.

A table tells in its provenance the contents it was made of and the code's version. It is up to
date where those are the ones it would be made of now; or, where a rollback made it live, as long as
what it was held against stays as it was.

Belongs here: recipes as data, and comparing a commit with its recipe. Does not belong here:
building (stages.py, reporting.py), what runs when.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from ngsim_assets.f1.assessment.model import F1_QUALITY_METRICS
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.model import (
    F1_LAPS,
    F1_MESSAGES,
    F1_QUARANTINE,
    F1_RACE_CONTROL,
    F1_SESSION_STATUS,
    F1_TRACK_STATUS,
    F1_WEATHER,
)
from ngsim_assets.f1.neutralisations.model import F1_NEUTRALISATIONS
from ngsim_assets.f1.platform import F1Platform, identity
from ngsim_assets.f1.telemetry.model import F1_POSITIONS, F1_TELEMETRY
from ngsim_assets.storage.parquet import Commit
from ngsim_assets.storage.schema import Table

FEEDS: Final = "f1_feeds"
"""What was delivered of a session; its content is `delivered.version_of`."""

REPORT: Final = "f1_quality_report"

TABLE_OF: Final[Mapping[str, Table]] = {
    **{
        table.name: table
        for table in (
            F1_MESSAGES,
            F1_LAPS,
            F1_WEATHER,
            F1_TRACK_STATUS,
            F1_RACE_CONTROL,
            F1_SESSION_STATUS,
            F1_NEUTRALISATIONS,
            F1_TELEMETRY,
            F1_POSITIONS,
            F1_QUARANTINE,
        )
    },
    REPORT: F1_QUALITY_METRICS,
}
"""The table that tells the content of an asset, in building order."""

# Raised by hand when an asset's rows change for the same deliveries.
CODE_VERSIONS: Final[Mapping[str, str]] = dict.fromkeys(TABLE_OF, "1")

BUILT_FROM: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(TABLE_OF, (FEEDS,)),
    F1_NEUTRALISATIONS.name: (
        FEEDS,
        F1_TRACK_STATUS.name,
        F1_RACE_CONTROL.name,
        F1_SESSION_STATUS.name,
        F1_LAPS.name,
    ),
    REPORT: tuple(asset for asset in TABLE_OF if asset != REPORT),
}
"""Assets with the assets they are built from, in building order; contents are recorded so."""

Contents = Mapping[str, tuple[str, ...]]
"""Content hashes by asset: of a table `Commit.content`, of FEEDS the version alone."""


def sources_of(asset: str, contents: Contents) -> tuple[str, ...]:
    """Contents of all that an asset is built from, as its commit records them."""
    return tuple(hash_ for source in BUILT_FROM[asset] for hash_ in contents.get(source, ()))


def would_be_built(asset: str, contents: Contents) -> tuple[str, ...]:
    """What would decide the rows of an asset if it were built of `contents` now.

    A rollback is held against it.
    """
    return (*sources_of(asset, contents), f"code={CODE_VERSIONS[asset]}")


def is_as_built(asset: str, commit: Commit, contents: Contents) -> bool:
    """Whether a live commit is what would be built now, or is held in its place by a rollback."""
    wanted = would_be_built(asset, contents)
    told = commit.provenance
    return wanted in (commit.held_against, (*told.sources, f"code={told.code_version}"))


def out_of_date(
    platform: F1Platform,
    key: SessionKey,
    version: str,
    *,
    sound: Callable[[Commit], bool] = lambda commit: True,
) -> list[str]:
    """Assets of a session that are not what would be built of this version now.

    What hangs on one of them is among them. A session that was stored in part only is told by
    this: tables of different deliveries are made of different contents.

    Args:
        sound: whether the files of a commit are as they were written.
    """
    contents: dict[str, tuple[str, ...]] = {FEEDS: (version,)}
    found: list[str] = []
    for asset, table in TABLE_OF.items():
        commit = platform.lake.current(table, identity(key))
        current = (
            commit is not None
            and not any(source in found for source in BUILT_FROM[asset])
            and is_as_built(asset, commit, contents)
            and sound(commit)
        )
        if not current:
            found.append(asset)
        if commit is not None:
            contents[asset] = commit.content
    return found
