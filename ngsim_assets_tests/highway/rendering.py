"""Rows rendered as files would spell them: the inverse of the reader, for the tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

import polars as pl
from hypothesis import strategies as st

from ngsim_assets.highway.formats import BATCH_SCHEMA, LOCATIONS, decimals_of, largest_of

NULLS = ("", "NA", "n/a", "NaN", "null", "None")


def decimal_text(value: int, decimals: int, printed: int | None = None) -> str:
    """An unscaled integer as decimal text; `printed` decimals, or as few as it needs."""
    whole, part = divmod(abs(value), 10**decimals)
    digits = f"{part:0{decimals}d}" if decimals else ""
    digits = digits.rstrip("0") if printed is None else digits.ljust(printed, "0")[:printed]
    return ("-" if value < 0 else "") + str(whole) + (f".{digits}" if digits else "")


def grouped(text: str) -> str:
    """The same number with thousands separators."""
    whole, point, part = text.removeprefix("-").partition(".")
    return ("-" if text.startswith("-") else "") + f"{int(whole):,}" + point + part


def any_spelling(column: str, value: object, separator: str, chance: Random) -> str:
    """One cell in one of the spellings this value may have between these separators."""
    blanks = separator == " "
    if value is None:
        text = chance.choice(NULLS[1:] if blanks else NULLS)
    elif isinstance(value, int):
        decimals = decimals_of(column)
        text = decimal_text(value, decimals, chance.choice((None, decimals, decimals + 2)))
        if not blanks and chance.random() < 0.5:
            text = f'"{grouped(text)}"'
        elif value >= 0 and chance.random() < 0.2:
            text = f"+{text}"
    else:
        text = chance.choice((str(value), str(value).upper(), str(value).title()))
    if blanks:
        return text
    if not text.startswith('"') and chance.random() < 0.3:
        text = f'"{text}"'
    return chance.choice(("", " ", "\t")) + text + chance.choice(("", "  "))


@st.composite
def rows_of(draw: st.DrawFn, columns: Sequence[str], most: int = 4) -> list[dict[str, object]]:
    """Rows over these columns: any value each can hold, or null; the first one is usable."""
    made: list[dict[str, object]] = []
    for _ in range(draw(st.integers(1, most))):
        row: dict[str, object] = {}
        for column in columns:
            if column == "location":
                row[column] = draw(st.sampled_from([*LOCATIONS.categories, None]))
            else:
                large = largest_of(column)
                number = st.integers(-large, large) | st.integers(-99_999, 99_999)
                row[column] = draw(st.none() | number)
        made.append(row)
    made[0] |= {
        "vehicle_id": 7,
        "frame_id": 12,
        "global_time": 1118846980200,
        "local_x": 16467,
        "local_y": -35381,
    }
    return made


def expected(rows: Sequence[Mapping[str, object]], first_line: int = 1) -> pl.DataFrame:
    """The frame a reader must give for these rows, none of which was unreadable."""
    return pl.DataFrame(
        {
            column: [
                line if column == "source_row" else row.get(column)
                for line, row in enumerate(rows, start=first_line)
            ]
            for column in BATCH_SCHEMA
        },
        schema=BATCH_SCHEMA,
    )
