"""`ngsim f1 live` and `ngsim f1 health`: sessions while they go on.

Belongs here: how a session that is received is shown, and how sessions stand. Does not belong here:
receiving (live/).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ngsim_assets import console
from ngsim_assets.f1 import overview
from ngsim_assets.f1.building import Built, Runs
from ngsim_assets.f1.commands_stored import AsJson
from ngsim_assets.f1.errors import F1Error
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.platform import open_f1
from ngsim_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    from ngsim_assets.f1.live.health import LiveHealth
    from ngsim_assets.f1.live.orchestrator import LiveResult
    from ngsim_assets.f1.live.streams import Stream

_INTERRUPTED: Final = 130
_MOVING: Final = 0.5
_PLAIN: Final = 10.0
"""Seconds from one look to the next, where a table moves and where lines are written."""

MaybeSession = Annotated[
    str | None,
    typer.Argument(
        metavar="SESSION", help="Its key; by default what its SessionInfo says.", show_default=False
    ),
]


class NoSpeed(F1Error):
    """A text that is no speed."""

    exit_code = 2

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} is no speed", "say how many times as fast, 20, or max")


class NotWell(F1Error):
    """A session that was received with losses, or not to its end."""

    def __init__(self, session: str, reason: str) -> None:
        super().__init__(f"{session}: {reason}", "ngsim f1 health tells more")


class SomethingWrong(F1Error):
    """Sessions that somebody should look at."""

    def __init__(self, count: int) -> None:
        things = "1 thing is" if count == 1 else f"{count} things are"
        super().__init__(f"{things} not as it should be", "each is named above")


def add_to(app: typer.Typer, runs: Runs) -> None:
    """Register the commands of this module on `app`; `runs` runs the asset graph."""

    @app.command(epilog="Example: ngsim f1 live --replay recording.txt --speed 20")
    def live(
        session: MaybeSession = None,
        replay: Annotated[
            Path | None,
            typer.Option(
                metavar="PATH",
                help="A recording, or a folder of .jsonStream files of one session, in place of "
                "the live hub.",
            ),
        ] = None,
        speed: Annotated[
            str, typer.Option(help="Of a replay: how many times as fast as it was, or max.")
        ] = "1",
        as_json: AsJson = False,
    ) -> None:
        """Receive a session while it goes on, into a recording and the tables.

        Without --replay from the live hub, if NGSIM_F1_LIVE allows it. Everything received is on
        the disk within a second. Ctrl-C stops cleanly; after that, or after a kill, the same
        command goes on. At the end the tables are built of the whole recording, and its report.
        The exit code is 0 only if nothing was lost and nothing failed.
        """
        settings = load_settings()
        key = SessionKey.parse(session) if session is not None else None
        pace = _pace(speed)
        result = receive(settings, _stream(settings, replay, pace), key)
        if result.outcome == "stopped":
            _show(result, Built(), as_json=as_json)
            console.note(f"stopped; go on with: {_again(session, replay, speed)}")
            raise typer.Exit(_INTERRUPTED)
        built = runs.build(settings, [result.session])
        _show(result, built, as_json=as_json)
        if not result.ok or built.failed:
            reasons = [result.problem, *built.failed.values(), *result.health.sentences()[1:]]
            raise NotWell(str(result.session), "; ".join(filter(None, reasons)) or "not well")

    @app.command(epilog="Example: ngsim f1 health --json")
    def health(as_json: AsJson = False) -> None:
        """How sessions stand: those being received, those held, and what is wrong with any.

        The exit code is 1 where a session that is received lost something or died, where one that
        is held cannot be read or is out of date, and where a build failed and was not made up for.
        """
        _health(load_settings(), as_json=as_json)


def receive(settings: Settings, stream: Stream, session: SessionKey | None) -> LiveResult:
    """Receive a session and show how it goes."""
    from ngsim_assets.f1.live.orchestrator import IngestionOrchestrator

    orchestrator = IngestionOrchestrator(
        open_f1(settings), settings, second_home=_second_home(settings), tell=console.note
    )
    with console.moving_table() as show:
        every = _PLAIN if show is None else _MOVING

        def seen(health: LiveHealth) -> None:
            if show is None:
                console.note(_line(health))
            else:
                show(_line(health), _ingestors(health))

        return asyncio.run(_received(orchestrator, stream, session, seen, every))


async def _received(
    orchestrator: Any,
    stream: Stream,
    session: SessionKey | None,
    seen: Callable[[LiveHealth], None],
    every: float,
) -> LiveResult:
    receiving = asyncio.create_task(orchestrator.run_live_session(stream, session=session))
    try:
        while not receiving.done():
            await asyncio.wait({receiving}, timeout=every)
            health = orchestrator.get_health_status()
            if health is not None and not receiving.done():
                seen(health)
        return await receiving
    finally:
        if not receiving.done():
            receiving.cancel()
            with suppress(asyncio.CancelledError):
                await receiving


def _stream(settings: Settings, path: Path | None, speed: float | None) -> Stream:
    if path is not None:
        from ngsim_assets.f1.live.replay import replay

        return replay(path, speed)
    from ngsim_assets.f1.live.hub import Hub

    return Hub(settings)


def _second_home(settings: Settings) -> Any:
    """Where tables go besides the lake, None where there is none."""
    if settings.postgres_dsn is None:
        return None
    from ngsim_assets.f1.second_home import second_home

    return second_home(settings)


def _pace(text: str) -> float | None:
    """`20` as a number, None for `max`."""
    if text == "max":
        return None
    with suppress(ValueError):
        speed = float(text.removesuffix("x"))
        if 0 < speed < float("inf"):
            return speed
    raise NoSpeed(text)


def _again(session: str | None, path: Path | None, speed: str) -> str:
    """The command that goes on."""
    parts = ["ngsim f1 live", session or ""]
    if path is not None:
        parts += [f"--replay '{path}'", f"--speed {speed}" if speed != "1" else ""]
    return " ".join(filter(None, parts))


def _line(health: LiveHealth) -> str:
    """A session in a line: where it stands and how much came."""
    dropped = sum(one.dropped for one in health.ingestors)
    rows = sum(sum(one.rows.values()) for one in health.ingestors)
    parts = [
        f"{health.session} {health.state.value}{', suspended' if health.suspended else ''}",
        f"{health.clock[11:19]} UTC" if health.clock else "",
        f"lap {health.lap}" if health.lap else "",
        f"{health.messages:,} messages",
        f"{rows:,} rows",
        f"{dropped:,} dropped",
    ]
    return ", ".join(filter(None, parts))


def _ingestors(health: LiveHealth) -> list[dict[str, object]]:
    return [
        {
            "ingestor": one.name,
            "status": one.status,
            "messages": one.messages,
            "rows": sum(one.rows.values()),
            "waiting": one.waiting,
            "dropped": one.dropped,
            "set aside": sum(one.aside.values()),
            "": one.last_error,
        }
        for one in health.ingestors
    ]


def _show(result: LiveResult, built: Built, *, as_json: bool) -> None:
    if as_json:
        told = {"session": str(result.session), "outcome": result.outcome, "ok": result.ok}
        more = {"problem": result.problem, "health": result.health.summary()}
        console.print_json({**told, **more, **built.summary()})
        return
    console.print_table(_line(result.health), _ingestors(result.health))
    for sentence in result.health.sentences()[1:]:
        console.note(sentence)


def _health(settings: Settings, *, as_json: bool) -> None:
    from ngsim_assets.f1.live.health import read_health

    platform = open_f1(settings)
    with console.working("looking at sessions"):
        live = read_health(settings)
        held = overview.standings(platform, overview.known_sessions(platform))
    failed = overview.failed_builds(settings)
    wrong = [
        *(f"{one.session}: {'; '.join(one.sentences()[1:])}" for one in live if not one.healthy),
        *(f"{one.key}: {one.told}" for one in held if not one.up_to_date),
        *(f"{one.recording} {one.step} failed: {one.cause}" for one in failed),
    ]
    if as_json:
        console.print_json(
            {
                "healthy": not wrong,
                "wrong": wrong,
                "live": [one.summary() for one in live],
                "sessions": [one.summary() for one in held],
                "failed_builds": [one.summary() for one in failed],
            }
        )
    else:
        under_way = [one for one in live if one.alive and one.outcome is None]
        console.print_table("Being received", [_live_row(one) for one in under_way])
        stopped = [one for one in live if one not in under_way and one.outcome != "over"]
        if stopped:
            console.print_table("Received in part", [_live_row(one) for one in stopped])
        console.print_table("Held", _counts(held))
        for line in wrong:
            console.out.print(line, markup=False, soft_wrap=True)
    if wrong:
        raise SomethingWrong(len(wrong))
    console.note("all is well")


def _live_row(health: LiveHealth) -> dict[str, object]:
    return {
        "session": health.session,
        "state": health.state.value,
        "lines": health.lines,
        "rows": sum(sum(one.rows.values()) for one in health.ingestors),
        "dropped": sum(one.dropped for one in health.ingestors),
        "seconds ago": max(0, round(time.time() - _seconds(health.written))),
        "": "; ".join(health.sentences()[1:]),
    }


def _seconds(written: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(written).timestamp()


def _counts(held: Sequence[overview.Standing]) -> list[Mapping[str, object]]:
    """How many sessions, rows and what is out of date, in one line."""
    if not held:
        return []
    rows = sum(sum(one.rows.values()) for one in held)
    scores = [one.score for one in held if one.score is not None]
    return [
        {
            "sessions": len(held),
            "rows": rows,
            "up to date": sum(one.up_to_date for one in held),
            "out of date": sum(bool(one.late) for one in held),
            "unreadable": sum(bool(one.fault) for one in held),
            "lowest score": min(scores, default=None),
        }
    ]
