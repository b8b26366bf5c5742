"""`ngsim f1`: sessions of Formula 1 in, and questions to what is held of them.

Belongs here: the commands with their options. Does not belong here: what they do (commands*.py),
how the asset graph is run, which cli.py hands in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ngsim_assets.f1 import (
    commands,
    commands_historical,
    commands_live,
    commands_stored,
    commands_test,
)
from ngsim_assets.f1.building import Runs
from ngsim_assets.f1.commands_stored import AsJson, SessionText
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.settings import load_settings

_KEY = "2025-05-03_miami_sprint"

MaybePaths = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="PATH",
        help="Recordings (.txt), folders with .jsonStream files or responses of OpenF1 anywhere "
        "below; none: the folder of sessions (NGSIM_F1_RECORDINGS).",
        show_default=False,
    ),
]
Force = Annotated[bool, typer.Option(help="Rebuild also what is up to date.")]


def application(runs: Runs) -> typer.Typer:
    """The commands; `runs` runs the asset graph."""
    app = typer.Typer(
        name="f1",
        help="Formula 1: sessions in, live or past; laps, weather, neutralisations, telemetry.",
        no_args_is_help=True,
    )
    _add_building(app, runs)
    commands_historical.add_to(app, runs)
    commands_live.add_to(app, runs)
    commands_test.add_to(app, runs)
    commands_stored.add_to(app)
    return app


def _add_building(app: typer.Typer, runs: Runs) -> None:
    @app.command(epilog=f"Example: ngsim f1 ingest fp3.txt --session {_KEY}")
    def ingest(
        paths: MaybePaths = None,
        session: Annotated[
            str | None,
            typer.Option(
                metavar="KEY", help=f"Session of files that do not tell it, for example {_KEY}."
            ),
        ] = None,
        force: Force = False,
        as_json: AsJson = False,
    ) -> None:
        """Take sessions in and build every table and report of those that changed.

        Files stay where they are. Without paths: what waits in the folder of sessions, as the
        daemon does, and whatever is out of date. The exit code is 0 only if everything was taken
        in and built.
        """
        key = SessionKey.parse(session) if session is not None else None
        if key is not None and not paths:
            raise typer.BadParameter("--session says of which files: name them")
        commands.ingest(load_settings(), runs, paths or [], key, force=force, as_json=as_json)

    @app.command(epilog=f"Example: ngsim f1 build {_KEY} --force")
    def build(
        sessions: Annotated[
            list[str] | None,
            typer.Argument(metavar="SESSION", help="Keys; none: all.", show_default=False),
        ] = None,
        force: Force = False,
        as_json: AsJson = False,
    ) -> None:
        """Build what is out of date of these sessions, or of all, out of what was delivered.

        --force builds also what is up to date: that mends damaged files and ends what a rollback
        holds.
        """
        commands.build(load_settings(), runs, sessions or [], force=force, as_json=as_json)

    @app.command(epilog=f"Example: ngsim f1 rollback {_KEY} --to @-1")
    def rollback(
        session: SessionText,
        version: Annotated[str | None, typer.Argument(help="As --to.", show_default=False)] = None,
        to: Annotated[
            str | None,
            typer.Option(
                metavar="STATE",
                help="@-1 (before the last run that changed anything), a time (2026-03-01T12:00, "
                "UTC), or a version of its f1_quality_metrics, or of --table: 12, v1.4.2.",
            ),
        ] = None,
        table: Annotated[
            str | None, typer.Option("--table", help="Table that the version is one of.")
        ] = None,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
        ] = False,
        as_json: AsJson = False,
    ) -> None:
        """Make the tables of a session what they were before, all of them together.

        The old files become live again as a new version, so this can itself be rolled back. They
        are held: nothing rebuilds them while deliveries and code stay as they are. What hangs on
        them is rebuilt. If it is interrupted the same command finishes it.
        """
        wanted = to or version
        if wanted is None or (to and version):
            raise typer.BadParameter("name one state: ngsim f1 rollback SESSION --to @-1")
        commands.roll_back(
            load_settings(), runs, session, wanted, table, dry_run=dry_run, as_json=as_json
        )
