"""`ngsim f1 historical`: sessions of the past, season by season.

Belongs here: what is asked for, of whom, and how the answer is shown. Does not belong here:
fetching and building (live/batches.py), the asset graph, which is handed in as `Runs`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from ngsim_assets import console
from ngsim_assets.f1 import overview
from ngsim_assets.f1.building import Built, Runs
from ngsim_assets.f1.commands_stored import AsJson
from ngsim_assets.f1.errors import F1Error
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.platform import open_f1
from ngsim_assets.f1.simulate import SIMULATED, Scenario
from ngsim_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    from ngsim_assets.acquisition.events import Observer
    from ngsim_assets.acquisition.results import IngestionResult
    from ngsim_assets.f1.live.batches import HistoricalResult
    from ngsim_assets.f1.sources.places import Place

Source = Literal["archive", "openf1", "fastf1", "simulated"]

_NAMED: Final = 10
"""Sessions that are named as not available; --json names all."""

_FIRST: Final = 1950
_RACES: Final = ("bahrain", "monaco", "spa", "singapore")
"""Where simulated seasons take place: circuits whose weather and safety cars are known best."""

_MONTHS: Final = (3, 5, 7, 9)
_START: Final = time(13, 0, tzinfo=UTC)


class NotAskedFor(F1Error):
    """A text that is no season, no session and no path of the archive."""

    exit_code = 2

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(
            f"{text!r} is no season and no session: {reason}",
            "say 2025, 2025-05-03_miami_sprint, or a path such as "
            "2020/2020-08-30_Belgian_Grand_Prix/2020-08-30_Race",
        )


class NotAllHad(F1Error):
    """Part of what was asked for could not be had or built."""

    def __init__(self, failed: int) -> None:
        things = "1 thing" if failed == 1 else f"{failed} things"
        super().__init__(
            f"{things} of what was asked for failed",
            "each is named above; the same command goes on with what is missing",
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for: whole seasons, sessions, paths of the archive."""

    years: list[int] = field(default_factory=list[int])
    sessions: list[SessionKey] = field(default_factory=list[SessionKey])
    paths: list[str] = field(default_factory=list[str])


def add_to(app: typer.Typer, runs: Runs) -> None:
    """Register the command on `app`; `runs` runs the asset graph."""

    @app.command(epilog="Example: ngsim f1 historical 2024 2025-05-03_miami_sprint")
    def historical(
        wanted: Annotated[
            list[str],
            typer.Argument(
                metavar="YEAR|SESSION",
                help="Seasons, keys of sessions, or their paths in the archive.",
                show_default=False,
            ),
        ],
        source: Annotated[
            Source,
            typer.Option(
                help="The archive of the live timing (with FastF1, if it is installed, for the "
                "first laps of races), OpenF1, FastF1 alone, or simulated races."
            ),
        ] = "archive",
        build: Annotated[
            bool, typer.Option("--build/--no-build", help="Or only fetch; the daemon builds.")
        ] = True,
        as_json: AsJson = False,
    ) -> None:
        """Fetch sessions of the past and build their tables and reports.

        What is held is not fetched again, services are asked at the pace they allow, and what was
        interrupted goes on when the same command is run again. A session that a service does not
        have is told as that and is no failure.
        """
        settings = load_settings()
        asked = asked_for(wanted)
        results = [
            _fetched(settings, source, years, keys, paths, build=build)
            for years, keys, paths in _batches(asked)
        ]
        keys = _keys(settings, results)
        built = runs.build(settings, keys) if build and keys else Built()
        if not build:
            runs.register(settings)
        _show(settings, asked, results, built, as_json=as_json)
        faults = _faults(results)
        for fault in faults:
            console.note(f"failed: {fault}")
        if faults or built.failed:
            raise NotAllHad(len(faults) + len(built.failed))


def asked_for(texts: Iterable[str]) -> Asked:
    """What texts ask for; NotAskedFor, BadSessionKey."""
    asked = Asked()
    for text in texts:
        if "/" in text:
            asked.paths.append(text.strip("/"))
        elif text.isdecimal():
            year, now = int(text), datetime.now(UTC).year
            if not _FIRST <= year <= now + 1:
                raise NotAskedFor(text, f"there are seasons from {_FIRST} to {now + 1}")
            asked.years.append(year)
        elif "_" in text:
            asked.sessions.append(SessionKey.parse(text))
        else:
            raise NotAskedFor(text, "neither a year nor date, meeting and session")
    return asked


def scenarios(years: Sequence[int], keys: Sequence[SessionKey]) -> list[Scenario]:
    """Simulated races of seasons, or by their keys. Raises UnknownCircuit, NotAskedFor."""
    found = [
        Scenario(circuit, start=datetime.combine(date(year, month, 15), _START), seed=year)
        for year in years
        for circuit, month in zip(_RACES, _MONTHS, strict=True)
        if not keys
    ]
    prefix = f"{SIMULATED.lower()}-"
    for key in keys:
        if not key.meeting.startswith(prefix) or key.session != "race":
            raise NotAskedFor(str(key), f"simulated are races, {key.date}_{prefix}spa_race")
        circuit = key.meeting.removeprefix(prefix)
        start = datetime.combine(key.date, _START)
        found.append(Scenario(circuit, start=start, seed=key.date.year))
    return found


