"""Sessions of the past in batches: fetched by all five ingestors, then made to tables one by one.

Belongs here: which sessions, in which order, and what came of each. Does not belong here: fetching
(acquisition/pipeline.py, sources/), tables (stages.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from ngsim_assets.acquisition.events import Observer
from ngsim_assets.acquisition.results import IngestionResult
from ngsim_assets.acquisition.sources import AsyncDataSource
from ngsim_assets.acquisition.transfer.threads import in_thread
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.f1.errors import NothingDeliveredOf
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.platform import F1Platform, alone
from ngsim_assets.f1.sources.errors import FastF1Missing
from ngsim_assets.f1.sources.historical import HistoricalIngestor
from ngsim_assets.f1.sources.places import Place, Wanted
from ngsim_assets.f1.sources.safety_car import SafetyCarIngestor
from ngsim_assets.f1.sources.simulated import Simulated
from ngsim_assets.f1.sources.telemetry import TelemetryIngestor
from ngsim_assets.f1.sources.timing import TimingIngestor
from ngsim_assets.f1.sources.weather import WeatherIngestor
from ngsim_assets.settings import Settings

if TYPE_CHECKING:
    from ngsim_assets.f1.stages import Stored

_WELL: Final = ("fetched", "unchanged", "cached")

Became = Literal["stored", "unchanged", "not_available", "failed"]


@dataclass(frozen=True, slots=True)
class Session:
    """What became of one session.

    Attributes:
        became: not_available: its sources have nothing of it, which is no failure.
        stored: None unless there is something of it. problem: why it failed.
    """

    key: SessionKey
    became: Became
    stored: Stored | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class HistoricalResult:
    """What came of a batch.

    Attributes:
        fetched: result of each ingestor. missing: why an ingestor could not be asked, by its name.
        sessions: by key.
    """

    fetched: tuple[IngestionResult, ...]
    missing: dict[str, str]
    sessions: tuple[Session, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        fetched = all(result.status in _WELL for result in self.fetched)
        return fetched and all(session.became != "failed" for session in self.sessions)


async def historical_batch(
    platform: F1Platform,
    settings: Settings,
    place: Place,
    wanted: Wanted,
    *,
    historical: bool = True,
    build: bool = True,
    observers: Sequence[Observer] = (),
    tell: Callable[[str], None],
) -> HistoricalResult:
    """Fetch the sessions of a place and build their tables; what is there already is no work.

    A batch that was interrupted is gone on with by the same call.

    Args:
        historical: whether FastF1 is asked, too: of seasons, and of simulated sessions.
        build: or only fetch.
    """
    from ngsim_assets.acquisition.pipeline import AsyncETLPipeline
    from ngsim_assets.f1 import measuring

    sources: list[AsyncDataSource] = [
        TimingIngestor(settings, place),
        WeatherIngestor(settings, place),
        SafetyCarIngestor(settings, place),
        TelemetryIngestor(settings, place),
    ]
    missing: dict[str, str] = {}
    if historical and (isinstance(place, Simulated) or wanted.years):
        scenarios = place.scenarios if isinstance(place, Simulated) else ()
        try:
            sources.append(HistoricalIngestor(settings, wanted, simulated=scenarios))
        except FastF1Missing as error:
            missing[HistoricalIngestor.name] = error.problem
    with measuring.fetching(settings) as counting:
        fetched = await AsyncETLPipeline(settings, observers=[*observers, counting]).run(sources)
    keys = sorted({key for result in fetched for key in _sessions(result)})
    done: list[Session] = []
    for number, key in enumerate(keys if build else [], start=1):
        session = await in_thread(_built, platform, key)
        tell(f"{number}/{len(keys)} {key}: {session.became.replace('_', ' ')} {session.problem}")
        done.append(session)
    return HistoricalResult(tuple(fetched), missing, tuple(done))


def _sessions(result: IngestionResult) -> list[SessionKey]:
    keys = (outcome.resource.key.partition("/")[0] for outcome in result.outcomes)
    return [SessionKey.parse(key) for key in keys]


def _built(platform: F1Platform, key: SessionKey) -> Session:
    from ngsim_assets.f1.stages import store_session

    try:
        with alone(platform, key):
            stored = store_session(platform, key)
    except NothingDeliveredOf:
        return Session(key, "not_available")
    except NgsimAssetsError as error:
        return Session(key, "failed", problem=error.problem)
    return Session(key, "unchanged" if stored.up_to_date else "stored", stored)
