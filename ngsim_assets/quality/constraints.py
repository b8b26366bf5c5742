"""Pydantic constraints compiled to Polars: the model is the only place a range is written.

Belongs here: what a field's annotation says about its values, as rules over whole columns,
row by row equal to what Pydantic says of the same values. Does not belong here: any model.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types as at
import polars as pl
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ngsim_assets.quality.rules import Rule


@dataclass(frozen=True, slots=True)
class Source:
    """Where a constraint's numbers come from, given as `Annotated[..., Source(...)]`."""

    text: str


class UncompilableConstraint(TypeError):
    """A model holds a constraint that has no column form, so rules and model would disagree."""

    def __init__(self, field: str, constraint: object) -> None:
        self.field = field
        self.constraint = constraint
        super().__init__(
            f"{field}: {constraint!r} has no column form; state it as a bound, a Literal, a "
            "length or a pattern, or as a rule beside the model"
        )


@dataclass(frozen=True)
class _Field:
    """What the annotation of one field says, flattened out of unions and nested Annotated."""

    name: str
    nullable: bool
    is_float: bool
    is_list: bool
    literals: tuple[object, ...]
    metadata: tuple[object, ...]
    source: str | None


def constraint_rules(
    model: type[BaseModel],
    *,
    fields: Collection[str] | None = None,
    severity: Literal["reject", "flag"] = "reject",
) -> list[Rule]:
    """The constraints of `model` as rules over a frame with the model's columns.

    Understood are Ge, Gt, Le, Lt, MinLen, MaxLen, pattern, allow_inf_nan, Literal, and whether
    None is allowed; NaN breaks every bound, as it does in Pydantic. Column types are not
    judged, a frame has them by its schema.

    Args:
        fields: only these, by default all.
        severity: of every rule made.

    Returns:
        Rules named after the field and what is wrong with it: `speed_missing`, `speed_below`,
        `speed_above`, `speed_not_finite`, `lane_id_unknown`, `name_too_short`,
        `name_too_long`, `name_malformed`.

    Raises:
        UncompilableConstraint: a field or the model is constrained in a way columns cannot
            express, for example by a validator function.
    """
    _refuse_validators(model)
    rules: list[Rule] = []
    for name in model.model_fields:
        if fields is not None and name not in fields:
            continue
        field = _read(model, name)
        source = field.source or f"{model.__name__}.{name}"
        rules += [
            Rule(f"{name}_{kind}", severity, expression, f"{name} {meaning}", source)
            for kind, expression, meaning in _constraints(field)
        ]
    return rules


def _refuse_validators(model: type[BaseModel]) -> None:
    decorators = model.__pydantic_decorators__
    for kind in ("validators", "field_validators", "root_validators", "model_validators"):
        for found in getattr(decorators, kind):
            raise UncompilableConstraint(model.__name__, found)


def _read(model: type[BaseModel], name: str) -> _Field:
    info = model.model_fields[name]
    kinds: list[object] = []
    metadata: list[object] = list(info.metadata)
    _flatten(info.annotation, kinds, metadata)
    values = [value for kind in kinds for value in _literal_values(kind)]
    plain = [kind for kind in kinds if kind is not types.NoneType and get_origin(kind) is None]
    if values and plain:
        raise UncompilableConstraint(name, info.annotation)
    return _Field(
        name=name,
        nullable=types.NoneType in kinds or None in values,
        is_float=float in plain,
        is_list=any(get_origin(kind) is list for kind in kinds),
        literals=tuple(value for value in values if value is not None),
        metadata=tuple(metadata),
        source=next((item.text for item in metadata if isinstance(item, Source)), None),
    )


def _flatten(annotation: object, kinds: list[object], metadata: list[object]) -> None:
    """Collect the alternatives of a union and the metadata of every Annotated in it."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        metadata += more
        _flatten(inner, kinds, metadata)
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            _flatten(member, kinds, metadata)
    else:
        kinds.append(annotation)


def _literal_values(kind: object) -> tuple[object, ...]:
    return get_args(kind) if get_origin(kind) is Literal else ()


def _constraints(field: _Field) -> Iterator[tuple[str, pl.Expr, str]]:
    """Kind, expression that is True where broken, and meaning of every constraint."""
    column = pl.col(field.name)
    if not field.nullable:
        yield "missing", column.is_null(), "is missing"
    if field.literals:
        allowed = pl.Series(list(field.literals))
        meaning = "is none of " + ", ".join(str(value) for value in field.literals)
        yield "unknown", column.is_in(allowed.implode()).not_(), meaning
    finite = any(getattr(item, "allow_inf_nan", None) is False for item in _single(field))
    if finite:
        yield "not_finite", column.is_finite().not_(), "is not a finite number"
    by_kind: dict[str, list[tuple[pl.Expr, str]]] = {}
    for item in _single(field):
        for attribute, (kind, test, words) in _BOUNDS.items():
            limit = getattr(item, attribute, None)
            if limit is None:
                continue
            measured = column
            if attribute in ("min_length", "max_length"):
                measured = column.list.len() if field.is_list else column.str.len_chars()
            expression = test(measured, limit)
            if field.is_float and attribute in ("ge", "gt", "le", "lt"):
                # Polars orders NaN above every number, Pydantic lets it pass no bound.
                nan = column.is_nan()
                expression = expression & nan.not_() if finite else expression | nan
            by_kind.setdefault(kind, []).append((expression, f"{words} {limit}"))
    for kind, found in by_kind.items():
        yield (
            kind,
            pl.any_horizontal(expression for expression, _ in found),
            " or ".join(meaning for _, meaning in found),
        )


def _single(field: _Field) -> Iterator[object]:
    """Every constraint of the field on its own; foreign metadata is passed over."""
    for item in field.metadata:
        parts: list[object] = [item]
        if isinstance(item, at.GroupedMetadata):
            parts = list(item)
        elif isinstance(item, FieldInfo):
            parts = list(item.metadata)
        for part in parts:
            if _is_constraint(part) and not _is_understood(part):
                raise UncompilableConstraint(field.name, part)
            yield part


def _is_constraint(item: object) -> bool:
    if isinstance(item, at.BaseMetadata):
        return True
    return type(item).__module__.startswith("pydantic") or hasattr(
        item, "__get_pydantic_core_schema__"
    )


def _is_understood(item: object) -> bool:
    values: dict[str, Any] = getattr(item, "__dict__", None) or {
        slot: getattr(item, slot, None) for slot in getattr(type(item), "__slots__", ())
    }
    given = {name for name, value in values.items() if value is not None}
    return bool(given) and given <= {*_BOUNDS, "allow_inf_nan", "strict"}


_BOUNDS: dict[str, tuple[str, Callable[[pl.Expr, Any], pl.Expr], str]] = {
    "ge": ("below", lambda column, limit: column < limit, "is below"),
    "gt": ("below", lambda column, limit: column <= limit, "is not above"),
    "le": ("above", lambda column, limit: column > limit, "is above"),
    "lt": ("above", lambda column, limit: column >= limit, "is not below"),
    "min_length": (
        "too_short",
        lambda length, limit: length < limit,
        "is shorter than",
    ),
    "max_length": (
        "too_long",
        lambda length, limit: length > limit,
        "is longer than",
    ),
    "pattern": (
        "malformed",
        lambda column, limit: column.str.contains(str(limit)).not_(),
        "does not match",
    ),
}
