"""What circuits are like, as far as generators need it: pace, weather, incidents.

Belongs here: numbers that differ between circuits and are assumptions of the generators. Does not
belong here: facts about circuits (f1/circuits.py), any drawing of random numbers.

Races without numbers of their own get the mean of the championship: official statistics of 2014 to
2019 have a safety car in 66 of 121 races and a virtual one in 37.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ngsim_assets.f1.circuits import circuit


@dataclass(frozen=True, slots=True)
class WeatherProfile:
    """The weather of an afternoon of the race's season.

    Attributes:
        air: mean air temperature, °C. swing: its rise and fall over the day, °C.
        humidity: mean, %. wind: mean, m/s. wind_from: prevailing direction, degrees.
        track_excess: mean by which the track is warmer, °C; within 8 and 15.
    """

    air: float = 22.0
    swing: float = 4.0
    humidity: float = 55.0
    wind: float = 2.5
    wind_from: float = 220.0
    track_excess: float = 11.5


@dataclass(frozen=True, slots=True)
class Profile:
    """One circuit as generators see it.

    Attributes:
        lap_time: of a good car on medium tyres without fuel, s.
        laps: of a race.
        sectors: shares of the lap time.
        pit_loss: what a stop costs, s.
        safety_car, virtual_safety_car: probability that a race has at least one.
        weather: of the season in which it is raced.
        corners: (place on the lap, angle in degrees, radius in m); right turns are positive.
            Without, corners are drawn.
    """

    lap_time: float
    laps: int
    sectors: tuple[float, float, float] = (0.31, 0.39, 0.30)
    pit_loss: float = 21.0
    safety_car: float = 66 / 121
    virtual_safety_car: float = 37 / 121
    weather: WeatherProfile = field(default_factory=WeatherProfile)
    corners: tuple[tuple[float, float, float], ...] = ()


MONACO_CORNERS = (
    (0.035, 75.0, 28.0),
    (0.14, -60.0, 90.0),
    (0.20, 100.0, 45.0),
    (0.27, 115.0, 22.0),
    (0.31, -160.0, 10.0),
    (0.345, 85.0, 18.0),
    (0.375, 85.0, 22.0),
    (0.46, 50.0, 190.0),
    (0.58, -70.0, 17.0),
    (0.60, 75.0, 19.0),
    (0.66, -75.0, 42.0),
    (0.73, -50.0, 75.0),
    (0.76, 45.0, 70.0),
    (0.80, 65.0, 25.0),
    (0.82, -65.0, 22.0),
    (0.90, 170.0, 11.0),
    (0.94, 75.0, 30.0),
)
SPA_CORNERS = (
    (0.045, 165.0, 16.0),
    (0.14, -45.0, 160.0),
    (0.155, 60.0, 140.0),
    (0.33, 80.0, 60.0),
    (0.345, -75.0, 55.0),
    (0.38, 90.0, 70.0),
    (0.44, 175.0, 65.0),
    (0.49, -95.0, 90.0),
    (0.55, -170.0, 115.0),
    (0.63, 75.0, 60.0),
    (0.645, -70.0, 60.0),
    (0.70, 95.0, 75.0),
    (0.73, 80.0, 85.0),
    (0.83, -70.0, 260.0),
    (0.93, 100.0, 14.0),
    (0.94, -105.0, 15.0),
)
SINGAPORE_CORNERS = (
    (0.06, -85.0, 45.0),
    (0.075, 80.0, 50.0),
    (0.085, -85.0, 24.0),
    (0.16, 60.0, 120.0),
    (0.21, 90.0, 35.0),
    (0.34, -95.0, 22.0),
    (0.38, 95.0, 24.0),
    (0.42, -85.0, 28.0),
    (0.47, -85.0, 26.0),
    (0.53, -60.0, 60.0),
    (0.57, 165.0, 16.0),
    (0.63, 90.0, 22.0),
    (0.72, -90.0, 28.0),
    (0.76, -85.0, 30.0),
    (0.80, 85.0, 28.0),
    (0.88, 85.0, 30.0),
    (0.93, -80.0, 60.0),
)
BAHRAIN_CORNERS = (
    (0.115, 130.0, 18.0),
    (0.135, -50.0, 70.0),
    (0.15, 50.0, 60.0),
    (0.25, 115.0, 25.0),
    (0.33, -60.0, 90.0),
    (0.35, 60.0, 80.0),
    (0.40, 145.0, 22.0),
    (0.47, -80.0, 70.0),
    (0.50, -80.0, 28.0),
    (0.62, -95.0, 60.0),
    (0.68, 70.0, 150.0),
    (0.74, 95.0, 35.0),
    (0.885, 110.0, 32.0),
    (0.905, 60.0, 75.0),
)

PROFILES: dict[str, Profile] = {
    "monaco": Profile(
        72.5,
        78,
        (0.26, 0.47, 0.27),
        19.0,
        0.70,
        0.35,
        WeatherProfile(22.0, 2.5, 62.0, 1.6, 180.0, 12.0),
        MONACO_CORNERS,
    ),
    "singapore": Profile(
        95.0,
        62,
        (0.29, 0.40, 0.31),
        28.0,
        0.85,
        0.40,
        # a night race: warm and humid, the track keeps what the day gave it
        WeatherProfile(29.5, 1.5, 76.0, 1.4, 160.0, 9.0),
        SINGAPORE_CORNERS,
    ),
    "spa": Profile(
        107.0,
        44,
        (0.29, 0.44, 0.27),
        18.5,
        0.25,
        0.30,
        WeatherProfile(19.0, 4.5, 66.0, 2.8, 250.0, 10.5),
        SPA_CORNERS,
    ),
    "sakhir": Profile(
        92.5,
        57,
        (0.32, 0.43, 0.25),
        22.5,
        0.50,
        0.30,
        WeatherProfile(25.0, 3.5, 42.0, 3.4, 330.0, 9.5),
        BAHRAIN_CORNERS,
    ),
}
"""Profiles by key of the circuit."""

_MEAN_SPEED = 61.0  # m/s, of races on circuits without a profile of their own
_RACE_DISTANCE = 305_000.0  # m, article 5.3 of the sporting regulations


def profile_of(name: str) -> Profile:
    """Profile of a circuit by any of its names; UnknownCircuit if there is no such circuit."""
    place = circuit(name)
    known = PROFILES.get(place.key)
    if known is not None:
        return known
    laps = int(_RACE_DISTANCE // place.lap_length) + 1
    return Profile(place.lap_length / _MEAN_SPEED, laps)
