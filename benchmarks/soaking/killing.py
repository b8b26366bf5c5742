"""`ngsim` in processes that can be killed at a chosen moment.

Belongs here: starting the command, SIGKILL by the clock or before its n-th change of the data
folder. Does not belong here: what is asked for, what must hold afterwards.

Processes are forked from one that has imported everything but used nothing, so that a moment is
one of the work and not of three seconds of imports.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

PRELOADED = [
    "ngsim_assets.cli",
    "ngsim_assets.definitions",
    "ngsim_assets.highway.plots",
    "deltalake",
    "benchmarks.soaking.killing",
]
_PATIENCE = 180.0
"""Seconds after which a command that nobody kills hangs."""

# what changes files, of what Python tells its audit hooks; the clock finds the moments inside
# SQLite, Arrow and the Delta library
_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate", "os.utime"}


@dataclass(frozen=True)
class Moment:
    """When to kill: after `seconds`, or just before the `change`-th change; neither: never."""

    seconds: float | None = None
    change: int | None = None

    def __str__(self) -> str:
        if self.seconds is not None:
            return f"after {self.seconds:.2f} s"
        return "not" if self.change is None else f"before change {self.change}"


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: exit code, negative signal. said: what it printed. seconds: how long it ran.
        hung: whether it had to be killed after `_PATIENCE`.
    """

    code: int
    said: str
    seconds: float
    hung: bool = False

    @property
    def killed(self) -> bool:
        """Whether SIGKILL ended it."""
        return self.code == -signal.SIGKILL


class Commands:
    """Runs `ngsim` on one data folder.

    `environment` is set in each process. Without `pictures` reports are made without them, which
    take most of the time and hold no rows.
    """

    def __init__(self, data: Path, environment: dict[str, str], *, pictures: bool) -> None:
        self._data = data
        self._environment = environment
        self._pictures = pictures
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)

    def run(self, arguments: Sequence[str], moment: Moment = Moment()) -> Ended:
        """Run the command, killed at `moment` if it still runs then."""
        output = self._data.with_name(f"{self._data.name}.out")
        process = self._context.Process(
            target=_work,
            args=(
                list(arguments),
                self._environment,
                output,
                str(self._data),
                moment.change,
                self._pictures,
            ),
        )
        began = time.perf_counter()
        process.start()
        process.join(_PATIENCE if moment.seconds is None else moment.seconds)
        hung = process.is_alive() and moment.seconds is None
        if process.is_alive():
            process.kill()
            process.join()
        seconds = time.perf_counter() - began
        code = 0 if process.exitcode is None else process.exitcode
        return Ended(code, output.read_text(errors="replace"), seconds, hung)


def _work(
    arguments: list[str],
    environment: dict[str, str],
    output: Path,
    data: str,
    change: int | None,
    pictures: bool,
) -> None:
    """The entry point of `ngsim`, in a forked process."""
    os.environ.update(environment)
    written = os.open(output, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(written, 1)
    os.dup2(written, 2)
    if not pictures:
        from ngsim_assets.highway import plots

        plots.recording_figures = lambda *_: []
    if change is not None:
        _die_before(change, data)
    sys.argv = ["ngsim", *arguments]
    from ngsim_assets.cli import main

    main()


def _die_before(change: int, data: str) -> None:
    """Have this process killed just before it changes the folder `data` for the n-th time."""
    left = change

    def seen(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        writes = event in _CHANGES or (event == "open" and _writes(arguments))
        if writes and arguments and os.fspath(str(arguments[0])).startswith(data):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(seen)


def _writes(arguments: tuple[object, ...]) -> bool:
    flags = arguments[2] if len(arguments) > 2 else 0
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))
