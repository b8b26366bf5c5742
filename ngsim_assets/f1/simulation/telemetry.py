"""What cars of a race report: speed, pedals, gears, engine, drag reduction, where they are.

Belongs here: channels out of a lap's progress, CarData and Position messages. Does not belong
here: the line and its speeds (track.py), the laps (race.py), lines and files (wire.py).

The feed delivers about four rows a second and car; rates of 10 to 60 Hz are streams of another
kind, which the same messages carry.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ngsim_assets.f1.formats import Json
from ngsim_assets.f1.simulation.race import Race
from ngsim_assets.f1.simulation.scenario import LEAD_IN, Scenario
from ngsim_assets.f1.simulation.track import (
    DRAG,
    POWER,
    STEP,
    TRACTION,
    Floats,
    Track,
    acceleration,
    track_of,
)
from ngsim_assets.f1.simulation.wire import Emitted, utc
from ngsim_assets.f1.telemetry.errors import RateOutOfRange
from ngsim_assets.f1.telemetry.resample import RATES

FEED_GAPS_MS = (200, 240, 280, 480)
"""Time between rows of the feed, with _FEED_SHARES; real ones have a median of 240 ms."""

_FEED_SHARES = (0.22, 0.5, 0.25, 0.03)
_SHIFTS = (0, 80, 115, 150, 182, 214, 245, 275)  # km/h from which a gear is used
_IDLE, _LOW, _HIGH = 4_000, 7_200, 11_900  # rpm: standing, after a shift, before one
_BRAKING = -2.5  # m/s²
_COASTING = -0.4
_RACED = 0.88  # pace of a slow lap of a race over that of the fastest possible
_GRID_SPACE = 8.0  # m between places
_TOLD_AFTER = 200  # ms between the last row of a message and its arrival
_FREE_AFTER = 2  # laps; drag reduction may be used from the third on
_TOO_FAR_BACK = 60.0  # m before a zone in which a car is told that it may use it
Ints = NDArray[np.int64]


class MockTelemetryGenerator:
    """Telemetry of a race between two moments, made when it is made.

    Args:
        race: laps of the cars; of the same scenario.
        span: from and to, ms since the start of the feed; by default the first minute of racing.
        rate: rows a second, 10 to 60; None: about four, as the feed has them.

    Raises RateOutOfRange.
    """

    def __init__(
        self,
        scenario: Scenario,
        race: Race,
        *,
        span: tuple[int, int] = (LEAD_IN, LEAD_IN + 60_000),
        rate: float | None = None,
    ) -> None:
        if rate is not None and not RATES[0] <= rate <= RATES[1]:
            raise RateOutOfRange(rate, RATES)
        self.scenario = scenario
        self.track: Track = track_of(scenario.circuit)
        self._race = race
        self._times = self._moments(span, rate)
        self._rows = pl.concat(
            self._car(car.number, place) for place, car in enumerate(scenario.grid)
        ).sort("time_ms", "driver_number")

    def rows(self) -> pl.DataFrame:
        """The truth: what is delivered, and temperatures (°C), which no feed delivers.

        time_ms, timestamp, driver_number, rpm, speed_kmh, gear, throttle, brake, drs, status,
        x_dm, y_dm, z_dm, lap_share (of the lap that is done), engine_temperature,
        brake_temperature, tyre_temperature, and simulated, which is always true.
        """
        return self._rows

    def messages(self) -> Iterator[Emitted]:
        """CarData and Position, a message a second, in order of time."""
        cars: list[Json] = []
        places: list[Json] = []
        last: datetime | None = None
        second = time = 0
        entry: dict[str, Json] = {}
        spots: dict[str, Json] = {}
        for row in self._rows.select(*_TOLD).iter_rows():
            time_ms, stamp, car, rpm, kmh, gear, gas, brake, drs, status, x, y, z = row
            if stamp != last:
                if last is not None and time_ms // 1000 != second:
                    yield from _both(time, cars, places)
                    cars, places = [], []
                entry, spots = {}, dict(_OTHERS)
                cars.append({"Utc": utc(stamp), "Cars": entry})
                places.append({"Timestamp": utc(stamp), "Entries": spots})
                last, second, time = stamp, time_ms // 1000, time_ms
            channels: Json = {"0": rpm, "2": kmh, "3": gear, "4": gas, "5": brake, "45": drs}
            entry[str(car)] = {"Channels": channels}
            spots[str(car)] = {"Status": status, "X": x, "Y": y, "Z": z}
        if cars:
            yield from _both(time, cars, places)

    def _moments(self, span: tuple[int, int], rate: float | None) -> Ints:
        start, end = span
        if rate is not None:
            count = int((end - start) * rate / 1000)
            return start + np.round(np.arange(count) * (1000 / rate)).astype(np.int64)
        draw = self.scenario.random("feed")
        gaps = draw.choice(FEED_GAPS_MS, size=(end - start) // FEED_GAPS_MS[0] + 1, p=_FEED_SHARES)
        times = start + np.concatenate([[0], np.cumsum(gaps)])
        return times[times < end].astype(np.int64)

    def _car(self, car: int, place: int) -> pl.DataFrame:
        share, pace, lap = self._progress(car, place)
        track = self.track
        step = track.length / len(track.speed)
        # share of the lap's time that is over -> point of the line
        points = np.arange(len(track.elapsed))
        flying = np.interp(share * track.lap_time, track.elapsed, points)
        whole = float(track.launch_elapsed[-1])
        launched = np.interp(share * whole, track.launch_elapsed, points)
        point = np.where(lap == 1, launched, flying) % len(track.speed)
        fastest = np.where(lap == 1, _around(point, track.launch), _around(point, track.speed))
        push = np.where(
            lap == 1,
            _around(point, acceleration(track.launch, step)),
            _around(point, acceleration(track.speed, step)),
        )
        speed = fastest * pace
        kmh = np.round(3.6 * speed).astype(np.int64)
        moving = kmh > 0
        # a slower lap is driven with less of everything
        throttle = np.where(moving, _throttle(fastest, push, pace), 0)
        brake = np.where(moving & (push < _BRAKING), 100, 0)
        gear = np.where(moving, np.searchsorted(_SHIFTS, kmh, side="right"), 0)
        at = point.astype(np.int64) % len(track.zone)
        free = moving & (lap > _FREE_AFTER) & (throttle > 0)
        soon = track.zone[(at + round(_TOO_FAR_BACK / STEP)) % len(track.zone)]
        drs = np.where(free & track.zone[at], 12, np.where(free & soon, 8, 0))
        gone = self._race.retired.get(car)
        stopped = np.zeros(len(lap), dtype=bool) if gone is None else self._times >= gone
        height = 10 * self.scenario.place.altitude + 60 * np.sin(2 * np.pi * share)
        start = round(self.scenario.feed_start.timestamp() * 1_000_000)
        stamps = pl.Series(start + 1000 * self._times).cast(pl.Datetime("us"))
        frame = pl.DataFrame(
            {
                "time_ms": self._times,
                "timestamp": stamps.dt.replace_time_zone("UTC"),
                "driver_number": np.full(len(lap), car, dtype=np.int32),
                "rpm": _rpm(kmh, gear),
                "speed_kmh": kmh,
                "gear": gear,
                "throttle": throttle,
                "brake": brake,
                "drs": drs,
                "status": np.where(stopped, "OffTrack", "OnTrack"),
                "x_dm": np.round(10 * _around(point, track.x)).astype(np.int64),
                "y_dm": np.round(10 * _around(point, track.y)).astype(np.int64),
                "z_dm": np.round(height).astype(np.int64),
                "lap_share": point / len(track.speed),
                **_temperatures(self._times, speed, throttle, brake),
                "simulated": np.ones(len(lap), dtype=bool),
            }
        )
        delivered = ("rpm", "speed_kmh", "gear", "throttle", "brake", "drs", "x_dm", "y_dm", "z_dm")
        return frame.cast(dict.fromkeys(delivered, pl.Int32))

    def _progress(self, car: int, place: int) -> tuple[Floats, Floats, Ints]:
        """Share of the lap's time that is over, speed over that of the fastest lap, and lap."""
        laps = [lap for lap in self._race.laps if lap.car == car]
        starts = np.array([lap.start for lap in laps], dtype=np.int64)
        ends = np.array([lap.end for lap in laps], dtype=np.int64)
        behind = 1.0 - _GRID_SPACE * (place + 1) / self.track.length
        share = np.full(len(self._times), behind)
        pace = np.zeros(len(self._times))
        number = np.zeros(len(self._times), dtype=np.int64)
        gone = self._race.retired.get(car)
        if gone is not None:
            # the lap it stops on is none: it drives as on the one before
            begun = int(ends[-1]) if len(ends) else LEAD_IN + place
            took = int(ends[-1] - starts[-1]) if len(ends) else 2 * (gone - begun)
            on = (self._times >= begun) & (self._times < gone)
            share[on] = (self._times[on] - begun) / max(took, 1)
            pace[on] = 1000 * self.track.lap_time / max(took, 1)
            share[self._times >= gone] = min(0.99, (gone - begun) / max(took, 1))
        if laps:
            index = np.searchsorted(starts, self._times, side="right") - 1
            on = (index >= 0) & (self._times < ends[index])
            took = (ends - starts)[index]
            share[on] = ((self._times - starts[index]) / took)[on]
            number[on] = (index + 1)[on]
            possible = np.where(
                number == 1, float(self.track.launch_elapsed[-1]), self.track.lap_time
            )
            pace[on] = (1000 * possible / took)[on]
            done = self._times >= ends[-1]
            if gone is None:
                share[done] = 0.0
        return share, pace, number


