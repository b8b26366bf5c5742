"""Data versions of sessions: what each asset holds of one, and what it was made of.

As everywhere (automation/versions.py) a version is `<content>.<origin>`. All tables of a session
are written by one step out of one reading, so their origins differ only by what the graph draws
as their inputs.

Belongs here: which asset the graph draws an arrow to from which, contents as they are now, recipes.
Does not belong here: what a table is rebuilt for (recipes.py), who compares versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from pydantic import SecretStr

from ngsim_assets.automation import versions
from ngsim_assets.automation.versions import DataVersion, content_of, origin_of
from ngsim_assets.f1 import recipes
from ngsim_assets.f1.delivered import version_of
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
from ngsim_assets.f1.recipes import FEEDS, REPORT, TABLE_OF
from ngsim_assets.f1.telemetry.model import F1_POSITIONS, F1_TELEMETRY
from ngsim_assets.settings import Settings

POSTGRES: Final = "f1_postgres"
"""The tables of a session in the second home, where there is one."""

_MESSAGES = F1_MESSAGES.name

SESSION_TABLES: Final = tuple(asset for asset in TABLE_OF if asset != REPORT)
"""Assets that the step of a session writes together, in building order."""

BUILT_FROM: Final[Mapping[str, tuple[str, ...]]] = {
    _MESSAGES: (FEEDS,),
    # beside messages: first laps from results, forecasts, lines that are no messages
    F1_LAPS.name: (FEEDS, _MESSAGES),
    F1_WEATHER.name: (FEEDS, _MESSAGES),
    F1_TRACK_STATUS.name: (_MESSAGES,),
    F1_RACE_CONTROL.name: (_MESSAGES,),
    F1_SESSION_STATUS.name: (_MESSAGES,),
    F1_NEUTRALISATIONS.name: (
        F1_LAPS.name,
        F1_TRACK_STATUS.name,
        F1_RACE_CONTROL.name,
        F1_SESSION_STATUS.name,
    ),
    F1_TELEMETRY.name: (_MESSAGES,),
    F1_POSITIONS.name: (_MESSAGES,),
    F1_QUARANTINE.name: (FEEDS, _MESSAGES),
    REPORT: SESSION_TABLES,
    POSTGRES: (*SESSION_TABLES, REPORT),
}
"""Assets with the assets that the graph draws arrows from, in building order."""

CODE_VERSIONS: Final[Mapping[str, str]] = {**recipes.CODE_VERSIONS, POSTGRES: "1"}


def recipe_of(settings: Settings, asset: str, code_version: str) -> str:
    """Code and settings by which an asset of any session is built, as one.

    Another server has nothing yet: with its name every session goes there by itself.
    """
    parameters: dict[str, object] = {}
    if asset == POSTGRES:
        parameters = {"home": home_named_by(settings.postgres_dsn)}
    return versions.recipe_of(code_version, parameters)


def home_named_by(dsn: SecretStr | None) -> str:
    """Names the second home by nothing secret; empty where there is none."""
    if dsn is None:
        return ""
    told: Mapping[str, object] = {}
    with suppress(Exception):  # no driver, or no connection string: writing will say so
        from psycopg.conninfo import conninfo_to_dict

        told = conninfo_to_dict(dsn.get_secret_value())
    return " ".join(f"{name}={told.get(name)}" for name in ("host", "port", "dbname"))


def inputs_now(platform: F1Platform, asset: str, key: SessionKey) -> dict[str, str]:
    """Contents of what the graph draws as inputs of an asset, as they are now."""
    return {name: content_now(platform, name, key) for name in BUILT_FROM[asset]}


def content_now(platform: F1Platform, asset: str, key: SessionKey) -> str:
    """What there is of an asset of a session; empty if nothing is."""
    if asset == FEEDS:
        return version_of(platform, key).version
    commit = platform.lake.current(TABLE_OF[asset], identity(key))
    return content_of(commit.content) if commit is not None else ""


def restored_version(settings: Settings, platform: F1Platform, asset: str, key: SessionKey) -> str:
    """Version of an asset whose table was just rolled back, to tell Dagster.

    Call it when all tables of the rollback have been restored.
    """
    commit = platform.lake.current(TABLE_OF[asset], identity(key))
    recipe = recipe_of(settings, asset, CODE_VERSIONS[asset])
    origin = origin_of(recipe, inputs_now(platform, asset, key))
    mark = f"restored{commit.version if commit else ''}"
    return str(DataVersion(content_now(platform, asset, key), origin, mark))
