"""The circuits as data: where they are, how high, how long a lap is, what feeds call them.

Belongs here: every fact that differs between circuits. Does not belong here: what happens at them
(probabilities and profiles of generators have a place of their own).

Sources: length of a lap, altitude and position (the mean of the points of the track) from the
collection bacinger/f1-circuits at commit 4c9c9aa (MIT), as of September 2025; names as the live
timing's Index.json of 2018 to 2025 and OpenF1 have them; time zones from the IANA database.
Layouts change: a length is that of the layout raced last.
"""

from __future__ import annotations

from dataclasses import dataclass

from ngsim_assets.f1.errors import UnknownCircuit
from ngsim_assets.f1.keys import slug


@dataclass(frozen=True, slots=True)
class Circuit:
    """One circuit.

    Attributes:
        key: `mexico-city`.
        name: in full.
        names: what feeds call it: short name of the circuit, location.
        latitude, longitude: degrees WGS84.
        altitude: m above the sea.
        lap_length: m.
        time_zone: of the local clock.
    """

    key: str
    name: str
    names: tuple[str, ...]
    latitude: float
    longitude: float
    altitude: float
    lap_length: float
    time_zone: str

    @property
    def pressure(self) -> float:
        """Pressure of the standard atmosphere at the altitude, hPa (ISO 2533)."""
        return 1013.25 * (1.0 - 2.25577e-5 * self.altitude) ** 5.25588


