"""A process that writes laps and stops in the middle of them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from itertools import count

import polars as pl
from pydantic import SecretStr

from ngsim_assets.storage.postgres.sink import PostgresSink
from ngsim_assets_tests.storage.postgres.tables import KEY, LAPS, PARTITION, laps


def main(dsn: str, schema: str) -> None:
    """Replace the partition; the second reading stops half-way, with rows sent."""
    calls = count()

    def rows() -> Iterator[pl.DataFrame]:
        is_sending = next(calls) > 0
        yield laps(5_000, time=2.0)
        if is_sending:
            sys.stdout.write("half\n")
            sys.stdout.flush()
            time.sleep(60)

    with PostgresSink(SecretStr(dsn), schema=schema, small=0) as sink:
        sink.prepare(LAPS, KEY)
        sink.write(LAPS, PARTITION, rows, replaces=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
