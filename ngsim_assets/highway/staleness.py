"""Whether what is stored of a recording is what would be built now, and if not, why not.

A table is judged by the provenance stored with it: hashes of what it was built from, the stage's
code version, the parameters. One that a rollback made live is held: it is judged by what it would
have been built from, with which code and parameters, when it was rolled back. While all of that
stays as it was nothing else would come out than what was taken back; as soon as any of it changes
the hold has ended.

Belongs here: comparing what stages recorded. Does not belong here: reading rows, writing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ngsim_assets.highway import model
from ngsim_assets.highway.data_versions import (
    BUILT_FROM,
    RAW_FILES,
    parameters_of,
    partition_of,
    table_of,
)
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.reporting import report_folder
from ngsim_assets.highway.stages import CODE_VERSIONS, Platform
from ngsim_assets.storage.parquet import Commit
from ngsim_assets.storage.schema import Table
from ngsim_assets.storage.verify import visible_damage

ASSETS = tuple(asset for asset in BUILT_FROM if asset != model.CORPUS_SUMMARY.name)
"""Assets of a recording in building order."""

TOGETHER = frozenset({model.VALIDATED_POINTS.name, model.QUARANTINE.name})
"""Assets of one step, which writes both: each row is in one of them."""

Current = Callable[[Table, Mapping[str, str]], Commit | None]
Why = Literal["missing", "damaged", "input", "code", "parameters", "report", "follows"]


@dataclass(frozen=True)
class Reason:
    """Why a table is out of date: the kind for machines, the sentence for people."""

    why: Why
    told: str


@dataclass(frozen=True)
class Standing:
    """How an asset of a recording stands to what would be built now.

    Attributes:
        table: of its rows. commit: what is live, None if it was never built.
        reasons: why it is out of date, empty where it is not.
        held: whether it is as a rollback left it, and stays so.
    """

    asset: str
    table: Table
    commit: Commit | None
    reasons: tuple[Reason, ...] = ()
    held: bool = False


def asset_of(table: str) -> str:
    """The asset whose rows a table of a recording holds."""
    return "quality_report" if table == model.QUALITY_METRICS.name else table


def standings(
    platform: Platform,
    key: PartitionKey,
    *,
    current: Current | None = None,
    delivered: str | None = None,
) -> list[Standing]:
    """How every asset of a recording stands, in building order.

    Args:
        current: `platform.lake.current`, or what answers the same more quickly for many.
        delivered: content of the delivered rows, where it is known already.

    What hangs on an asset that will have other rows is out of date with it. One whose files are
    merely damaged gets the same rows again, so nothing else is. Damage is what can be seen
    without reading: files that are missing or of another size.
    """
    ask = current or platform.lake.current
    content: dict[str, tuple[str, ...]] = {
        RAW_FILES: (delivered or platform.landing.partition_hash(str(key)),),
    }
    changing: set[str] = set()
    found: list[Standing] = []
    for asset in ASSETS:
        commit = ask(table_of(asset), partition_of(asset, key))
        ahead = [source for source in BUILT_FROM[asset] if source in changing]
        reasons: list[Reason] = []
        held = False
        if commit is None:
            reasons.append(Reason("missing", "never built"))
        elif ahead:
            reasons.append(Reason("follows", f"{ahead[0]} is out of date"))
        else:
            wanted = would_be_built(platform, asset, key, inputs_of(asset, content))
            if _as_built(platform, asset, key, commit) != wanted:
                held = commit.held_against == wanted
                reasons += [] if held else _differences(platform, asset, key, commit, wanted)
        if reasons:
            changing.add(asset)
        if commit is not None:
            content[asset] = commit.content
            damage = damage_of(platform, commit)
            reasons += [Reason("damaged", damage)] if damage else []
            if asset == "quality_report":
                fault = report_fault(platform, key, commit)
                reasons += [Reason("report", fault)] if fault else []
        found.append(Standing(asset, table_of(asset), commit, tuple(reasons), held))
    return found


def inputs_of(asset: str, content: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Content of all that an asset is built from, as its stage records it."""
    return tuple(hash_ for source in BUILT_FROM[asset] for hash_ in content.get(source, ()))


def would_be_built(
    platform: Platform, asset: str, key: PartitionKey, sources: Sequence[str]
) -> tuple[str, ...]:
    """What would decide the rows of an asset if it were built from `sources` now.

    The sources, then code version and parameters. A rollback is held against it.
    """
    parameters = parameters_of(platform, asset, key.highway_id)
    return _decisive(sources, CODE_VERSIONS[asset], parameters)


def _as_built(platform: Platform, asset: str, key: PartitionKey, commit: Commit) -> tuple[str, ...]:
    told = commit.provenance
    return _decisive(told.sources, told.code_version, told.parameters)


def _decisive(
    sources: Sequence[str], code_version: str, parameters: Mapping[str, Any]
) -> tuple[str, ...]:
    text = json.dumps(parameters, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return (*sources, f"code={code_version}", f"parameters={digest}")


def _differences(
    platform: Platform, asset: str, key: PartitionKey, commit: Commit, wanted: tuple[str, ...]
) -> list[Reason]:
    """What differs from how the rows were built, or from what their rollback was held against."""
    after = " since it was rolled back" if commit.held_against else ""
    before = commit.held_against or _as_built(platform, asset, key, commit)
    *sources, code, parameters = before
    *new_sources, new_code, new_parameters = wanted
    reasons: list[Reason] = []
    if sources != new_sources:
        source = BUILT_FROM[asset]
        what = "the delivered rows" if source == (RAW_FILES,) else " or ".join(source)
        reasons.append(Reason("input", f"{what} changed{after}"))
    if code != new_code:
        versions = f"{code.partition('=')[2]} to {new_code.partition('=')[2]}"
        reasons.append(Reason("code", f"code version {versions}{after}"))
    if parameters != new_parameters:
        now = parameters_of(platform, asset, key.highway_id)
        names = _changed(commit.provenance.parameters, now)
        told = ", ".join(names) if names and not after else "parameters"
        reasons.append(Reason("parameters", f"{told} changed{after}"))
    return reasons


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Parameters that differ, as `name 2.0 to 0.1`; those with parts by name only."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    plain = (str, int, float)
    return [
        f"{name} {before[name]} to {now[name]}"
        if isinstance(before.get(name), plain) and isinstance(now.get(name), plain)
        else name
        for name in names
    ]


def damage_of(platform: Platform, commit: Commit) -> str:
    """What is wrong with a commit's files as far as it shows without reading, empty if nothing."""
    return visible_damage(platform.lake.root / commit.table, commit.files)


def report_fault(platform: Platform, key: PartitionKey, metrics: Commit) -> str:
    """What is wrong with a report's files; empty if they are there and of these metrics."""
    folder = report_folder(platform.reports, key)
    try:
        # written last, so it tells that the report is complete
        told = json.loads((folder / "report.json").read_bytes())["origin"]["version"]
    except FileNotFoundError:
        return "the report is missing"
    except (OSError, ValueError, KeyError, TypeError):
        return "report.json cannot be read"
    if not (folder / "report.html").exists():
        return "report.html is missing"
    return "" if told == metrics.version else f"the report is of version {told}"
