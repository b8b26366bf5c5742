"""The data portal: where things are, and what it says of the dataset.

Belongs here: addresses, and the portal's description of the dataset as values. Does not belong
here: asking for them (source.py), queries for rows (queries.py).

Forms: the portal is Socrata's; https://dev.socrata.com documents it. Attachments have no size and
no time, only an id that is another one for other bytes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ngsim_assets.acquisition.sources import Column
from ngsim_assets.highway.formats import DELIVERED, canonical_column
from ngsim_assets.highway.official.errors import NoAttachment, UnreadableAnswer

DATASET = "8ect-6jqj"
"""Next Generation Simulation (NGSIM) Vehicle Trajectories, doi:10.21949/1504477."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the dataset is on `portal`, `https://data.transportation.gov`."""

    portal: str

    @property
    def view(self) -> str:
        """Description of the dataset."""
        return f"{self._root}/api/views/{DATASET}"

    @property
    def export(self) -> str:
        """Everything in one file."""
        return f"{self.view}/rows.csv?accessType=DOWNLOAD"

    @property
    def rows(self) -> str:
        """Rows by query, as CSV."""
        return f"{self._root}/resource/{DATASET}.csv"

    @property
    def figures(self) -> str:
        """The same queries, answered as JSON."""
        return f"{self._root}/resource/{DATASET}.json"

    def attachment(self, asset_id: str, name: str) -> str:
        """An attached file."""
        return f"{self.view}/files/{quote(asset_id)}?download=true&filename={quote(name)}"

    @property
    def _root(self) -> str:
        return self.portal.rstrip("/")


@dataclass(frozen=True, slots=True)
class Attached:
    """A file attached to the dataset. `version` differs wherever its bytes do."""

    name: str
    asset_id: str
    version: str
    size: int | None = None


@dataclass(frozen=True, slots=True)
class View:
    """What the portal says of the dataset.

    Attributes:
        url: that said it. rows_updated_at: seconds since 1970 when any row last changed.
        columns: as published. attachments: as far as they can be fetched.
    """

    url: str
    rows_updated_at: int
    columns: tuple[Column, ...]
    attachments: tuple[Attached, ...]

    def attached(self, name: str) -> Attached:
        """The attachment `name`: by its very name, or the only one that begins with it.

        Raises NoAttachment. A copy that was attached again is often called `name (1).zip`.
        """
        wanted = name.lower().removesuffix(".zip")
        for found in self.attachments:
            if found.name.lower().removesuffix(".zip") == wanted:
                return found
        like = [found for found in self.attachments if found.name.lower().startswith(wanted)]
        if len(like) != 1:
            raise NoAttachment(self.url, name, [found.name for found in self.attachments])
        return like[0]

    def unfamiliar(self) -> list[str]:
        """What is unusual about its columns, a sentence each."""
        names = [column.name for column in self.columns]
        known = {name: canonical_column(name) for name in names}
        new = [name for name, canonical in known.items() if canonical is None]
        told: list[str] = []
        if new:
            told.append(f"the portal has columns that are not read: {', '.join(new)}")
        return [*told, *_gone(set(known.values()))]


def _gone(there: Collection[str | None]) -> list[str]:
    gone = [name for name in DELIVERED if name not in there]
    return [f"the portal has these columns no longer: {', '.join(gone)}"] if gone else []


def view_of(document: object, url: str) -> View:
    """The description in a JSON document of the portal. Raises UnreadableAnswer."""
    try:
        found = _Document.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "it"
        raise UnreadableAnswer(url, f"{place}: {first['msg']}") from None
    return View(
        url,
        found.rows_updated_at,
        tuple(
            Column(column.field_name, column.type)
            for column in found.columns
            if not column.field_name.startswith(":")  # the portal's own, not in any file
        ),
        tuple(
            Attached(each.filename, each.asset_id, each.version, each.size)
            for each in found.metadata.attachments
            if each.asset_id and each.filename
        ),
    )


class _Form(BaseModel):
    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)


class _Column(_Form):
    field_name: str = Field(alias="fieldName")
    type: str = Field(alias="dataTypeName")


class _Attachment(_Form):
    filename: str = ""
    asset_id: str = Field("", alias="assetId")
    size: int | None = None
    updated_at: str = Field("", alias="updatedAt")

    @property
    def version(self) -> str:
        told = ("" if self.size is None else str(self.size), self.updated_at)
        return "-".join((self.asset_id, *filter(None, told)))


class _Metadata(_Form):
    attachments: list[_Attachment] = []


class _Document(_Form):
    rows_updated_at: int = Field(alias="rowsUpdatedAt")
    columns: list[_Column] = Field(min_length=1)
    metadata: _Metadata = _Metadata()
