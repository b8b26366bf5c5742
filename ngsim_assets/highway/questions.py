"""Questions to the tables: query, vehicle, schemas.

Belongs here: commands that read what is stored and show it. Does not belong here: reports and
their comparison (report_questions.py), commands that take files in or make them (commands.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal

import polars as pl
import typer

from ngsim_assets import console
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway import answers, model, sql_catalog, stages
from ngsim_assets.highway.assessment.catalogue import metrics_page
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.sites import SITES
from ngsim_assets.highway.validate import rules_table
from ngsim_assets.observability.page import monitoring_page
from ngsim_assets.quality.comparison import comparison_schema
from ngsim_assets.quality.report import report_schema
from ngsim_assets.settings import Settings, load_settings
from ngsim_assets.storage.errors import DamagedFile
from ngsim_assets.storage.schema import Table, documentation_of
from ngsim_assets.storage.versions import DataVersionManager

Key = Annotated[str, typer.Argument(help="Partition key, for example us-101|2005-06-15T0750.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document for machines.")]


_NAMED = 5
"""Recordings named to whom none was found."""


class NoSuchRecording(NgsimAssetsError):
    """A key of a recording that the lake does not hold; names the keys that are most like it."""

    def __init__(self, key: str, known: Sequence[str]) -> None:
        close = get_close_matches(key.lower(), known, n=3, cutoff=0.8)
        if close:
            fix = f"did you mean {' or '.join(close)}?"
        elif known:
            rest = f" and {len(known) - _NAMED:,} more: ngsim status" if len(known) > _NAMED else ""
            fix = f"known: {', '.join(known[:_NAMED])}{rest}"
        else:
            fix = "known: none; run ngsim ingest FILE"
        super().__init__(f"no recording {key}", fix)


class NoSuchVehicle(NgsimAssetsError):
    """A vehicle id that a recording does not hold."""

    def __init__(self, key: PartitionKey, vehicle: int, table: str) -> None:
        super().__init__(
            f"{key} has no vehicle {vehicle} in {table}",
            "trajectory_segments lists them: ngsim query 'FROM trajectory_segments'",
        )


class BadQuery(NgsimAssetsError):
    """DuckDB could not run a statement."""

    exit_code = 2

    def __init__(self, reason: str, tables: Sequence[str]) -> None:
        super().__init__(reason.splitlines()[0], f"tables: {', '.join(tables)}")


def whole_lake(context: typer.Context, settings: Settings | None = None) -> stages.Platform:
    """The platform with the tables of other domains in its lake, which cli.py hands to the app."""
    return stages.open_platform(settings or load_settings(), others=context.obj or ())


def table_named(platform: stages.Platform, name: str) -> Table:
    """The table of that name, of whichever domain; NoSuchTable."""
    tables = sql_catalog.shown(platform)
    if name not in tables:
        raise sql_catalog.NoSuchTable(name, tables)
    return tables[name]


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module on `app`."""
    examples = {
        query: 'ngsim query "SELECT lane_id, avg(speed) FROM cleaned_trajectories GROUP BY 1"',
        vehicle: "ngsim vehicle 'us-101|2005-06-15T0750' 17 --output v17.csv",
        schemas: "ngsim schemas --write docs",
    }
    for command, example in examples.items():
        app.command(epilog=f"Example: {example}")(command)


def query(
    context: typer.Context,
    sql: Annotated[str, typer.Argument(help="One SELECT over the tables.")],
    layout: Annotated[
        Literal["table", "csv", "json"], typer.Option("--format", help="Form of the answer.")
    ] = "table",
    as_json: AsJson = False,
    version: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VERSION",
            help="A time (2026-03-01T12:00, UTC): every table as it was then. Or TABLE@12, "
            "TABLE@v1.2.0, TABLE@-1; may be given several times.",
        ),
    ] = None,
) -> None:
    """Ask the tables in SQL (DuckDB); every table is a view of its current version.

    With --version TABLE is the version asked for, and now.TABLE the current one; "TABLE@12", in
    quotes, is that version where several are asked for. `FROM catalog.lineage` and the other
    listings tell what there is and what it was made from.
    """
    import duckdb

    platform = whole_lake(context)
    try:
        with sql_catalog.ask(platform, sql, version or []) as connection:
            try:
                answer = connection.sql(sql)
                frame = answer.pl() if answer is not None else pl.DataFrame()
            except duckdb.IOException:
                raise
            except duckdb.Error as error:
                raise BadQuery(str(error), list(sql_catalog.shown(platform))) from error
    except duckdb.IOException as error:
        raise _unreadable(platform, str(error)) from error
    if as_json or layout == "json":
        console.print_json(frame.to_dicts())
    elif layout == "csv":
        typer.echo(answers.csv(frame), nl=False)
    else:
        rows = "1 row" if frame.height == 1 else f"{frame.height:,} rows"
        console.print_table(rows, frame.head(1000).to_dicts())
        if frame.height > 1000:
            console.note("first 1,000 rows shown; --format csv prints all")


