"""`ngsim download`: NGSIM from its publisher into the incoming folder.

Belongs here: what a user asks for and how the answer is shown. Does not belong here: how it is
downloaded (official/).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ngsim_assets import console
from ngsim_assets.highway.questions import AsJson
from ngsim_assets.highway.sites import SITES
from ngsim_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    from ngsim_assets.highway.official.downloading import Downloads
    from ngsim_assets.highway.official.source import Wanted


_INTERRUPTED = 130


def add_to(app: typer.Typer, ingest: Callable[[], None]) -> None:
    """Register the command on `app`; `ingest` takes in what waits in the incoming folder."""

    @app.command("download", epilog="Example: ngsim download us-101 i-80")
    def _download(
        highways: Annotated[
            list[str] | None,
            typer.Argument(
                help=f"{', '.join(SITES)}; none: those of NGSIM_DOWNLOAD_HIGHWAYS.",
                show_default=False,
            ),
        ] = None,
        way: Annotated[
            Literal["zip", "api", "export"] | None,
            typer.Option(
                help="The archives attached to the dataset, its rows by query, or the export of "
                "all highways; default: NGSIM_DOWNLOAD_WAY.",
                show_default=False,
            ),
        ] = None,
        where: Annotated[
            str, typer.Option(help="Condition on rows, in the portal's language; --way api only.")
        ] = "",
        accept_new: Annotated[
            bool, typer.Option(help="Take an archive that is not the one known.")
        ] = False,
        again: Annotated[
            bool, typer.Option(help="Hand over again what was handed over before.")
        ] = False,
        then_ingest: Annotated[
            bool, typer.Option("--ingest/--no-ingest", help="Then take in and build it.")
        ] = False,
        offers: Annotated[
            bool, typer.Option("--list", help="Show what there is and what is held.")
        ] = False,
        as_json: AsJson = False,
    ) -> None:
        """Download what NGSIM's publisher has and is not held yet, into the incoming folder.

        Interrupted or killed it goes on where it was when it is run again. Where the portal does
        not answer, what was fetched earlier stays in use. The exit code is 0 only if everything
        asked for is there as it is now.
        """
        settings = load_settings()
        if offers:
            _show_offers(settings, as_json=as_json)
            return
        if as_json and then_ingest:
            raise typer.BadParameter("--json and --ingest: run ngsim ingest --json after it")
        wanted = _wanted(settings, highways or [], way, where, accept_new=accept_new)
        try:
            done = _downloaded(settings, wanted, again=again)
        except KeyboardInterrupt:
            console.note("interrupted; what has come is kept, run the same command again to go on")
            raise typer.Exit(_INTERRUPTED) from None
        _show(done, as_json=as_json)
        if then_ingest:
            ingest()
        elif done.new:
            console.note("next: ngsim ingest (a running daemon takes it in by itself)")
        done.require_fresh()


def _wanted(
    settings: Settings,
    names: list[str],
    way: Literal["zip", "api", "export"] | None,
    where: str,
    *,
    accept_new: bool,
) -> Wanted:
    from ngsim_assets.highway.official.source import Wanted, known_highways, listed

    chosen = way or settings.download_way
    highways = known_highways(names or listed(settings.download_highways))
    if not highways and chosen != "export":
        raise typer.BadParameter(f"name highways: {', '.join(SITES)}")
    if where and chosen != "api":
        raise typer.BadParameter("--where is for --way api: files are fetched whole")
    if accept_new and chosen != "zip":
        raise typer.BadParameter("--accept-new is for --way zip: only archives are known before")
    if chosen == "export" and names:
        console.note("the export holds every highway; all of it is downloaded")
    return Wanted(chosen, highways, where.strip(), accept_new)


def _downloaded(settings: Settings, wanted: Wanted, *, again: bool) -> Downloads:
    from ngsim_assets.acquisition.observers.log import LogObserver
    from ngsim_assets.acquisition.observers.progress import showing_progress
    from ngsim_assets.highway.official.downloading import download

    if settings.log == "json":
        return download(settings, wanted, observers=[LogObserver()], again=again)
    with showing_progress() as progress:
        return download(settings, wanted, observers=[progress], again=again)


def _show(done: Downloads, *, as_json: bool) -> None:
    if as_json:
        console.print_json(done.summary())
        return
    console.print_table("Downloads", done.rows())
    folders = sorted({str(handed.path.parent) for handed in done.new})
    for folder in folders:
        console.note(f"handed over: {folder}")


def _show_offers(settings: Settings, *, as_json: bool) -> None:
    from ngsim_assets.highway.official.offer import look

    offers, error = asyncio.run(look(settings))
    rows = [offer.row() for offer in offers]
    if as_json:
        console.print_json({"portal": settings.portal, "downloads": rows})
    else:
        console.print_table(f"NGSIM at {settings.portal}", rows)
    if error is not None:
        raise error
