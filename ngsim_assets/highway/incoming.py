"""The incoming folder: what has changed in it, and taking that in.

Belongs here: what the watched folder means for recordings. Does not belong here: how changes
are noticed and remembered (acquisition/incremental.py), Dagster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from ngsim_assets.acquisition.incremental import (
    Changes,
    Gone,
    IncrementalLoader,
    Loaded,
    Postponed,
)
from ngsim_assets.acquisition.landing import LandingZone, absolute
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway import intake
from ngsim_assets.highway.arrival.file_intake import Progress
from ngsim_assets.highway.errors import ReaderFault
from ngsim_assets.highway.intake import Intake, Rejected
from ngsim_assets.highway.stages import Platform
from ngsim_assets.settings import BadSetting, Settings

__all__ = ["Changes", "Gone", "Postponed", "changes", "load"]

# The truth and the labels that a simulation writes beside its file: for scores, not to be taken in.
_BESIDE_SIMULATED = (".truth.parquet", ".labels.parquet")


def changes(settings: Settings, last_seen: Mapping[str, str] | None = None) -> Changes:
    """What is new, changed or gone in the incoming folder; stats files and reads none.

    Args:
        last_seen: `unsure` of the look before: files whose times lie in the future are ready
            when they look the same again.

    Raises BadSetting if the folder is not one that can be watched.
    """
    return _loader(settings, LandingZone(settings.landing)).changes(last_seen)


def load(
    platform: Platform,
    settings: Settings,
    *,
    progress: Progress | None = None,
    on_wait: Callable[[str], None] = lambda why: None,
) -> Iterator[Intake | Rejected | Gone | Postponed]:
    """Take in what is new or changed in the incoming folder, file by file.

    A file counts as finished when the next result is asked for. Whoever registers the `keys` of
    an Intake before that misses none when killed: the next call hands over again what was not
    finished. Refused files are moved to `settings.rejected` (Rejected.aside). Nothing is deleted
    for a Gone; a Postponed file is left for the next call.

    Args:
        progress: called after every batch of rows. on_wait: told why, before waiting.

    Raises BadSetting, and DiskFull, ReadOnlyLake, DamagedManifest where the landing zone cannot
    be used.
    """
    landing = platform.landing

    def take_in(path: Path) -> Iterator[Intake | Rejected]:
        try:
            yield from intake.take_in_all([path], landing, progress=progress)
        except (NgsimAssetsError, OSError, MemoryError):
            raise
        except Exception as error:  # one file that nobody foresaw must not hold up all others
            fault = ReaderFault(str(path), error)
            fault.__cause__ = error
            if path.is_file():
                landing.reject(path, fault)
            yield Rejected(path, path.name, fault)

    loader = _loader(settings, landing)
    for event in loader.load(take_in, _refusal, on_wait=on_wait):
        if isinstance(event, Loaded):
            yield from _results(event, landing)
        else:
            yield event


def _results(
    loaded: Loaded[Intake | Rejected], landing: LandingZone
) -> Iterator[Intake | Rejected]:
    for result in loaded.results:
        yield replace(result, aside=loaded.aside) if isinstance(result, Rejected) else result
    told = {
        key for r in loaded.results if isinstance(r, Intake) for key in (*r.partitions, *r.touched)
    }
    touched = (loaded.lost & set(landing.partitions())) - told if loaded.lost else frozenset()
    if touched:
        note = "an earlier attempt to take it in was interrupted"
        yield Intake(
            loaded.path, loaded.path.name, 0, changed=True, note=note, touched=frozenset(touched)
        )


def _refusal(result: Intake | Rejected) -> NgsimAssetsError | None:
    return result.error if isinstance(result, Rejected) else None


def _loader(settings: Settings, landing: LandingZone) -> IncrementalLoader:
    root = settings.incoming_folder
    _refuse_own_folders(settings, Path(absolute(root)))
    return IncrementalLoader(
        root,
        landing,
        settle=settings.settle,
        aside=settings.rejected,
        options={"reader": intake.READER},
        ignored=lambda name: name.endswith(_BESIDE_SIMULATED),
    )


def _refuse_own_folders(settings: Settings, root: Path) -> None:
    """BadSetting if taking in `root` would take in, or move, what the platform wrote."""
    for name in ("landing", "lake", "reports", "rejected", "dagster_home", "downloads", "metrics"):
        own = Path(absolute(getattr(settings, name)))
        if own.is_relative_to(root) or root.is_relative_to(own):
            reason = f"the platform keeps its own files there ({own})"
            raise BadSetting("NGSIM_INCOMING", str(root), reason)
