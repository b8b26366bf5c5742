"""IngestionOrchestrator: a live session received by five ingestors at once; past ones in batches.

Belongs here: what begins and ends in which order. Does not belong here: each line (receiver.py),
each ingestor (workers.py, ingestors.py), tables (live_tables.py, stages.py).
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ngsim_assets.acquisition.events import Observer
from ngsim_assets.acquisition.transfer.threads import in_thread
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.f1.errors import SessionUnknown
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.live.batches import HistoricalResult, historical_batch
from ngsim_assets.f1.live.errors import NothingReceived
from ngsim_assets.f1.live.health import LiveHealth
from ngsim_assets.f1.live.historical import first_laps
from ngsim_assets.f1.live.ingestors import LiveIngestor, SafetyCar, Telemetry, Timing, Weather
from ngsim_assets.f1.live.known import Known
from ngsim_assets.f1.live.limits import Limits
from ngsim_assets.f1.live.live_tables import LiveTables, SecondHome
from ngsim_assets.f1.live.naming import session_of
from ngsim_assets.f1.live.receiver import Receiver
from ngsim_assets.f1.live.recording import Recording
from ngsim_assets.f1.live.saved import Saved, folder_of, receiving
from ngsim_assets.f1.live.session import Historical, LiveSession
from ngsim_assets.f1.live.state import SENTENCES, Outcome
from ngsim_assets.f1.live.streams import Stream
from ngsim_assets.f1.live.workers import Worker
from ngsim_assets.f1.platform import F1Platform, alone
from ngsim_assets.f1.reading.messages import Message
from ngsim_assets.f1.sources.archive import Archive
from ngsim_assets.f1.sources.places import Place, Wanted
from ngsim_assets.f1.telemetry.buffer import Clock, WallClock
from ngsim_assets.settings import Settings

if TYPE_CHECKING:
    from ngsim_assets.f1.stages import Stored

_WATCHED = 1.0


@dataclass(frozen=True, slots=True)
class LiveResult:
    """What came of a live session.

    Attributes:
        outcome: why it is received no longer.
        health: as of the end.
        stored: what the final tables are; None where it was stopped or they could not be built.
        problem: why they could not, empty if they could or were not to be.
    """

    session: SessionKey
    outcome: Outcome
    health: LiveHealth
    stored: Stored | None = None
    problem: str = ""

    @property
    def ok(self) -> bool:
        """Whether all was well."""
        return self.health.healthy and not self.problem


class IngestionOrchestrator:
    """Receives one live session at a time.

    Args:
        second_home: where tables go besides the lake, None: files alone.
        tell: is called with a line whenever something happened.
    """

    def __init__(
        self,
        platform: F1Platform,
        settings: Settings,
        *,
        second_home: SecondHome | None = None,
        tell: Callable[[str], None] | None = None,
        clock: Clock | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._platform = platform
        self._settings = settings
        self._second_home = second_home
        self._tell = tell or _silent
        self._clock = clock or WallClock()
        self._limits = limits or Limits()
        self._live: LiveSession | None = None
        self._naming: asyncio.Task[SessionKey] | None = None
        self._stopped = False

    async def run_live_session(
        self, stream: Stream, *, session: SessionKey | None = None
    ) -> LiveResult:
        """Receive a session until it is over, its stream ends, it is stopped, or its feed dies.

        Every line is in the recording before anything is made of it. What a stop or a kill left is
        gone on with: lines of a stream of the same name that are there are not received again.
        Unless it was stopped, the recording is taken in then and the final tables take the place
        of the live ones. SIGINT and SIGTERM stop it as `stop` does.

        Args:
            session: its key, by default what its SessionInfo says.

        Raises SessionIsLive, SessionUnknown, BadState, DiskFull, ReadOnlyLake, and what the stream
        raises; what was received by then is kept.
        """
        self._stopped = False
        try:
            with self._signals():
                key = session or await self._session_of(stream)
                folder = folder_of(self._settings, key)
                with receiving(folder, str(key)):
                    live = self._live = await in_thread(self._open, folder, key, stream)
                    try:
                        outcome = await self._receive(live, stream)
                        return await self._finished(live, outcome)
                    finally:
                        await in_thread(live.close)
        finally:
            await stream.close()

    async def run_historical_batch(
        self,
        years: Sequence[int] = (),
        sessions: Sequence[str] = (),
        *,
        paths: Sequence[str] = (),
        place: Place | None = None,
        historical: bool = True,
        build: bool = True,
        observers: Sequence[Observer] = (),
    ) -> HistoricalResult:
        """Fetch sessions of the past by all five ingestors and build their tables.

        What is there already is no work, so that the same call goes on with a batch that was
        interrupted. A session of which there is nothing is that, and no failure.

        Args:
            years: seasons. sessions: keys among them, empty: all. paths: of the archive, for
                sessions that no list names.
            place: where they are, by default the archive that the settings name.
            historical: whether FastF1 is asked, too. build: tables, or only fetch.
        """
        wanted = Wanted(tuple(years), tuple(sessions), tuple(paths))
        return await historical_batch(
            self._platform,
            self._settings,
            place or Archive(self._settings, wanted),
            wanted,
            historical=historical,
            build=build,
            observers=observers,
            tell=self._tell,
        )

    def stop(self) -> None:
        """Receive no more: what came is stored, and the session can be gone on with."""
        self._stopped = True
        if self._naming is not None:
            self._naming.cancel()
        if self._live is not None:
            self._live.receiver.end("stopped")

    def get_health_status(self) -> LiveHealth | None:
        """How the session does that is received, or was last; None if none ever was."""
        return None if self._live is None else self._live.health()

    async def _session_of(self, stream: Stream) -> SessionKey:
        self._naming = asyncio.create_task(session_of(stream, self._limits.silence))
        try:
            return await self._naming
        except asyncio.CancelledError:
            if not self._stopped:
                raise
            raise SessionUnknown(stream.name, "it was stopped before it told it") from None
        finally:
            self._naming.cancel()
            self._naming = None

    def _open(self, folder: Path, key: SessionKey, stream: Stream) -> LiveSession:
        saved = Saved.read(folder)
        if saved is not None and saved.completed:
            (folder / saved.recording).unlink(missing_ok=True)  # taken in, and kept there
            saved = None
        saved = saved or Saved.new(stream.name)
        recording = Recording(folder / saved.recording)
        after = saved.received(stream.name, recording.rows)
        saved.write(folder)
        known = Known(key)
        live = LiveSession(folder, saved, recording, known, stream, after, self._clock)
        live.historical = _historical(self._platform, known)
        tables = LiveTables(
            self._platform,
            key,
            recording,
            saved.token,
            second_home=self._second_home,
            away=self._limits.away,
            aside=lambda: list(live.receiver.set_aside),
        )
        live.tables = tables
        live.workers = self._workers(live, tables)
        live.receiver = Receiver(
            known,
            recording,
            live.workers,
            limits=self._limits,
            clock=self._clock,
            tell=self._tell,
        )
        if recording.repaired:
            live.notes.append(
                f"{recording.repaired} bytes of a line cut short by a kill were dropped"
            )
        return live

    def _workers(self, live: LiveSession, tables: LiveTables) -> list[Worker]:
        known, limits = live.known, self._limits

        def again(topics: frozenset[str], up_to: int) -> AsyncGenerator[Message]:
            return live.receiver.again(topics, up_to)

        made: dict[str, tuple[frozenset[str], Callable[[], LiveIngestor]]] = {
            "timing": (Timing.topics, lambda: Timing(known)),
            "weather": (Weather.topics, lambda: Weather(known)),
            "safety_car": (SafetyCar.topics, lambda: SafetyCar(known)),
            "telemetry": (Telemetry.topics, lambda: Telemetry(known, tables.covered)),
        }
        return [
            Worker(
                name,
                topics,
                make,
                again=again,
                store=tables.store,
                bounds=limits.telemetry if name == "telemetry" else limits.tables,
                limits=limits,
                clock=self._clock,
                tell=self._tell,
            )
            for name, (topics, make) in made.items()
        ]

    async def _receive(self, live: LiveSession, stream: Stream) -> Outcome:
        """Receive it, with all ingestors at work, until there is nothing more to be done."""
        receiver = live.receiver
        tasks = {
            worker.name: asyncio.create_task(worker.run(), name=worker.name)
            for worker in live.workers
        }
        watching = asyncio.create_task(self._watch(live))
        lines = stream.lines(live.after)
        outcome: Outcome = "failed"
        try:
            if live.recording.rows:
                self._tell(f"{live.known.key}: going on after {live.recording.rows:,} lines")
            await receiver.catch_up()
            if self._stopped:
                receiver.end("stopped")
            outcome = await receiver.run(lines)
        finally:
            live.outcome = outcome
            await lines.aclose()
            # the one that looks at laps of another one ends last
            for worker in sorted(live.workers, key=lambda worker: worker.name == "safety_car"):
                worker.over = outcome not in ("stopped", "failed")
                if worker.name == "safety_car":
                    await asyncio.wait([tasks["timing"]])
                worker.inbox.close()
            await asyncio.gather(*tasks.values())
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            with suppress(NgsimAssetsError):  # a full disk is raised by who had to write
                await in_thread(live.recording.flush)
                await in_thread(live.health().write, live.folder)
        self._tell(f"{live.known.key}: {SENTENCES[outcome]}")
        return outcome

    async def _watch(self, live: LiveSession) -> None:
        """Notice what does not come, and tell how it goes."""
        limits = self._limits
        shortest = min(limits.silence, limits.to_come, limits.to_end, limits.after, limits.told)
        wait, told = min(_WATCHED, shortest / 4), self._clock.now() - limits.told
        never = asyncio.Event()
        while True:
            live.receiver.watch()
            if self._clock.now() - told >= limits.told:
                told = self._clock.now()
                with suppress(NgsimAssetsError):  # a full disk is told of by who has to write
                    await in_thread(live.health().write, live.folder)
            await self._clock.wait(never, wait)

    async def _finished(self, live: LiveSession, outcome: Outcome) -> LiveResult:
        """The final tables, but of a session that is to be gone on with."""
        key = live.known.key
        if outcome == "stopped":
            return LiveResult(key, outcome, live.health())
        await in_thread(live.recording.close)
        stored, problem = None, ""
        try:
            stored = await in_thread(self._built, live)
            live.saved.completed = outcome in ("over", "stream_ended")
            await in_thread(live.saved.write, live.folder)
        except NgsimAssetsError as error:
            problem = error.problem
            live.notes.append(f"the final tables are not built: {problem}")
            self._tell(live.notes[-1])
        await in_thread(live.health().write, live.folder)
        return LiveResult(key, outcome, live.health(), stored, problem)

    def _built(self, live: LiveSession) -> Stored:
        """The recording taken in as any file is, and the tables that are made of it."""
        from ngsim_assets.f1.stages import store_session
        from ngsim_assets.f1.taking_in import take_in

        key = live.known.key
        if not live.recording.rows:
            raise NothingReceived(str(key))
        for taken in take_in(self._settings, [live.recording.path], session=key):
            if taken.error is not None:
                raise taken.error
        with alone(self._platform, key):
            stored = store_session(self._platform, key)
            live.tables.copy_final()
        return stored

    @contextmanager
    def _signals(self) -> Generator[None]:
        """Stop on the first SIGINT or SIGTERM; the next one does what it always does."""
        loop, caught = asyncio.get_running_loop(), [signal.SIGINT, signal.SIGTERM]

        def stop() -> None:
            self._tell("stopping: what was received is being stored")
            release()
            self.stop()

        def release() -> None:
            while caught:
                loop.remove_signal_handler(caught.pop())

        try:
            for one in caught:
                loop.add_signal_handler(one, stop)
        except (NotImplementedError, RuntimeError, ValueError):  # not the main thread
            caught.clear()
        try:
            yield
        finally:
            release()


def _historical(platform: F1Platform, known: Known) -> Historical:
    """Have first laps known where the store has them; nothing of it is needed."""
    try:
        known.first_laps = first_laps(platform.store, known.key)
    except NgsimAssetsError as error:
        return Historical(error=error.problem)
    return Historical(len(known.first_laps))


def _silent(line: str) -> None:
    pass
