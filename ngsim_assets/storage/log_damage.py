"""What is wrong with a Delta log that cannot be read, and what can be done about it.

Belongs here: finding the file at fault and the way on. Does not belong here: reading a log that
is whole (delta.py, records.py), damaged data files (verify.py).

Checkpoints are copies of what the commits say, and the Delta library writes them without having
them put on the disk: after a power cut one can be empty or torn. As long as every commit is there
nothing is lost with it.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ngsim_assets.storage.errors import DamagedFile

_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint(\..+)?\.parquet")
_COMMIT = re.compile(r"(\d{20})\.json")
_HINT = "_last_checkpoint"


def drop_damaged_checkpoints(log: Path) -> bool:
    """Remove checkpoints that cannot be read; whether there were any and no commit is missing."""
    commits = _commits(log)
    if not commits or set(commits) != set(range(max(commits) + 1)):
        return False
    damaged = [path for path in _checkpoints(log) if not _is_readable(path)]
    hint = log / _HINT
    if hint.exists() and not _names_one(hint, [p for p in _checkpoints(log) if p not in damaged]):
        damaged.append(hint)
    with suppress(OSError):  # of a lake that cannot be written to, the error tells what to remove
        for path in damaged:
            path.unlink(missing_ok=True)
        return bool(damaged)
    return False


def log_damage(table: str, log: Path, error: Exception) -> DamagedFile:
    """The file that keeps the log from being read, with what to do; `log` itself if none does."""
    for path in _checkpoints(log):
        if not _is_readable(path):
            return DamagedFile(table, path, "it is no checkpoint", f"remove it and {log / _HINT}")
    commits = _commits(log)
    torn = next((n for n in sorted(commits, reverse=True) if not _is_whole(commits[n])), None)
    if torn is not None and torn == max(commits):
        fix = (
            "put it back from a backup, or move it aside: the table then is what it was before"
            " that commit"
        )
        return DamagedFile(table, commits[torn], "it ends too early", fix)
    missing = sorted(set(range(max(commits, default=-1) + 1)) - set(commits))
    at_fault = torn if torn is not None else missing[-1] if missing else None
    if at_fault is not None:
        path = log / f"{at_fault:020}.json"
        problem = "it is missing" if torn is None else "it is no commit"
        fix = f"put it back from a backup, or move {log.parent} aside and rebuild the table"
        return DamagedFile(table, path, problem, fix)
    fix = f"put it back from a backup, or move {log.parent} aside and rebuild the table"
    return DamagedFile(table, log, str(error).splitlines()[0], fix)


def _commits(log: Path) -> dict[int, Path]:
    found = ((path, _COMMIT.fullmatch(path.name)) for path in log.iterdir())
    return {int(match[1]): path for path, match in found if match}


def _checkpoints(log: Path) -> list[Path]:
    return sorted(path for path in log.iterdir() if _CHECKPOINT.fullmatch(path.name))


def _is_readable(checkpoint: Path) -> bool:
    try:
        pq.read_metadata(checkpoint)
    except (OSError, pa.ArrowException):
        return False
    return True


def _names_one(hint: Path, checkpoints: list[Path]) -> bool:
    """Whether the library's note of the newest checkpoint names one of these."""
    try:
        version = json.loads(hint.read_bytes())["version"]
        return any(path.name.startswith(f"{version:020}.") for path in checkpoints)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _is_whole(commit: Path) -> bool:
    try:
        return all(json.loads(line) for line in commit.read_bytes().splitlines())
    except (OSError, ValueError):
        return False
