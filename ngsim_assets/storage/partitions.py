"""Names of partitions: which columns name one, and which values can name a folder."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ngsim_assets.storage.errors import InvalidPartition
from ngsim_assets.storage.schema import Table

_VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
"""Values that are the same in a folder name, in the Delta log and in SQL: nothing to escape."""


def checked(table: Table, partition: Mapping[str, str]) -> dict[str, str]:
    """The partition in the order of the table's folders.

    InvalidPartition if it lacks an identity column, has an unknown one, or has a value that
    cannot name a folder.
    """
    problems = [
        f"{name} is no partition column" for name in partition if name not in table.partition_by
    ]
    problems += [f"{name} is not given" for name in table.identity if name not in partition]
    problems += [
        f"{name} cannot be {value!r}"
        for name, value in partition.items()
        if not _VALUE.fullmatch(str(value))
    ]
    if problems:
        raise InvalidPartition(table.name, partition, "; ".join(problems))
    return {name: str(partition[name]) for name in table.partition_by if name in partition}


def identity_of(table: Table, partition: Mapping[str, str]) -> dict[str, str]:
    """The columns that name the partition; replacing it replaces every folder with them."""
    return {name: partition[name] for name in table.identity}