def _batches(asked: Asked) -> list[tuple[list[int], list[SessionKey], list[str]]]:
    """A batch per season, one of the sessions of each year that are named, one of paths."""
    batches: list[tuple[list[int], list[SessionKey], list[str]]] = [
        ([year], [], []) for year in sorted(set(asked.years))
    ]
    years = sorted({key.date.year for key in asked.sessions} - set(asked.years))
    batches += [
        ([year], [key for key in asked.sessions if key.date.year == year], []) for year in years
    ]
    if asked.paths:
        batches.append(([], [], asked.paths))
    return batches


def _fetched(
    settings: Settings,
    source: Source,
    years: Sequence[int],
    keys: Sequence[SessionKey],
    paths: Sequence[str],
    *,
    build: bool,
) -> HistoricalResult:
    from ngsim_assets.acquisition.observers.log import LogObserver
    from ngsim_assets.acquisition.observers.progress import showing_progress
    from ngsim_assets.f1.live.batches import HistoricalResult
    from ngsim_assets.f1.live.orchestrator import IngestionOrchestrator
    from ngsim_assets.f1.sources.places import Wanted

    wanted = Wanted(tuple(years), tuple(map(str, keys)), tuple(paths))
    orchestrator = IngestionOrchestrator(open_f1(settings), settings, tell=console.note)
    with showing_progress() as progress:
        observers: list[Observer] = [LogObserver() if settings.log == "json" else progress]
        if source == "fastf1":
            return HistoricalResult((asyncio.run(_by_fastf1(settings, wanted, observers)),), {}, ())
        return asyncio.run(
            orchestrator.run_historical_batch(
                years,
                [str(key) for key in keys],
                paths=paths,
                place=_place(settings, source, years, keys, wanted),
                historical=source == "archive",
                observers=observers,
                build=build,
            )
        )


async def _by_fastf1(
    settings: Settings, wanted: Any, observers: Sequence[Observer]
) -> IngestionResult:
    from ngsim_assets.acquisition.pipeline import AsyncETLPipeline
    from ngsim_assets.f1 import measuring
    from ngsim_assets.f1.sources.historical import HistoricalIngestor

    source = HistoricalIngestor(settings, wanted)
    with measuring.fetching(settings) as counting:
        told = [*observers, counting]
        (result,) = await AsyncETLPipeline(settings, observers=told).run([source])
    return result


def _place(
    settings: Settings,
    source: Source,
    years: Sequence[int],
    keys: Sequence[SessionKey],
    wanted: Any,
) -> Place | None:
    if source == "openf1":
        from ngsim_assets.f1.sources.openf1 import OpenF1

        return OpenF1(settings, wanted)
    if source == "simulated":
        from ngsim_assets.f1.sources.simulated import Simulated

        return Simulated(scenarios(years, keys))
    return None


def _keys(settings: Settings, results: Sequence[HistoricalResult]) -> list[SessionKey]:
    """Sessions of which something came now or earlier."""
    from ngsim_assets.f1.delivered import sessions_held

    held = set(sessions_held(open_f1(settings).store))
    told = {
        SessionKey.parse(outcome.resource.key.partition("/")[0])
        for result in results
        for fetched in result.fetched
        for outcome in fetched.outcomes
    }
    return sorted(told & held)


def _faults(results: Sequence[HistoricalResult]) -> list[str]:
    """What went wrong, in a line each; nothing of sessions that are not available."""
    faults: list[str] = []
    for result in results:
        for fetched in result.fetched:
            if fetched.source_error is not None:
                faults.append(str(fetched.source_error))
            faults += [
                f"{outcome.resource.key}: {outcome.error.problem if outcome.error else 'failed'}"
                for outcome in fetched.outcomes
                if outcome.status in {"failed", "cached", "cancelled"}
            ]
        faults += [f"{one.key}: {one.problem}" for one in result.sessions if one.became == "failed"]
    return list(dict.fromkeys(faults))


def _show(
    settings: Settings,
    asked: Asked,
    results: Sequence[HistoricalResult],
    built: Built,
    *,
    as_json: bool,
) -> None:
    platform = open_f1(settings)
    held = _keys(settings, results)
    told = {
        outcome.resource.key.partition("/")[0]
        for result in results
        for fetched in result.fetched
        for outcome in fetched.outcomes
    }
    absent = sorted({*told, *map(str, asked.sessions)} - {str(key) for key in held})
    found = overview.standings(platform, held)
    missing = {name: why for result in results for name, why in result.missing.items()}
    if as_json:
        console.print_json(
            {
                "sessions": [standing.summary() for standing in found],
                "not_available": absent,
                "not_asked": missing,
                "fetched": [one.summary() for result in results for one in result.fetched],
                **built.summary(),
            }
        )
        return
    console.print_table("Sessions", [standing.row() for standing in found])
    for key in absent[:_NAMED]:
        console.note(f"{key}: not available")
    if len(absent) > _NAMED:
        console.note(f"and {len(absent) - _NAMED} more are not available: --json names them")
    for name, why in missing.items():
        console.note(f"{name} was not asked: {why}")
