"""Builds that failed and have not succeeded since: what somebody has to look at.

Belongs here: the record of them, below `NGSIM_DATA`, where everything that builds writes and
everything that tells people reads. Does not belong here: how a failure is noticed (sensors.py).

A file per recording and step, so that writers need no lock, what is mended is one file less, and
what cannot be read concerns nothing else.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from pydantic import TypeAdapter

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.settings import Settings
from ngsim_assets.storage.atomic import write_atomically
from ngsim_assets.storage.errors import writing

_LONGEST_CAUSE = 600
_SHOWN = 5
_CHECK_FAILED = "DagsterAssetCheckFailedError"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

NOTHING_LEFT_FAILED = "nothing_left_failed"
"""Name of the asset check that stands for every remembered failure."""

CHECKS = "_checks"
"""Ends the name of the step that holds a table to its checks; before it stands the table's."""

UNKNOWN_STEP = "run"
"""Stands for the step of a run that ended without saying where it was."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A build that failed and has not succeeded since.

    Attributes:
        recording: partition key, empty for what concerns all recordings.
        step: that failed, UNKNOWN_STEP where the run did not say.
        cause: one line. run_id: of the last try. time: of its end. attempts: failed in a row.
    """

    recording: str
    step: str
    cause: str
    run_id: str
    time: datetime
    attempts: int = 1

    @property
    def subject(self) -> str:
        """What failed, for people: `us-101|2005-06-15T0750 validation`, or the step alone."""
        return f"{self.recording} {self.step}".strip()

    def summary(self) -> dict[str, object]:
        """For machines: everything, as plain values."""
        return {**asdict(self), "time": self.time.isoformat()}


class RunError(Protocol):
    """An error as a run records it: its kind, `Kind: message`, and what it came from."""

    @property
    def cls_name(self) -> str | None:
        """Name of its class."""
        ...

    @property
    def message(self) -> str:
        """Its kind and what it says."""
        ...

    @property
    def cause(self) -> RunError | None:
        """The error it was raised from."""
        ...


def record(settings: Settings, failure: Failure) -> Failure:
    """Remember a failed build, counting on from what is remembered of it.

    The same run told twice counts once. Raises DiskFull or ReadOnlyLake.
    """
    path = _path(settings, failure.recording, failure.step)
    before = _read(path) if path.exists() else None
    if before is not None and before.run_id == failure.run_id:
        return before
    counted = replace(failure, attempts=1 + (before.attempts if before else 0))
    write_atomically(path, json.dumps(counted.summary(), indent=1, ensure_ascii=False))
    return counted


def standing(settings: Settings) -> list[Failure]:
    """Every remembered failure, by recording and step; one that cannot be read says so."""
    found: list[Failure] = []
    for path in sorted(settings.failures.glob("[!.]*.json")):
        try:
            failure = _read(path)
        except FileNotFoundError:
            continue  # mended meanwhile
        if failure is None:
            moment = datetime.fromtimestamp(0, UTC)
            failure = Failure("", path.stem, f"{path} cannot be read: delete it", "", moment)
        found.append(failure)
    return sorted(found, key=lambda failure: (failure.recording, failure.step))


def resolve(settings: Settings, recording: str, steps: Collection[str]) -> list[Failure]:
    """Forget the failures of `steps` of a recording, which have now succeeded; returns them.

    A run that ended without saying where it was is made up for by any that succeeds.
    """
    resolved: list[Failure] = []
    for failure in standing(settings):
        if failure.recording == recording and (
            failure.step in steps or failure.step == UNKNOWN_STEP
        ):
            path = _path(settings, recording, failure.step)
            with writing(path):
                path.unlink(missing_ok=True)
            resolved.append(failure)
    return resolved


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether anything is left failed, in one line, and how much."""

    passed: bool
    detail: str
    failed: int


def finding(settings: Settings) -> Finding:
    """What the standing check says: no build is left failed, or which are."""
    left = standing(settings)
    if not left:
        return Finding(True, "nothing is left failed", 0)
    shown = "; ".join(f"{failure.subject}: {failure.cause}" for failure in left[:_SHOWN])
    more = f"; and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
    return Finding(False, f"{len(left)} left failed: {shown}{more}", len(left))


def cause_of(error: RunError | None, run_id: str, refused: Mapping[str, str] | None = None) -> str:
    """Why a step failed, in one line.

    What the first of our own errors says that it was raised from, since that names the fix; the
    kind and message of the innermost error where none is ours.

    Args:
        refused: blocking checks that the run did not pass, and what each found.
    """
    if refused and error is not None and error.cls_name == _CHECK_FAILED:
        return "; ".join(f"{name}: {found}" for name, found in refused.items())[:_LONGEST_CAUSE]
    ours = {kind.__name__ for kind in _subclasses(NgsimAssetsError)} | {"Failure"}
    innermost: RunError | None = None
    while error is not None:
        innermost = error
        if error.cls_name in ours:
            break
        error = error.cause
    if innermost is None:
        return f"run {run_id} tells no reason"
    text = _COLOUR.sub("", " ".join(innermost.message.split()))
    kind, _, message = text.partition(": ")
    told = message[:_LONGEST_CAUSE]
    return told if error is not None else f"{kind}: {told}; the traceback is with run {run_id}"


def _subclasses(kind: type[NgsimAssetsError]) -> Iterator[type[NgsimAssetsError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _subclasses(child)


def _path(settings: Settings, recording: str, step: str) -> Path:
    # the hash keeps apart what the readable part writes alike
    readable = re.sub(r"[^\w.-]+", "_", f"{recording or 'all'}_{step}", flags=re.ASCII)[:100]
    digest = hashlib.sha256(f"{recording}\0{step}".encode()).hexdigest()[:8]
    return settings.failures / f"{readable}_{digest}.json"


def _read(path: Path) -> Failure | None:
    """The failure at `path`, None if it is no record of one; FileNotFoundError if it is gone."""
    try:
        return TypeAdapter(Failure).validate_json(path.read_bytes())
    except FileNotFoundError:
        raise
    except (OSError, ValueError):
        return None