def _unreadable(platform: stages.Platform, reason: str) -> NgsimAssetsError:
    """What DuckDB says where a view's file is gone or cut, as the file's table would say it."""
    named = re.search(r'[^"\']+\.parquet', reason)
    lake = platform.lake.root.absolute()
    if named is None or not Path(named[0]).is_relative_to(lake):
        return BadQuery(reason, list(sql_catalog.shown(platform)))
    path = Path(named[0])
    table = path.relative_to(lake).parts[0]
    return DamagedFile(table, path, reason.splitlines()[0] if path.exists() else "it is missing")


def vehicle(
    key: Key,
    vehicle_id: Annotated[int, typer.Argument(help="Vehicle number in that recording.")],
    table: Annotated[
        Literal["cleaned_trajectories", "validated_points", "raw_trajectories"],
        typer.Option(help="Stage to read."),
    ] = "cleaned_trajectories",
    output: Annotated[
        Path | None, typer.Option(help="Write CSV or Parquet here, by its ending.")
    ] = None,
    as_json: AsJson = False,
    version: Annotated[
        str, typer.Option(help="Of the recording in that table: @-1, 12, v1.2.0 or a time (UTC).")
    ] = "",
) -> None:
    """One vehicle's trajectory."""
    answers.check_ending(output)
    settings = load_settings()
    wanted = known_recording(settings, key)
    read, place = model.TABLES[table], stages.identity(wanted)
    lake = stages.open_platform(settings).lake
    number = DataVersionManager(lake).find(read, version, place).number if version else None
    rows = (
        lake.scan(read, place, version=number).filter(pl.col("vehicle_id") == vehicle_id).collect()
    )
    if rows.is_empty():
        raise NoSuchVehicle(wanted, vehicle_id, table)
    if output is not None:
        answers.write_table(output, rows)
        console.note(f"{output}: {rows.height:,} rows")
    elif as_json:
        console.print_json(rows.to_dicts())
    else:
        shown = [
            name
            for name in (
                "frame",
                "frame_id",
                "timestamp",
                "lane_id",
                "x_position",
                "y_position",
                "local_x",
                "local_y",
                "speed",
                "v_vel",
                "acceleration",
                "v_acc",
                "jerk",
                "space_headway",
                "state",
                "flags",
            )
            if name in rows.columns
        ]
        console.print_table(
            f"Vehicle {vehicle_id} of {wanted}", rows.select(shown).head(200).to_dicts()
        )
        if rows.height > 200:
            console.note(f"first 200 of {rows.height:,} rows shown; --output FILE writes all")


def schemas(
    context: typer.Context,
    write: Annotated[
        Path | None,
        typer.Option(
            help="Write DATA_SCHEMAS.md, RULES.md, METRICS.md, MONITORING.md and the JSON "
            "Schemas of reports into this folder."
        ),
    ] = None,
) -> None:
    """Columns of every table, rules of every site and every metric, as the code has them."""
    pages = {
        "DATA_SCHEMAS.md": schema_page(context.obj or ()),
        "RULES.md": rules_page(),
        "METRICS.md": metrics_page(),
        "MONITORING.md": monitoring_page(),
    }
    if write is None:
        for text in pages.values():
            typer.echo(text, nl=False)
        return
    written = {
        "quality_report.schema.json": report_schema(),
        "quality_comparison.schema.json": comparison_schema(),
    }
    for name, text in {**pages, **written}.items():
        (write / name).write_text(text)
        console.note(f"{write / name} written")


def rules_page() -> str:
    """RULES.md: what rejects or flags a row at each site, with the source of each threshold."""
    lines = [
        "# Rules",
        "",
        "Generated from the code by `make docs`. A row that breaks a rejecting rule goes to",
        "`quarantine` with the names of all rules it broke; flags are counted in the report.",
    ]
    for site in SITES.values():
        lines += ["", f"## {site.title} (`{site.highway_id}`)", "", rules_table(site).rstrip()]
    return "\n".join(lines) + "\n"


def schema_page(others: Iterable[Table] = ()) -> str:
    """DATA_SCHEMAS.md: every table and column, read from the models.

    Args:
        others: tables of other domains, which cli.py hands to the app.
    """
    lines = [
        "# Tables",
        "",
        "Generated from the models by `make docs`. Resolution: stored values are multiples of it;",
        "values are plain numbers in the unit given and need no scale factor.",
    ]
    for table in (*model.TABLES.values(), *others):
        folders = "/".join(f"{name}=…" for name in table.partition_by) or "(not partitioned)"
        lines += ["", f"## {table.name}", "", table.description, "", f"Folders: `{folders}`", ""]
        lines += [
            "| column | type | unit | resolution | null | meaning |",
            "|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {row['column']} | {row['type']} | {row['unit']} | "
            f"{format(row['resolution'], '.3g') if row['resolution'] else ''} | "
            f"{'yes' if row['nullable'] else ''} | {row['description']} |"
            for row in documentation_of(table)
        ]
    return "\n".join(lines) + "\n"


def known_recording(settings: Settings, key: str) -> PartitionKey:
    """The recording of that key; NoSuchRecording if nothing of it was delivered."""
    known = stages.open_platform(settings).landing.partitions()
    if key not in known:
        raise NoSuchRecording(key, known)
    return PartitionKey.parse(key)
