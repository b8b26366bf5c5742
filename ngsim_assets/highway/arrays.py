"""Columns as compiled kernels take them: contiguous, without nulls, never written to.

Belongs here: the crossing from polars to numpy, always with the same array types, since a kernel
is compiled anew for every type it meets (and a zero-copy view differs in type from a copy).
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

Kind = TypeVar("Kind", bound=np.generic)


def integers(column: pl.Series, null: int) -> npt.NDArray[np.int32]:
    """An Int32 column, `null` where it is null."""
    return _fixed(column.cast(pl.Int32).fill_null(null).to_numpy())


def floats(column: pl.Series) -> npt.NDArray[np.float64]:
    """A numeric column as float64, NaN where it is null."""
    return _fixed(column.cast(pl.Float64).fill_null(float("nan")).to_numpy())


def singles(column: pl.Series) -> npt.NDArray[np.float32]:
    """A numeric column as float32, NaN where it is null."""
    return _fixed(column.cast(pl.Float32).fill_null(float("nan")).to_numpy())


def _fixed(values: npt.NDArray[Kind]) -> npt.NDArray[Kind]:
    fixed = np.ascontiguousarray(values).view()
    fixed.flags.writeable = False
    return fixed
