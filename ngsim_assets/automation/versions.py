"""Data versions: what a partition holds, and what it was made of.

Every materialization carries `<content>.<origin>`. The content stands for the rows; the origin
for the code, the parameters and the contents of all inputs they came out of. Both together let
anyone who sees only versions, as automation does, tell for certain whether a table is up to date:
it is where its origin is the one it would have if it were built now.

A table that was rolled back is told as `<content>.<origin>.<mark>`, with the origin it would have
now: it stays as it is while its inputs stay as they are, and what hangs on it is rebuilt.

    recipe = recipe_of(code_version, parameters)
    origin = origin_of(recipe, {"f1_feeds": content})
    str(DataVersion(content_of(commit.content), origin))

Belongs here: how versions are made and read. Does not belong here: which asset is built from which
and by which parameters (a domain's data_versions.py), who compares them (conditions.py), the
versions of tables (storage/versions.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ngsim_assets.acquisition.content import Content

NOTHING = Content().digest
"""Content of what no file delivers any more; what is stored of it stays, nothing is built of it."""

_DIGITS = 20


class DataVersion(NamedTuple):
    """A data version in its parts; `origin` and `mark` are empty where it has none."""

    content: str
    origin: str = ""
    mark: str = ""

    @classmethod
    def parse(cls, text: str) -> DataVersion:
        """The parts of any data version; one that is not ours is all content."""
        content, _, rest = text.partition(".")
        origin, _, mark = rest.partition(".")
        return cls(content, origin, mark)

    def __str__(self) -> str:
        return ".".join(part for part in self if part)


def digest_of(parts: Iterable[str]) -> str:
    """One hash for texts in their order."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:_DIGITS]


def content_of(hashes: Iterable[str]) -> str:
    """One hash for the hashes of a partition's files."""
    return digest_of(hashes)


def recipe_of(code_version: str, parameters: Mapping[str, object]) -> str:
    """Code and parameters by which an asset is built, as one."""
    if not parameters:
        return code_version
    return f"{code_version} {digest_of([json.dumps(parameters, sort_keys=True)])}"


def origin_of(recipe: str, inputs: Mapping[str, str]) -> str:
    """What comes out of this recipe and these contents of the assets it is built from."""
    return digest_of([recipe, *(f"{name}={inputs[name]}" for name in sorted(inputs))])


def combined(contents: Mapping[str, str]) -> str:
    """One content for many partitions, as an asset sees them that is built from all of them."""
    return digest_of(f"{partition}={contents[partition]}" for partition in sorted(contents))