_ALL = (
    Circuit(
        "sakhir",
        "Bahrain International Circuit",
        ("Sakhir", "Bahrain"),
        26.032,
        50.514,
        -16.0,
        5412.0,
        "Asia/Bahrain",
    ),
    Circuit(
        "jeddah",
        "Jeddah Corniche Circuit",
        ("Jeddah",),
        21.639,
        39.103,
        12.0,
        6175.0,
        "Asia/Riyadh",
    ),
    Circuit(
        "melbourne",
        "Albert Park Circuit",
        ("Melbourne",),
        -37.846,
        144.97,
        10.0,
        5278.0,
        "Australia/Melbourne",
    ),
    Circuit("baku", "Baku City Circuit", ("Baku",), 40.369, 49.841, -25.0, 6003.0, "Asia/Baku"),
    Circuit(
        "miami",
        "Miami International Autodrome",
        ("Miami", "Miami Gardens"),
        25.958,
        -80.238,
        1.0,
        5412.0,
        "America/New_York",
    ),
    Circuit(
        "imola",
        "Autodromo Enzo e Dino Ferrari",
        ("Imola",),
        44.341,
        11.713,
        47.0,
        4909.0,
        "Europe/Rome",
    ),
    Circuit(
        "monaco",
        "Circuit de Monaco",
        ("Monte Carlo", "Monaco"),
        43.737,
        7.425,
        47.0,
        3337.0,
        "Europe/Monaco",
    ),
    Circuit(
        "barcelona",
        "Circuit de Barcelona-Catalunya",
        ("Catalunya", "Barcelona", "Montmeló"),
        41.569,
        2.257,
        165.0,
        4655.0,
        "Europe/Madrid",
    ),
    Circuit(
        "madrid",
        "Circuito de Madring",
        ("Madring", "Madrid"),
        40.473,
        -3.621,
        646.0,
        5474.0,
        "Europe/Madrid",
    ),
    Circuit(
        "montreal",
        "Circuit Gilles-Villeneuve",
        ("Montreal", "Montréal"),
        45.504,
        -73.526,
        13.0,
        4361.0,
        "America/Toronto",
    ),
    Circuit(
        "spielberg", "Red Bull Ring", ("Spielberg",), 47.223, 14.762, 721.0, 4318.0, "Europe/Vienna"
    ),
    Circuit(
        "silverstone",
        "Silverstone Circuit",
        ("Silverstone",),
        52.072,
        -1.016,
        196.0,
        5891.0,
        "Europe/London",
    ),
    Circuit(
        "hungaroring",
        "Hungaroring",
        ("Hungaroring", "Budapest"),
        47.583,
        19.251,
        239.0,
        4381.0,
        "Europe/Budapest",
    ),
    Circuit(
        "spa",
        "Circuit de Spa-Francorchamps",
        ("Spa-Francorchamps", "Spa"),
        50.435,
        5.969,
        413.0,
        7004.0,
        "Europe/Brussels",
    ),
    Circuit(
        "zandvoort",
        "Circuit Zandvoort",
        ("Zandvoort",),
        52.388,
        4.546,
        3.0,
        4259.0,
        "Europe/Amsterdam",
    ),
    Circuit(
        "monza",
        "Autodromo Nazionale Monza",
        ("Monza",),
        45.623,
        9.287,
        142.0,
        5793.0,
        "Europe/Rome",
    ),
    Circuit(
        "singapore",
        "Marina Bay Street Circuit",
        ("Singapore", "Marina Bay"),
        1.291,
        103.858,
        18.0,
        4928.0,
        "Asia/Singapore",
    ),
    Circuit(
        "suzuka",
        "Suzuka International Racing Course",
        ("Suzuka",),
        34.845,
        136.533,
        60.0,
        5807.0,
        "Asia/Tokyo",
    ),
    Circuit(
        "lusail",
        "Losail International Circuit",
        ("Lusail", "Losail"),
        25.492,
        51.454,
        5.0,
        5380.0,
        "Asia/Qatar",
    ),
    Circuit(
        "austin",
        "Circuit of the Americas",
        ("Austin",),
        30.135,
        -97.635,
        130.0,
        5514.0,
        "America/Chicago",
    ),
    Circuit(
        "mexico-city",
        "Autódromo Hermanos Rodríguez",
        ("Mexico City",),
        19.403,
        -99.09,
        2232.0,
        4304.0,
        "America/Mexico_City",
    ),
    Circuit(
        "interlagos",
        "Autódromo José Carlos Pace - Interlagos",
        ("Interlagos", "São Paulo"),
        -23.701,
        -46.698,
        765.0,
        4309.0,
        "America/Sao_Paulo",
    ),
    Circuit(
        "las-vegas",
        "Las Vegas Street Circuit",
        ("Las Vegas",),
        36.116,
        -115.166,
        610.0,
        6201.0,
        "America/Los_Angeles",
    ),
    Circuit(
        "yas-marina",
        "Yas Marina Circuit",
        ("Yas Marina Circuit", "Yas Marina", "Yas Island"),
        24.469,
        54.606,
        9.0,
        5281.0,
        "Asia/Dubai",
    ),
    Circuit(
        "shanghai",
        "Shanghai International Circuit",
        ("Shanghai",),
        31.34,
        121.219,
        14.0,
        5451.0,
        "Asia/Shanghai",
    ),
    Circuit(
        "portimao",
        "Autódromo Internacional do Algarve",
        ("Algarve International Circuit", "Portimão"),
        37.231,
        -8.628,
        44.0,
        4653.0,
        "Europe/Lisbon",
    ),
    Circuit(
        "istanbul",
        "Intercity Istanbul Park",
        ("Istanbul",),
        40.957,
        29.411,
        150.0,
        5338.0,
        "Europe/Istanbul",
    ),
    Circuit("sochi", "Sochi Autodrom", ("Sochi",), 43.408, 39.958, 23.0, 5848.0, "Europe/Moscow"),
    Circuit(
        "paul-ricard",
        "Circuit Paul Ricard",
        ("Paul Ricard", "Le Castellet"),
        43.253,
        5.792,
        408.0,
        5842.0,
        "Europe/Paris",
    ),
    Circuit(
        "hockenheim",
        "Hockenheimring",
        ("Hockenheim",),
        49.33,
        8.572,
        148.0,
        4574.0,
        "Europe/Berlin",
    ),
    Circuit(
        "nurburgring",
        "Nürburgring",
        ("Nürburgring", "Nürburg"),
        50.331,
        6.94,
        627.0,
        5148.0,
        "Europe/Berlin",
    ),
    Circuit(
        "mugello",
        "Autodromo Internazionale del Mugello",
        ("Mugello", "Scarperia"),
        43.996,
        11.371,
        292.0,
        5245.0,
        "Europe/Rome",
    ),
)

CIRCUITS: dict[str, Circuit] = {circuit.key: circuit for circuit in _ALL}

_BY_NAME = {
    slug(name): circuit for circuit in _ALL for name in (circuit.key, circuit.name, *circuit.names)
}


def circuit_named(*names: str | None) -> Circuit | None:
    """The circuit that one of `names` is known to name, the first that is; None if none is."""
    for name in names:
        if name and (found := _BY_NAME.get(_slug(name))) is not None:
            return found
    return None


def circuit(name: str) -> Circuit:
    """The circuit of that key or name; UnknownCircuit if there is none."""
    found = circuit_named(name)
    if found is None:
        raise UnknownCircuit(name, sorted(CIRCUITS))
    return found


def _slug(name: str) -> str:
    return slug(name) if any(letter.isalnum() for letter in name) else ""
