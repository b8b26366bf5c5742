"""What happens to the files of an incoming folder over months, as a seeded sequence.

Belongs here: which files there are, what each holds, and the next thing that happens to one.
Does not belong here: taking them in, what the tables must then hold.
"""

from __future__ import annotations

import gzip
import hashlib
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from pathlib import Path

import polars as pl

from ngsim_assets.highway.simulate import Scenario, simulate
from ngsim_assets.highway.simulation.write_source import LayoutName, write_source
from ngsim_assets.highway.sites import SITES

RECORDINGS = (("us-101", 0), ("us-101", 1), ("i-80", 0))
"""Site and place among its official recordings: few, so that files meet in them."""

_VEHICLES = 6
_SHORTEST, _LONGEST = 8, 30  # frames
_ONE_FOOT_HUNDREDTH = 10  # in units of 0.001 ft, as delivered
_MOST_FILES = 6


@dataclass(frozen=True)
class Rows:
    """Rows of one recording: the first `frames` of it, with `revision` values corrected."""

    recording: int
    frames: int
    revision: int = 0


@dataclass(frozen=True)
class Form:
    """How rows are written down; `order` is the seed of their order, None as recorded."""

    layout: LayoutName
    order: int | None = None


@dataclass(frozen=True)
class Delivered:
    """What a file holds. Without rows it is bad: `refused` are its bytes."""

    rows: tuple[Rows, ...]
    form: Form = Form("export")
    refused: bytes = b""

    @property
    def is_good(self) -> bool:
        """Whether it can be taken in."""
        return bool(self.rows)


@dataclass
class Incoming:
    """Files of a folder, what each holds, and every good content there ever was.

    Attributes:
        files: by name. archive: folder with each good content once, by its SHA-256.
        held: SHA-256 of every good content that a name has held, in order.
    """

    folder: Path
    archive: Path
    chance: random.Random
    files: dict[str, Delivered] = field(default_factory=dict)
    held: dict[str, list[str]] = field(default_factory=dict)
    _number: int = 0

    def next_event(self) -> str:
        """Let one thing happen to one file; returns what it was."""
        what = self._one_event()
        for name, sha256 in self.good().items():
            past = self.held.setdefault(name, [])
            if past[-1:] != [sha256]:
                past.append(sha256)
        return what

    def _one_event(self) -> str:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.archive.mkdir(parents=True, exist_ok=True)
        if not self._good():
            return self._new()
        events: list[tuple[int, Callable[[], str]]] = [
            (4 if len(self._good()) < _MOST_FILES else 0, self._new),
            (3, self._grown),
            (3, self._corrected),
            (1, self._replaced),
            (2, self._another_form),
            (2, self._copied),
            (2, self._renamed),
            (1, self._deleted),
            (1, self._bad),
            (1, self._spoiled),
            (1, self._touched),
            (1, self._archived_form),
        ]
        weights = [weight for weight, _ in events]
        return self.chance.choices([event for _, event in events], weights)[0]()

    def sha256_of(self, name: str) -> str:
        """Of the bytes the file holds now, unpacked."""
        return hashlib.sha256(contents(self.files[name])).hexdigest()

    def good(self) -> dict[str, str]:
        """SHA-256 of the unpacked content of every file that can be taken in, by name."""
        return {name: self.sha256_of(name) for name in self._good()}

    def bad(self) -> list[str]:
        """Names of the files that cannot be taken in."""
        return [name for name, held in self.files.items() if not held.is_good]

    def forget_moved(self) -> None:
        """Bad files that were moved out of the folder are there no more."""
        for name in self.bad():
            if not (self.folder / name).exists():
                del self.files[name]

    def _good(self) -> list[str]:
        return sorted(name for name, held in self.files.items() if held.is_good)

    def _alone(self) -> list[str]:
        """Good files whose content no other file holds."""
        held = list(self.good().values())
        return [name for name, sha256 in self.good().items() if held.count(sha256) == 1]

    def _pick(self) -> str:
        return self.chance.choice(self._good())

    def _name(self, suffix: str) -> str:
        self._number += 1
        # not in the order of their making, which is not the order they are found in either
        return f"{self.chance.choice('abcdef')}-{self._number:03}{suffix}"

    def _put(self, name: str, held: Delivered) -> None:
        self.files[name] = held
        path = self.folder / name
        if held.is_good:
            kept = self.archive / f"{hashlib.sha256(contents(held)).hexdigest()}.csv"
            if not kept.exists():
                kept.write_bytes(contents(held))
        aside = path.with_name(f".{name}.part")
        aside.write_bytes(_packed(held, name))
        aside.replace(path)

    def _anything(self) -> Delivered:
        many = self.chance.random() < 0.3
        wanted = self.chance.sample(range(len(RECORDINGS)), 2 if many else 1)
        rows = tuple(Rows(one, self.chance.randint(_SHORTEST, 16)) for one in wanted)
        return Delivered(rows, self._form(rows))

    def _new(self) -> str:
        name = self._name(".csv")
        self._put(name, self._anything())
        return f"new {name}"

    def _replaced(self) -> str:
        name = self._pick()
        self._put(name, self._anything())
        return f"replaced {name} by other rows"

    def _form(self, rows: tuple[Rows, ...]) -> Form:
        # only the export says of each row where it was; the others hold one recording
        layouts: tuple[LayoutName, ...] = (
            ("export",) if len(rows) > 1 else ("export", "text", "csv")
        )
        order = self.chance.randint(0, 99) if self.chance.random() < 0.5 else None
        return Form(self.chance.choice(layouts), order)

    def _changed(self, name: str, **how: int) -> None:
        held = self.files[name]
        place = self.chance.randrange(len(held.rows))
        rows = tuple(replace(r, **how) if n == place else r for n, r in enumerate(held.rows))
        self._put(name, replace(held, rows=rows))

    def _grown(self) -> str:
        name = self._pick()
        held = self.files[name]
        rows = tuple(
            replace(part, frames=min(_LONGEST, part.frames + self.chance.randint(1, 6)))
            for part in held.rows
        )
        self._put(name, replace(held, rows=rows))
        return f"grown {name}"

    def _corrected(self) -> str:
        name = self._pick()
        self._changed(name, revision=self.chance.randint(1, 9))
        return f"corrected {name}"

    def _another_form(self) -> str:
        name = self._pick()
        held = self.files[name]
        self._put(name, replace(held, form=self._form(held.rows)))
        return f"same rows in another form {name}"

    def _archived_form(self) -> str:
        held = self.files[self._pick()]
        name = self._name(".csv.gz")
        self._put(name, replace(held, form=self._form(held.rows)))
        return f"same rows packed {name}"

    def _copied(self) -> str:
        source = self._pick()
        name = self._name(_suffix(source))
        self._put(name, self.files[source])
        return f"copied {source} to {name}"

    def _renamed(self) -> str:
        alone = self._alone()
        if not alone:
            return self._touched()
        source = self.chance.choice(alone)
        name = self._name(_suffix(source))
        (self.folder / source).rename(self.folder / name)
        self.files[name] = self.files.pop(source)
        return f"renamed {source} to {name}"

    def _deleted(self) -> str:
        alone = self._alone()
        if len(alone) < 3:
            return self._new()
        name = self.chance.choice(alone)
        (self.folder / name).unlink()
        del self.files[name]
        return f"deleted {name}"

    def _bad(self) -> str:
        name = self._name(".csv")
        self._put(name, Delivered((), refused=self._refused()))
        return f"bad {name}"

    def _spoiled(self) -> str:
        alone = self._alone()
        if not alone:
            return self._bad()
        name = self.chance.choice(alone)
        self._put(name, Delivered((), refused=self._refused()))
        return f"overwritten by bad {name}"

    def _refused(self) -> bytes:
        number = self.chance.randint(0, 10**6)
        return self.chance.choice(
            (b"", f"lane closures, {number}\n".encode() * 30, bytes(range(128, 256)) * 40)
        )

    def _touched(self) -> str:
        name = self._pick()
        (self.folder / name).touch()
        return f"touched {name}"


