"""A file among those that are kept by their content: whether one can be called so, what it is.

Belongs here: what is asked of one file. Does not belong here: where files are kept, who may put
them there (store.py).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ngsim_assets.acquisition.errors import UnusableName
from ngsim_assets.acquisition.sources import Artifact


@dataclass(frozen=True, slots=True)
class Stored:
    """A file in its place under `objects`."""

    path: Path
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class DamagedObject:
    """A kept file whose bytes are not those it is named for. `found`: their SHA-256 or a reason."""

    path: Path
    found: str


def damage_of(path: Path) -> DamagedObject | None:
    """Read and hash a kept file; None if it is what it was, or gone."""
    try:
        found = hash_of(path)
    except FileNotFoundError:
        return None  # swept meanwhile
    except OSError as error:
        found = error.strerror or type(error).__name__
    return None if found == path.parent.name else DamagedObject(path, found)


def is_in_place(artifact: Artifact) -> bool:
    """Whether its file is there, in its size."""
    try:
        return artifact.path.stat().st_size == artifact.bytes
    except OSError:
        return False


def hash_of(path: Path) -> str:
    """SHA-256 of the file at `path`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_file_name(name: str) -> None:
    """UnusableName unless a file can be called so."""
    if not name or name.startswith(".") or len(name.encode(errors="replace")) > 200:
        raise UnusableName(name, "it is empty, hidden, or longer than 200 bytes")
    if "/" in name or not name.isprintable():
        raise UnusableName(name, "it holds a / or what cannot be printed")
