"""What is remembered of a downloaded resource: its contents, newest first, and its columns.

Belongs here: the records, how they are read and written, what follows from them. Does not belong
here: where they lie and who may change them (store.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ngsim_assets.acquisition.errors import DamagedRecord
from ngsim_assets.acquisition.sources import Artifact, Column, Resource

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FORMAT = 1

_SECRET = re.compile(
    r"cookie|auth|token|key|secret|passw|signature|credential|session", re.IGNORECASE
)
_ADDRESSES = frozenset({"location", "content-location", "link", "refresh"})


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file of a content; see Artifact."""

    name: str
    sha256: str
    bytes: int
    url: str
    fetched_at: datetime
    rows: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class KeptContent:
    """What a resource was at one time.

    Attributes:
        version, rows: as described. schema_version: of its columns, 0 if not declared.
        fetched_at: when it was complete. files: all of it.
    """

    version: str
    fetched_at: datetime
    files: tuple[KeptFile, ...]
    rows: int | None = None
    schema_version: int = 0

    @property
    def identity(self) -> tuple[tuple[str, str], ...]:
        """Differs where the files do."""
        return tuple(sorted((file.name, file.sha256) for file in self.files))


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """When a resource could not be had, and why: kind of the error, what it says, what helps."""

    time: datetime
    error: str
    problem: str
    fix: str


@dataclass(frozen=True, slots=True)
class KnownSchema:
    """A set of columns that a resource has had, and when it was first seen."""

    number: int
    columns: tuple[Column, ...]
    since: datetime


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """Columns of a resource beside those it had: `number` counts the sets, 0: not declared."""

    number: int
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    retyped: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What changed, for people; empty where nothing did."""
        parts = [
            f"{verb} {', '.join(names)}"
            for verb, names in (
                ("new:", self.added),
                ("gone:", self.removed),
                ("of another type:", self.retyped),
            )
            if names
        ]
        return f"its columns changed, schema version {self.number}; {'; '.join(parts)}" * bool(
            parts
        )


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that is remembered of a resource.

    Attributes:
        contents: newest first; none if it was never fetched. schemas: by number.
        checked_at: when its publisher was last found to have nothing newer than the first of them.
        failure: of the last attempt, if that failed.
    """

    source: str
    key: str
    url: str
    labels: Mapping[str, str]
    checked_at: datetime
    contents: tuple[KeptContent, ...]
    schemas: tuple[KnownSchema, ...] = ()
    failure: FailedAttempt | None = None
    format: int = FORMAT

    @property
    def resource(self) -> Resource:
        """What it is of."""
        return Resource(self.source, self.key, self.url, self.labels)

    def schema_change(self, columns: Sequence[Column]) -> SchemaChange:
        """What `columns` are beside those of the newest content; a set keeps its number."""
        if not columns:
            return SchemaChange(0)
        known = {_as_set(schema.columns): schema.number for schema in self.schemas}
        number = known.get(_as_set(columns), len(self.schemas) + 1)
        last = self.contents[0].schema_version if self.contents else 0
        before = next((item.columns for item in self.schemas if item.number == last), None)
        if before is None:
            return SchemaChange(number)
        old, new = _types(before), _types(columns)
        return SchemaChange(
            number,
            added=tuple(name for name in new if name not in old),
            removed=tuple(name for name in old if name not in new),
            retyped=tuple(name for name in new if name in old and old[name] != new[name]),
        )

    def with_content(self, content: KeptContent, columns: Sequence[Column]) -> Manifest:
        """With `content` as the newest; the same files again are no new content."""
        schemas = self.schemas
        if content.schema_version > len(schemas):
            schema = KnownSchema(content.schema_version, tuple(columns), content.fetched_at)
            schemas = (*schemas, schema)
        earlier = self.contents
        if earlier and earlier[0].identity == content.identity:
            content = replace(content, fetched_at=earlier[0].fetched_at)
            earlier = earlier[1:]
        return replace(self, contents=(content, *earlier), schemas=schemas)


def new_manifest(resource: Resource, now: datetime) -> Manifest:
    """What is remembered of a resource that was never fetched."""
    return Manifest(
        resource.source, resource.key, resource.url, dict(resource.labels), now, contents=()
    )


def kept_file(artifact: Artifact) -> KeptFile:
    """What is remembered of `artifact`."""
    return KeptFile(
        name=artifact.name,
        sha256=artifact.sha256,
        bytes=artifact.bytes,
        url=artifact.url,
        fetched_at=artifact.fetched_at,
        rows=artifact.rows,
        headers=kept_headers(artifact.headers),
    )


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers of a response as they may be written down: no cookies, secrets or addresses."""
    lower = {name.lower(): value for name, value in headers.items()}
    return {
        name: value
        for name, value in lower.items()
        if name not in _ADDRESSES and not _SECRET.search(name)
    }


def read_manifest(path: Path) -> Manifest | None:
    """The manifest at `path`, None if there is none; DamagedRecord if it is not one."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DamagedRecord(path, error.strerror or type(error).__name__) from error
    try:
        found = json.loads(text)
        version = found.get("format") if isinstance(found, dict) else None
        if version != FORMAT:
            raise DamagedRecord(path, f"format {version!r}, {FORMAT} can be read")
        return _adapter().validate_json(text)
    except ValueError as error:
        raise DamagedRecord(path, str(error)) from None


def written_manifest(manifest: Manifest) -> bytes:
    """`manifest` as it is written."""
    return _adapter().dump_json(manifest, indent=1)


@cache
def _adapter() -> TypeAdapter[Manifest]:
    from pydantic import TypeAdapter

    return TypeAdapter(Manifest)


def _as_set(columns: Sequence[Column]) -> frozenset[Column]:
    return frozenset(columns)


def _types(columns: Sequence[Column]) -> dict[str, str]:
    return {column.name: column.type for column in columns}
