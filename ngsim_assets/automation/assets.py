"""What assets of every domain tell Dagster alike: columns, code, which errors are worth a retry.

Belongs here: a declared table as Dagster's catalog shows it, retries of steps. Does not belong
here: any asset (a domain's assets.py).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Any

import dagster as dg

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.storage.errors import ConflictingWrite, DiskFull
from ngsim_assets.storage.schema import Table, documentation_of

RETRY = dg.RetryPolicy(
    max_retries=2, delay=2, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
)
"""Steps that failed at the same moment do not come back at the same moment."""

# What may have passed by the next try: another writer, a full disk that is being cleared.
_PASSING = (ConflictingWrite, DiskFull)


def column_schema(table: Table, columns: Iterable[str] | None = None) -> dg.TableSchema:
    """Columns of `table` as Dagster's catalog shows them: type, unit, meaning; all or some."""
    wanted = set(table.columns if columns is None else columns)
    return dg.TableSchema(
        [
            dg.TableColumn(
                name=row["column"],
                type=row["type"],
                description=f"{row['description']} [{row['unit']}]"
                if row["unit"]
                else row["description"],
                constraints=dg.TableColumnConstraints(nullable=row["nullable"]),
            )
            for row in documentation_of(table)
            if row["column"] in wanted
        ]
    )


def code_of(function: Callable[..., Any]) -> dg.CodeReferencesMetadataValue:
    """Where the work of an asset is written down, for the UI to open."""
    place = dg.LocalFileCodeReference(
        file_path=inspect.getfile(function), line_number=function.__code__.co_firstlineno
    )
    return dg.CodeReferencesMetadataValue(code_references=[place])


@contextmanager
def not_tried_in_vain() -> Generator[None]:
    """What is wrong with the data or the settings is wrong at the next try, too."""
    try:
        yield
    except _PASSING:
        raise
    except NgsimAssetsError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
