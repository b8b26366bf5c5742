"""The question where rows come from: ngsim lineage.

Belongs here: the command and how its answer is shown. Does not belong here: the way back itself
(lineage.py), what became of single rows (row_lineage.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Annotated

import typer

from ngsim_assets import console
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway import model, stages
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.lineage import Traced, TracedFile, Tracer, recordings_of
from ngsim_assets.highway.questions import AsJson, Key, NoSuchRecording, NoSuchVehicle
from ngsim_assets.highway.row_lineage import Account, Chosen, account
from ngsim_assets.settings import load_settings

_LONGEST = 160
"""Characters of parameters or source rows that are shown; --json has all."""

_LIES = {
    "unchanged": ", unchanged there",
    "changed": ", another file there now",
    "gone": ", not there any more",
}
_TRACEABLE = tuple(table.name for table in model.TABLES.values() if table.partition_by)


class NoSuchRow(NgsimAssetsError):
    """A line of a file that no row of a recording was read from."""

    def __init__(self, key: PartitionKey, row: int, file: str | None) -> None:
        named = f" of {file}" if file else ""
        super().__init__(
            f"{key} has no row read from line {row}{named}",
            "source_row of the tables counts the lines of a file from 1, its header included",
        )


class UntracedTable(NgsimAssetsError):
    """A table that holds no rows of single recordings, or does not exist."""

    exit_code = 2

    def __init__(self, name: str) -> None:
        super().__init__(f"no table {name} of recordings", f"tables: {', '.join(_TRACEABLE)}")


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module on `app`."""
    app.command(epilog="Example: ngsim lineage 'us-101|2005-06-15T0750' --vehicle 17")(lineage)


