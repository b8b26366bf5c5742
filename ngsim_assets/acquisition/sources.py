"""What a source of data is: it discovers resources, describes them, fetches artifacts.

Belongs here: the abstract source and the values that pass between a source and the pipeline.
Does not belong here: HTTP (transfer/), where artifacts are kept (store.py), who runs sources
(pipeline.py), any source of a domain.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import SecretStr

    from ngsim_assets.acquisition.session import Session


@dataclass(frozen=True, slots=True)
class Resource:
    """Something a source can fetch.

    Attributes:
        source: name of the source that offers it.
        key: names it within the source, the same at every discovery: `us-101/zip`. Letters,
            digits, `. _ -` and `/`.
        url: where it is; never with a secret in it.
        labels: what metrics and logs call it beside its source, `{"highway": "us-101"}`.
    """

    source: str
    key: str
    url: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Column:
    """A column that a resource says it has: name and type in the words of its publisher."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Description:
    """What is known of a resource before its bytes are asked for.

    Attributes:
        version: differs wherever the content does, as the publisher has it: an ETag, the time of
            the last update, an asset id. Empty: not known, so it is fetched to find out.
        size: bytes, None if not known. sha256: hex, or the first digits of it; empty if not known.
        rows: of data, None if not known.
        columns: as the publisher declares them; empty if it does not. Another set of columns is
            another schema version of the resource.
    """

    version: str = ""
    size: int | None = None
    sha256: str = ""
    rows: int | None = None
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that was fetched, complete, checked and in its final place.

    Attributes:
        resource: it is of. name: for people, `US-101-LosAngeles-CA.zip`. path: where it lies.
        sha256: hex, of all its bytes. bytes: its size. rows: of data, None if not counted.
        url: it came from, after redirects. headers: of the response, names in lower case, without
            cookies. fetched_at: UTC. version: see Description.
        schema_version: counts the sets of columns that the resource has had, from 1; 0 if its
            columns are not declared.
    """

    resource: Resource
    name: str
    path: Path
    sha256: str
    bytes: int
    url: str
    fetched_at: datetime
    rows: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    version: str = ""
    schema_version: int = 0


class AsyncDataSource(ABC):
    """A place that data comes from.

    A source says where things are and what they should be; requests, retries, resuming, checking
    and keeping are the session's. Its methods raise `AcquisitionError`s; the pipeline turns
    them into the result of this source and goes on with the others.
    """

    name: str

    def secrets(self) -> Mapping[str, Mapping[str, SecretStr]]:
        """Headers that only one host gets, by host and port: `{"example.org": {"X-Token": …}}`."""
        return {}

    @abstractmethod
    def discover(self, session: Session) -> AsyncIterator[Resource]:
        """Everything that the source offers now."""

    @abstractmethod
    async def describe(self, session: Session, resource: Resource) -> Description:
        """What `resource` is now, at the cost of its metadata only."""

    @abstractmethod
    def fetch(
        self, session: Session, resource: Resource, description: Description
    ) -> AsyncIterator[Artifact]:
        """The files of `resource`; called where they are not held in this version already."""
