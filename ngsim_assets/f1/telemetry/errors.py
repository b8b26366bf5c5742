"""What can be wrong with a question about telemetry."""

from __future__ import annotations

from ngsim_assets.f1.errors import F1Error


class RateOutOfRange(F1Error):
    """A rate at which car data is not resampled or simulated."""

    exit_code = 2

    def __init__(self, rate: float, rates: tuple[float, float]) -> None:
        self.rate = rate
        super().__init__(
            f"{rate:g} Hz is no rate of telemetry", f"from {rates[0]:g} to {rates[1]:g} Hz"
        )
