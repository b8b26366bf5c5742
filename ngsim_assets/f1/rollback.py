"""Rollback of a session: its tables as they were, and held so until something new comes.

All tables of a session are written by one step, so they go back together.

Belongs here: which tables a session has, against what they are held, that its report agrees with
them. Does not belong here: how a rollback is planned, recorded and carried out
(storage/rollbacks.py), who tells Dagster.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from ngsim_assets.f1.delivered import version_of
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.overview import NoSuchSessionTable, table_named
from ngsim_assets.f1.platform import F1Platform, alone, identity
from ngsim_assets.f1.recipes import FEEDS, REPORT, TABLE_OF, would_be_built
from ngsim_assets.f1.reporting import write_report
from ngsim_assets.settings import Settings
from ngsim_assets.storage import rollbacks
from ngsim_assets.storage.rollbacks import Plan
from ngsim_assets.storage.states import Place, Subject

PROGRAM = "ngsim f1 rollback"


def subject_of(key: SessionKey) -> Subject:
    """A session and where its rows are; versions of its `f1_quality_metrics` stand for it."""
    return Subject(
        name=str(key),
        places={asset: Place(table, identity(key)) for asset, table in TABLE_OF.items()},
        main=REPORT,
        together=frozenset(asset for asset in TABLE_OF if asset != REPORT),
    )


def planned(
    platform: F1Platform, settings: Settings, key: SessionKey, wanted: str, table: str | None
) -> Plan:
    """What a rollback comes to, or what is left on record of the same one that was interrupted.

    Args:
        wanted: see `storage.states.state`. table: whose version it names.

    Raises CannotRollBack where a version is not whole any more. Changes nothing.
    """
    left = rollbacks.begun_before(settings.rollbacks, str(key), wanted, table)
    if left is not None:
        return left
    asset = _asset_of(table) if table is not None else None
    return rollbacks.plan_of(
        platform.lake,
        subject_of(key),
        wanted,
        asset=asset,
        table=table,
        delivered=version_of(platform, key).version,
        program=PROGRAM,
    )


def _asset_of(table: str) -> str:
    """The asset whose rows a table holds; NoSuchSessionTable also for tables that none writes."""
    wanted = table_named(table)
    for asset, one in TABLE_OF.items():
        if one == wanted:
            return asset
    raise NoSuchSessionTable(table)


def carry_out(
    platform: F1Platform, key: SessionKey, plan: Plan, tell: Callable[[str], None] = lambda _: None
) -> list[str]:
    """Make the planned versions live, and the report's files agree with them; assets restored.

    Args:
        tell: called with the name of each asset before it is restored.

    May be called again for the same plan. Raises as `ParquetStorage.restore`.
    """
    with alone(platform, key):
        restored = rollbacks.carry_out(
            platform.lake, subject_of(key), plan, FEEDS, would_be_built, tell
        )
        if REPORT in restored:
            tell("report")
            write_report(platform, key)
    return restored


def begun(settings: Settings, wanted: Plan) -> AbstractContextManager[Plan]:
    """Have a rollback on record while the block runs, see `storage.rollbacks.begun`."""
    return rollbacks.begun(settings.rollbacks, wanted)