@cache
def contents(held: Delivered) -> bytes:
    """The bytes of what a file holds, unpacked."""
    if not held.is_good:
        return held.refused
    rows = pl.concat([_rows(part) for part in held.rows])
    with tempfile.TemporaryDirectory() as folder:
        written = write_source(
            rows, Path(folder, "rows.csv"), held.form.layout, shuffle=held.form.order
        )
        return written.path.read_bytes()


def _packed(held: Delivered, name: str) -> bytes:
    return gzip.compress(contents(held), mtime=0) if name.endswith(".gz") else contents(held)


def _rows(part: Rows) -> pl.DataFrame:
    whole = _recording(*RECORDINGS[part.recording])
    first = int(whole["frame_id"].min() or 0)  # pyright: ignore[reportArgumentType]
    rows = whole.filter(pl.col("frame_id") < first + part.frames)
    corrected = pl.int_range(pl.len()) == (17 * part.revision) % pl.len()
    moved = pl.col("local_y") + _ONE_FOOT_HUNDREDTH * part.revision
    return rows.with_columns(
        pl.when(corrected).then(moved).otherwise("local_y").alias("local_y"),
    )


@cache
def _recording(site: str, number: int) -> pl.DataFrame:
    start: datetime = SITES[site].recordings[number].start
    made = simulate(Scenario(site, start, minutes=0.1, seed=number + 1)).recording
    chosen = made["vehicle_id"].unique(maintain_order=True).head(_VEHICLES)
    return made.filter(pl.col("vehicle_id").is_in(chosen.to_list()))


def _suffix(name: str) -> str:
    return ".csv.gz" if name.endswith(".gz") else ".csv"
