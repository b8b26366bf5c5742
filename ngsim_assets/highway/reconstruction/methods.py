"""The methods to choose from, by name: the default, and its peers from the literature.

Belongs here: which methods there are. Does not belong here: what they do (smoothing.py and the
modules of the peers).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway.reconstruction.butterworth import Butterworth
from ngsim_assets.highway.reconstruction.kalman import KalmanRTS
from ngsim_assets.highway.reconstruction.moving_average import MovingAverage
from ngsim_assets.highway.reconstruction.savitzky_golay import SavitzkyGolay
from ngsim_assets.highway.reconstruction.smoothing import Method, RobustWhittaker

METHODS: Mapping[str, type[Method]] = MappingProxyType(
    {
        "robust_whittaker": RobustWhittaker,
        "moving_average": MovingAverage,
        "savitzky_golay": SavitzkyGolay,
        "kalman_rts": KalmanRTS,
        "butterworth": Butterworth,
    }
)
"""Every method by its label, the default first; each is made without arguments."""


class UnknownMethod(NgsimAssetsError):
    """No method of reconstruction goes by this name."""

    exit_code = 2

    def __init__(self, label: str) -> None:
        super().__init__(
            f"there is no cleaning method {label!r}", f"take one of {', '.join(METHODS)}"
        )


def method_named(label: str) -> Method:
    """The method of this label with its documented parameters; UnknownMethod lists the labels."""
    if label not in METHODS:
        raise UnknownMethod(label)
    return METHODS[label]()