def lineage(
    key: Key,
    vehicle: Annotated[
        int | None, typer.Option(help="Tell of this vehicle's rows, from line to point.")
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(help="Begin at this table; the report and all others if not given."),
    ] = None,
    row: Annotated[
        int | None, typer.Option(help="Tell what became of this line of the delivered file.")
    ] = None,
    file: Annotated[
        str | None, typer.Option(help="The file of that line, as source_file names it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Where rows come from: run, code, parameters and version of each table, back to the files."""
    platform = stages.open_platform(load_settings())
    known = recordings_of(platform)
    if key not in known:
        raise NoSuchRecording(key, known)
    if table is not None and table not in _TRACEABLE:
        raise UntracedTable(table)
    wanted = PartitionKey.parse(key)
    tracer = Tracer(platform, wanted)
    told: Account | None = None
    if vehicle is not None or row is not None:
        told = account(platform, tracer.trace_all(), Chosen(vehicle, row, file))
        if not told.rows and vehicle is not None:
            raise NoSuchVehicle(wanted, vehicle, "any table")
        if not told.rows and row is not None:
            raise NoSuchRow(wanted, row, file)
        table = table or model.CLEANED_TRAJECTORIES.name  # the last table with points
    traced = tracer.trace_all() if table is None else [tracer.trace(model.TABLES[table])]
    if as_json:
        console.print_json(
            {
                "recording": key,
                "tables": [_node(one) for one in traced],
                **({"rows": asdict(told)} if told else {}),
            }
        )
        return
    shown: set[tuple[str, int]] = set()
    for one in traced:
        for line in _tree(one, shown):
            console.out.print(line, markup=False, soft_wrap=True)
    if told:
        what = f"vehicle {vehicle}" if vehicle is not None else f"line {row}"
        for line in _story(told, f"{what} of {key}"):
            console.out.print(line, markup=False, soft_wrap=True)


def _node(traced: Traced) -> dict[str, object]:
    made = traced.made
    return {
        "table": made.table,
        "partition": made.key,
        "version": made.version if made.is_recorded else None,
        "semantic": traced.semantic,
        "live": made.live,
        "operation": made.operation,
        "written": made.timestamp,
        "rows": made.rows,
        "run_id": made.provenance.run_id,
        "code_version": made.provenance.code_version,
        "parameters": dict(made.provenance.parameters),
        "restored": made.restored,
        "held_against": list(made.held_against),
        "report": traced.report and str(traced.report),
        "gaps": list(traced.gaps),
        "made_from": [_node(source) for source in traced.sources],
        "read_from": [
            {**asdict(each.file), "delivered": each.delivered, "at_path": each.at_path}
            for each in traced.files
        ],
    }


def _tree(traced: Traced, shown: set[tuple[str, int]], before: str = "") -> Iterator[str]:
    """Lines of a tree; what was shown before is only named."""
    made = traced.made
    yield _heading(traced)
    place = (made.table, made.version)
    if place in shown:
        yield f"{before}   as above"
        return
    shown.add(place)
    under = f"{before}   "
    if traced.report is not None:
        yield f"{under}report: {console.shown_path(traced.report)}"
    if made.provenance.parameters:
        yield f"{under}parameters: {_short(_told(made.provenance.parameters))}"
    for gap in traced.gaps:
        yield f"{under}note: {gap}"
    children = [*traced.sources, *traced.files]
    for child in children:
        last = child is children[-1]
        inner = before + ("   " if last else "│  ")
        lines = _tree(child, shown, inner) if isinstance(child, Traced) else _file(child, inner)
        first, *rest = lines
        yield f"{before}{'└─ ' if last else '├─ '}{first}"
        yield from rest


def _heading(traced: Traced) -> str:
    made = traced.made
    parts = [made.table]
    if made.is_recorded:
        version = f"version {made.version}"
        parts.append(f"{version} ({traced.semantic})" if traced.semantic else version)
        if made.restored is not None:
            parts.append(f"rolled back to {made.restored}")
        if not made.live:
            parts.append("not live any more")
    if made.timestamp is not None:
        parts.append(f"{made.timestamp:%Y-%m-%dT%H:%M:%S} UTC")
    parts.append(f"{made.rows:,} rows")
    if made.is_recorded:
        parts += [f"code {made.provenance.code_version or '?'}", f"run {made.provenance.run_id}"]
    return ", ".join(parts)


def _file(traced: TracedFile, before: str) -> list[str]:
    file = traced.file
    named = f"{file.path}!{file.member}" if file.member else file.path
    state = "still delivered" if traced.delivered else "no longer delivered"
    lies = _LIES.get(traced.at_path, "")
    return [
        f"{file.name}, {file.rows:,} rows",
        f"{before}   sha256 {file.sha256}",
        f"{before}   {named} ({state}{lies})",
    ]


def _story(told: Account, what: str) -> Iterator[str]:
    yield ""
    yield what
    for each in told.read_from:
        digest = each.file.sha256[:12] if each.file else "unknown"
        yield f"   {each.rows:,} rows read from {each.name} (sha256 {digest})"
        yield f"      lines {_short(each.source_rows)}"
    yield f"   {told.validated:,} accepted{_listed(told.flags, 'flagged')}"
    yield f"   {told.quarantined:,} quarantined{_listed(told.reasons, 'for')}"
    if told.states:
        points = ", ".join(f"{rows:,} {state}" for state, rows in told.states.items())
        yield f"   points: {points}"
    if told.moved is not None:
        yield f"   repaired points were moved by up to {told.moved:.2f} m"
    for why, frames in told.imputed_for.items():
        yield f"   {frames:,} imputed where the row was {_why(why)}"
    if told.left_out:
        yield f"   {told.left_out:,} accepted rows have no point: too few in a stretch, or doubled"
    for gap in told.gaps:
        yield f"   note: {gap}"


def _why(why: str) -> str:
    return why if why == "not delivered" else f"refused for {why}"


def _listed(counts: Mapping[str, int], word: str) -> str:
    return f", {word} " + ", ".join(f"{n} {rows:,}" for n, rows in counts.items()) if counts else ""


def _told(parameters: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={_plain(value)}" for name, value in parameters.items())


def _plain(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… (--json has all)"
