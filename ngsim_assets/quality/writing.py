"""How documents are written: their models, and numbers and texts for people, Markdown, a page.

Belongs here: forms that every document of this package shares. Does not belong here: what a
document says (report.py, comparison.py).
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, cast

from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import BaseModel, ConfigDict, model_validator

NOT_MEASURED = "–"

# Units whose whole values are counts: they are never shown with decimals.
_COUNTED = frozenset({"rows", "points", "trajectories", "gaps", "changes", "vehicles", "frames"})

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class Part(BaseModel):
    """A piece of a document: never changed once made, without unknown fields, bytes as base64."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, ser_json_bytes="base64", val_json_bytes="base64"
    )


class Document(Part):
    """A whole document, which reads back what it wrote."""

    @model_validator(mode="before")
    @classmethod
    def _derive_again(cls, content: Any) -> Any:
        """What is computed from the rest is not taken from outside."""
        if not isinstance(content, dict):
            return content
        given = cast("dict[str, Any]", content)
        return {name: part for name, part in given.items() if name not in cls.model_computed_fields}


def format_value(value: float | None, unit: str = "") -> str:
    """A value as people read it: whole counts in full, measures to as many digits as tell them.

    Four digits from 1 on, three from 0.01 on, two below; trailing zeros only where they stand
    for digits that were cut, so that 100 is all and 100.00 nearly.
    """
    if value is None or math.isnan(value):
        return NOT_MEASURED
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == int(value) and (abs(value) >= 1000 or unit in _COUNTED):
        return minus(f"{int(value):,}")
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if size < -4:
        digits, _, power = f"{value:.1e}".partition("e")
        return f"{minus(digits)}×10{str(int(power)).translate(_RAISED)}"
    decimals = max(1, 3 - size) if size >= 0 else 2 - size if size >= -2 else 1 - size
    text = f"{value:,.{decimals}f}"
    if math.isclose(round(value, decimals), value, rel_tol=1e-9):
        text = text.rstrip("0").rstrip(".")
    return minus(text)


def format_difference(value: float | None, unit: str = "") -> str:
    """A difference as people read it: with its sign."""
    text = format_value(value, unit)
    return f"+{text}" if value is not None and value > 0 else text


def format_threshold(value: float) -> str:
    """A mark that somebody set: as short as it is."""
    return minus(f"{value:,g}")


def setting_text(value: Any) -> str:
    """A parameter as people read it: numbers as short as they are, parts in one line."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return format_threshold(value)
    if isinstance(value, Mapping):
        parts = cast("Mapping[str, Any]", value).items()
        return ", ".join(f"{name} {setting_text(part)}" for name, part in parts)
    if isinstance(value, (list, tuple)):
        return ", ".join(setting_text(part) for part in cast("list[Any]", value))
    return str(value)


def minus(text: str) -> str:
    """`text` with the sign for minus where a hyphen stood for it."""
    return text.replace("-", "−")


def markdown(text: str) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, no broken table rows."""
    plain = html.escape(" ".join(text.split()), quote=False)
    for mark in ("\\", "|", "*", "_", "`", "[", "]", "#", "~"):
        plain = plain.replace(mark, f"\\{mark}")
    return plain


def markdown_row(cells: Iterable[str]) -> str:
    """Cells, already Markdown, as a row of a table."""
    return f"| {' | '.join(cells)} |"


def page(template: str, **context: object) -> str:
    """A template of this package filled in; text is escaped, a missing name is an error."""
    return _environment().get_template(template).render(**context)


def published_schema(document: type[BaseModel]) -> str:
    """The JSON Schema of what a document writes as JSON, as the text that is published."""
    schema = document.model_json_schema(mode="serialization")
    identified = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(identified, indent=2, ensure_ascii=False) + "\n"


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("ngsim_assets.quality", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    forms: dict[str, Callable[..., str]] = {
        "shown": format_value,
        "difference": format_difference,
        "threshold": format_threshold,
        "setting": setting_text,
    }
    environment.filters.update(forms)  # pyright: ignore[reportUnknownMemberType]
    return environment