def _around(point: Floats, values: Floats) -> Floats:
    """Values at points of a closed line."""
    closed = np.append(values, values[0])
    return np.interp(point, np.arange(len(closed)), closed)


def _throttle(speed: Floats, push: Floats, pace: Floats) -> Ints:
    """Per cent of the drive there is at that speed; none while slowing down."""
    drive = push + DRAG * speed**2
    most = np.minimum(TRACTION, POWER / np.maximum(speed, 1.0))
    wanted = 100 * drive / most * np.minimum(1.0, pace / _RACED)
    return np.where(push > _COASTING, np.round(np.clip(wanted, 0, 100)), 0).astype(np.int64)


def _rpm(kmh: Ints, gear: Ints) -> Ints:
    low = np.array([0, *_SHIFTS])[gear]
    high = np.array([1, *_SHIFTS[1:], 345])[gear]
    share = np.clip((kmh - low) / np.maximum(high - low, 1), 0, 1)
    return np.where(gear == 0, _IDLE, np.round(_LOW + (_HIGH - _LOW) * share)).astype(np.int64)


def _temperatures(times: Ints, speed: Floats, throttle: Ints, brake: Ints) -> dict[str, Floats]:
    """Engine, brakes and tyres: warmed by what is done, cooled by the air, with a delay."""
    gas, braking = throttle.astype(np.float64), (brake > 0).astype(np.float64)
    wanted: dict[str, tuple[Floats, float]] = {
        "engine_temperature": (95.0 + 0.22 * gas, 40.0),
        "brake_temperature": (380 - 2.0 * speed + braking * (11.0 * speed - 130), 4.0),
        "tyre_temperature": (82 + 0.25 * speed + 12.0 * braking, 25.0),
    }
    passed = np.diff(times, prepend=times[:1]) / 1000
    return {name: _followed(values, passed, delay) for name, (values, delay) in wanted.items()}


def _followed(values: Floats, passed: Floats, delay: float) -> Floats:
    followed = np.empty(len(values))
    state = float(values[0]) if len(values) else 0.0
    for k, (value, share) in enumerate(
        zip(values.tolist(), (1 - np.exp(-passed / delay)).tolist(), strict=True)
    ):
        state += share * (value - state)
        followed[k] = state
    return np.round(followed, 1)


_TOLD = (
    "time_ms",
    "timestamp",
    "driver_number",
    "rpm",
    "speed_kmh",
    "gear",
    "throttle",
    "brake",
    "drs",
    "status",
    "x_dm",
    "y_dm",
    "z_dm",
)
# a car of race control, which Position tells of too
_OTHERS: dict[str, Json] = {"241": {"Status": "OnTrack", "X": 0, "Y": 0, "Z": 0}}


def _both(time: int, cars: list[Json], places: list[Json]) -> Iterator[Emitted]:
    yield Emitted(time + _TOLD_AFTER, "CarData.z", {"Entries": cars})
    yield Emitted(time + _TOLD_AFTER, "Position.z", {"Position": places})
