"""Pages of rows on disk, and the one file they become.

Belongs here: keeping pages until all are there, cutting unchanged ones out of the file of an
earlier download, putting them together under one header. Does not belong here: queries
(queries.py), requests (paging.py).

A page lies under its fingerprint, which differs wherever its rows do: one that is there need not
be fetched, whichever process fetched it and when. Of the finished file an index tells where each
page is in it, so that a later download takes from it what has not changed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from ngsim_assets.highway.formats import REQUIRED, canonical_column
from ngsim_assets.highway.official.counting import Lines
from ngsim_assets.highway.official.errors import (
    OtherHeader,
    PortalError,
    RowsMissing,
    TruncatedAnswer,
)
from ngsim_assets.highway.official.queries import Page
from ngsim_assets.storage.atomic import write_atomically
from ngsim_assets.storage.errors import writing

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Index:
    """Where the pages of a finished file are in it.

    Attributes:
        sha256: of the file. header: its first line, with its end. places: first byte and bytes of
            each page's rows, by fingerprint.
    """

    sha256: str = ""
    header: bytes = b""
    places: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])

    @classmethod
    def read(cls, path: Path) -> Index:
        """The index at `path`; an empty one if there is none that can be used."""
        try:
            found = json.loads(path.read_bytes())
            if found["format"] != _FORMAT:
                return cls()
            places = {name: (int(at), int(size)) for name, (at, size) in found["places"].items()}
            return cls(str(found["sha256"]), bytes.fromhex(found["header"]), places)
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return cls()  # it only spares requests

    def write(self, path: Path) -> None:
        """Put it at `path`, whole or not at all."""
        told = {"format": _FORMAT, "sha256": self.sha256, "header": self.header.hex()}
        write_atomically(path, json.dumps({**told, "places": self.places}))


class PageFolder:
    """Pages that are complete, in `folder`; `url` is what errors name."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._url = url

    def path(self, page: Page) -> Path:
        """Where `page` lies, or would."""
        return self._folder / f"{page.fingerprint}.csv"

    def has(self, page: Page) -> bool:
        """Whether `page` is there."""
        return self.path(page).exists()

    def size(self, pages: Iterable[Page]) -> int:
        """Bytes of `pages`, all of which are there."""
        return sum(self.path(page).stat().st_size for page in pages)

    def keep(self, page: Page, body: bytes) -> None:
        """Keep a body as `page`, if it is all of it.

        Raises OtherHeader, TruncatedAnswer, RowsMissing.
        """
        lines = Lines()
        lines.add(body)
        refuse_other_content(self._url, page.name, lines.header)
        if lines.rows >= page.limit:
            raise TruncatedAnswer(self._url, page.name, page.limit)
        if lines.rows != page.rows:
            raise RowsMissing(self._url, page.name, lines.rows, page.rows)
        write_atomically(self.path(page), body)

    def keep_from(self, page: Page, index: Index, file: BinaryIO) -> bool:
        """Take `page` out of an earlier file, if it is in there as it is now."""
        place = index.places.get(page.fingerprint)
        if place is None:
            return False
        file.seek(place[0])
        rows = file.read(place[1])
        if len(rows) != place[1] or rows.count(b"\n") != page.rows:
            return False
        try:
            self.keep(page, index.header + rows)
        except PortalError:  # the index is of something else
            return False
        return True

    def put_together(self, pages: Sequence[Page], target: Path) -> Index:
        """Write all pages to `target` under one header, in their order; no hash is told.

        Raises OtherHeader, where pages differ in it.
        """
        header, at = b"", 0
        places: dict[str, tuple[int, int]] = {}
        with writing(target), target.open("wb") as file:
            for page in pages:
                body = self.path(page).read_bytes()
                first, _, rows = body.partition(b"\n")
                if not header:
                    header = first + b"\n"
                    at = file.write(header)
                elif first + b"\n" != header:
                    found, expected = (text.decode(errors="replace") for text in (first, header))
                    raise OtherHeader(self._url, page.name, found, expected.strip())
                if rows and not rows.endswith(b"\n"):
                    rows += b"\n"
                file.write(rows)
                places[page.fingerprint] = (at, len(rows))
                at += len(rows)
            file.flush()
            os.fsync(file.fileno())
        return Index("", header, places)


def refuse_other_content(url: str, what: str, header: str) -> None:
    """OtherHeader where the columns are not there without which a row says nothing."""
    named = {canonical_column(cell.strip('"')) for cell in header.split(",")}
    if not named.issuperset(REQUIRED):
        raise OtherHeader(url, what, header, ",".join(REQUIRED))
