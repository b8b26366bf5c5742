"""How a column of a table looks in PostgreSQL, and its values on the way there and back.

Belongs here: the type per polars type, values as COPY's CSV has them, values as they are read.
Does not belong here: connections, statements on tables.

Every value comes back as it was sent. What has no exact form (nanoseconds, the character NUL) is
refused, not rounded or replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO

import polars as pl

from ngsim_assets.storage.postgres.errors import TextWithNul, UnstorableColumn
from ngsim_assets.storage.schema import Table

MISSING = "\\N"
"""A null in COPY's CSV: unquoted, as no text ever is."""

_SCALARS: dict[pl.DataType, str] = {
    pl.Boolean(): "boolean",
    pl.Int8(): "smallint",
    pl.Int16(): "smallint",
    pl.Int32(): "integer",
    pl.Int64(): "bigint",
    pl.UInt8(): "smallint",
    pl.UInt16(): "integer",
    pl.UInt32(): "bigint",
    pl.UInt64(): "numeric(20,0)",
    pl.Float32(): "real",
    pl.Float64(): "double precision",
    pl.String(): "text",
}
_IN_LISTS = (pl.Boolean(), pl.String())


@dataclass(frozen=True)
class Form:
    """One column in PostgreSQL.

    Attributes:
        sql: its type, spelled as `format_type` spells it.
        sent: the column as COPY gets it.
        read: expression of SQL over `{}`, the column, that COPY sends back; null stays null.
        kept: the column, in its own type, from the text that `read` gives.
    """

    sql: str
    sent: Callable[[pl.Expr], pl.Expr]
    read: str
    kept: Callable[[pl.Expr], pl.Expr]


def forms_of(table: Table) -> dict[str, Form]:
    """The form of every column; UnstorableColumn names one that has none."""
    found: dict[str, Form] = {}
    for name, dtype in table.schema.items():
        form = _form(dtype)
        if form is None:
            raise UnstorableColumn(table.name, name, str(dtype))
        found[name] = form
    return found


def sent(forms: Mapping[str, Form], rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with every value as it is sent."""
    return rows.select(form.sent(pl.col(name)).alias(name) for name, form in forms.items())


def csv_of(table: str, rows: pl.DataFrame) -> bytes:
    """Rows of `sent` as COPY reads them: FORMAT csv, NULL '\\N'.

    TextWithNul where there is text that PostgreSQL cannot have.
    """
    text = rows.write_csv(
        include_header=False,
        quote_style="non_numeric",
        null_value=MISSING,
        datetime_format="%Y-%m-%d %H:%M:%S%.6f+00",
    )
    lines = text.encode()
    if b"\0" in lines:
        _refuse_nul(table, rows)
    return lines


def frame_of(table: Table, forms: Mapping[str, Form], lines: bytes) -> pl.DataFrame:
    """Rows from what COPY sent back: FORMAT csv, NULL '', every column as `Form.read` has it."""
    if not lines:
        return table.schema.to_frame()
    texts = pl.read_csv(
        BytesIO(lines), has_header=False, infer_schema=False, new_columns=list(forms)
    )
    return texts.select(
        form.kept(pl.col(name)).cast(table.schema[name]).alias(name) for name, form in forms.items()
    )


def _form(dtype: pl.DataType) -> Form | None:
    if isinstance(dtype, pl.List):
        return _list(dtype)
    if isinstance(dtype, pl.Datetime):
        return _moment(dtype)
    if isinstance(dtype, pl.Duration):
        return _span(dtype)
    if isinstance(dtype, pl.Decimal):
        return _number(dtype, f"numeric({dtype.precision or 38},{dtype.scale})")
    if dtype in _OTHERS:
        return _OTHERS[dtype]
    return _number(dtype, _SCALARS[dtype]) if dtype in _SCALARS else None


def _number(dtype: pl.DataType, sql: str) -> Form:
    return Form(sql, _same, "{}::text", lambda text: text.cast(dtype))


def _moment(dtype: pl.Datetime) -> Form | None:
    if dtype.time_unit == "ns":
        return None
    zone = dtype.time_zone
    return Form(
        "timestamp with time zone" if zone else "timestamp without time zone",
        (lambda column: column.dt.convert_time_zone("UTC")) if zone else _same,
        "(extract(epoch FROM {}) * 1000000)::bigint",
        lambda text: _utc(text.cast(pl.Int64).cast(pl.Datetime("us")), zone),
    )


def _utc(moment: pl.Expr, zone: str | None) -> pl.Expr:
    return moment.dt.replace_time_zone("UTC").dt.convert_time_zone(zone) if zone else moment


def _span(dtype: pl.Duration) -> Form | None:
    if dtype.time_unit == "ns":
        return None
    return Form(
        "interval",
        lambda column: pl.format(
            "{} microseconds", column.cast(pl.Duration("us")).dt.total_microseconds()
        ),
        "(extract(epoch FROM {}) * 1000000)::bigint",
        lambda text: text.cast(pl.Int64).cast(pl.Duration("us")),
    )


def _list(dtype: pl.List) -> Form | None:
    inner = pl.Series(dtype=dtype).list.explode().dtype
    if inner not in _SCALARS or not (inner.is_numeric() or inner in _IN_LISTS):
        return None
    element = pl.element()
    if inner == pl.String():
        escaped = element.str.replace_all("\\", "\\\\", literal=True)
        item = pl.format('"{}"', escaped.str.replace_all('"', '\\"', literal=True))
    else:
        item = element.cast(pl.String)
    kept = element == "true" if inner == pl.Boolean() else element.cast(inner)
    return Form(
        f"{_SCALARS[inner]}[]",
        lambda column: "{" + column.list.eval(item.fill_null("NULL")).list.join(",") + "}",
        "to_json({}::text[])::text",
        lambda text: text.str.json_decode(pl.List(pl.String())).list.eval(kept),
    )


def _same(column: pl.Expr) -> pl.Expr:
    return column


# a mark before every text tells an empty one from a null
_OTHERS: dict[pl.DataType, Form] = {
    pl.Boolean(): Form("boolean", _same, "{}::text", lambda text: text == "true"),
    pl.String(): Form("text", _same, "'=' || {}", lambda text: text.str.slice(1)),
    pl.Binary(): Form(
        "bytea",
        lambda column: pl.format("\\x{}", column.bin.encode("hex")),
        "'=' || encode({}, 'hex')",
        lambda text: text.str.slice(1).str.decode("hex"),
    ),
    pl.Date(): Form(
        "date",
        _same,
        "({} - DATE '1970-01-01')::text",
        lambda text: text.cast(pl.Int32).cast(pl.Date),
    ),
}


def _refuse_nul(table: str, rows: pl.DataFrame) -> None:
    for name, dtype in rows.schema.items():
        if dtype == pl.String():
            count = int(rows.get_column(name).str.contains("\0", literal=True).sum())
            if count:
                raise TextWithNul(table, name, count)
