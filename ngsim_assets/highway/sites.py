"""The four NGSIM sites as data: where, when, which lanes, which clock, what is possible.

Belongs here: every fact that differs between sites, each with its source. Does not belong
here: code that acts on them. Lengths in metres, angles in degrees WGS84, speeds in m/s.

Sources: the FHWA data dictionary and site summaries (doi:10.21949/1504477) unless a field
says "measured", which means read off the delivered rows themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Interval:
    """Closed interval [low, high]."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class OfficialRecording:
    """One period FHWA published.

    Attributes:
        start: official local start; names the recording even where the delivered clock
            disagrees with it (Peachtree).
        minutes: nominal length.
        t0: closed range of the frame origin `Global_Time - 100 * Frame_ID` as delivered, in
            the site's clock unit. What identifies the recording: periods of one site overlap
            in time, their frame origins never do.
        rows, vehicles: published totals, None where only a sum over recordings is known.
    """

    start: datetime
    minutes: int
    t0: tuple[int, int]
    rows: int | None = None
    vehicles: int | None = None

    @property
    def key(self) -> str:
        """Partition key of the recording, `2005-06-15T0750`."""
        return self.start.strftime("%Y-%m-%dT%H%M")


@dataclass(frozen=True, slots=True)
class Clock:
    """How `Global_Time` becomes UTC: true ms = t0 * origin_scale + 100 * Frame_ID.

    Attributes:
        origin_scale: 1 where t0 is epoch milliseconds, 1000 where it is epoch seconds.
        frame_ms: milliseconds per frame.
    """

    origin_scale: int = 1
    frame_ms: int = 100

    @property
    def seconds(self) -> float:
        """Seconds per frame: where all that depends on the frame rate has it from."""
        return self.frame_ms / 1000.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a vehicle at this site can do; outside means a fault of the recording.

    Attributes:
        speed: m/s. acceleration: m/s², absolute. lateral_speed: m/s, absolute.
        jerk: m/s³, absolute, of a reconstructed trajectory (Punzo et al. 2011: 15).
        step: metres two consecutive frames can lie apart before it is a teleport.
        length, width: metres, of a vehicle.
        clipped_acceleration: m/s² at which the delivered v_Acc saturates, None if it does not.
    """

    speed: float
    acceleration: float
    lateral_speed: float
    jerk: float
    step: float
    length: Interval
    width: Interval
    clipped_acceleration: float | None


@dataclass(frozen=True, slots=True)
class Archive:
    """The zip of a site as FHWA attached it to dataset 8ect-6jqj: what a download has to be.

    Attributes:
        name: of the attachment; the id it is fetched by has changed over the years.
        size: bytes. sha256: the first digits of its hash, as far as they are known.
    """

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Site:
    """One highway or arterial. `highway_id` is its partition key; lanes map id to kind."""

    highway_id: str
    title: str
    aliases: tuple[str, ...]
    date: date
    time_zone: ZoneInfo
    epsg: int
    arterial: bool
    length: float
    x: Interval
    y: Interval
    longitude: Interval
    latitude: Interval
    lanes: dict[int, str]
    origin_zones: Interval | None
    destination_zones: Interval | None
    clock: Clock
    limits: Limits
    recordings: tuple[OfficialRecording, ...]
    archive: Archive


# Frame origins read off delivered rows are exact; a second either way costs nothing, since
# the origins of one site lie ten minutes and more apart.
def _around(t0: int, slack: int = 1_000) -> tuple[int, int]:
    return (t0 - slack, t0 + slack)


_LOS_ANGELES = ZoneInfo("America/Los_Angeles")
_NEW_YORK = ZoneInfo("America/New_York")

# 45 m/s (100 mph) clears every legal and most illegal speeds of these congested sections; the
# delivered maxima are 95.3 ft/s (us-101, i-80). 3.4 m/s² is the delivered clip (11.2 ft/s²);
# vehicles brake at 8 m/s² and a little more before tyres slide. Teleport: one frame at the
# speed limit plus 1.5 m of position error, four standard deviations of the camera noise.
_FREEWAY = Limits(
    speed=45.0,
    acceleration=9.0,
    lateral_speed=4.0,
    jerk=15.0,
    step=6.0,
    length=Interval(0.5, 30.0),
    width=Interval(0.3, 4.0),
    clipped_acceleration=3.41376,
)
_ARTERIAL = Limits(
    speed=35.0,
    acceleration=9.0,
    lateral_speed=8.0,
    jerk=15.0,
    step=5.0,
    length=Interval(0.5, 30.0),
    width=Interval(0.3, 4.0),
    clipped_acceleration=3.739896,
)

US_101 = Site(
    highway_id="us-101",
    title="US-101 southbound, Los Angeles",
    aliases=("us101", "us-101", "us 101", "us_101", "hollywood freeway"),
    date=date(2005, 6, 15),
    time_zone=_LOS_ANGELES,
    epsg=2229,
    arterial=False,
    length=640.0,
    x=Interval(-2.0, 32.0),
    y=Interval(-5.0, 700.0),
    longitude=Interval(-118.372, -118.353),
    latitude=Interval(34.128, 34.147),
    lanes={
        1: "mainline (leftmost)",
        2: "mainline",
        3: "mainline",
        4: "mainline",
        5: "mainline (rightmost)",
        6: "auxiliary",
        7: "on-ramp",
        8: "off-ramp",
    },
    origin_zones=None,
    destination_zones=None,
    clock=Clock(),
    limits=_FREEWAY,
    recordings=(
        OfficialRecording(datetime(2005, 6, 15, 7, 50), 15, _around(1118846978900), 1180598, 2169),
        OfficialRecording(datetime(2005, 6, 15, 8, 5), 15, _around(1118847842000), 1403095, 2017),
        OfficialRecording(datetime(2005, 6, 15, 8, 20), 15, _around(1118848757000), 1515240, 1915),
    ),
    archive=Archive("US-101-LosAngeles-CA.zip", 327_638_049, "830442bb"),
)

I_80 = Site(
    highway_id="i-80",
    title="I-80 eastbound, Emeryville",
    aliases=("i80", "i-80", "i 80", "i_80", "interstate 80"),
    date=date(2005, 4, 13),
    time_zone=_LOS_ANGELES,
    epsg=2227,
    arterial=False,
    length=505.0,
    x=Interval(-2.0, 36.0),
    y=Interval(-5.0, 560.0),
    longitude=Interval(-122.307, -122.288),
    latitude=Interval(37.832, 37.852),
    lanes={
        1: "mainline, HOV (leftmost)",
        2: "mainline",
        3: "mainline",
        4: "mainline",
        5: "mainline",
        6: "mainline (rightmost)",
        7: "on-ramp",
        9: "shoulder",
    },
    origin_zones=None,
    destination_zones=None,
    clock=Clock(),
    limits=_FREEWAY,
    recordings=(
        OfficialRecording(datetime(2005, 4, 13, 16, 0), 15, _around(1113433134900), 1262678, 2052),
        OfficialRecording(datetime(2005, 4, 13, 17, 0), 15, _around(1113436766900), 1549918, 1836),
        OfficialRecording(datetime(2005, 4, 13, 17, 15), 15, _around(1113437564900), 1753791, 1790),
    ),
    archive=Archive("I-80-Emeryville-CA.zip", 441_781_993, "b274bb96"),
)

LANKERSHIM = Site(
    highway_id="lankershim",
    title="Lankershim Boulevard, Los Angeles",
    aliases=("lankershim", "lankershim boulevard", "lankershim blvd"),
    date=date(2005, 6, 16),
    time_zone=_LOS_ANGELES,
    epsg=2229,
    arterial=True,
    length=500.0,
    x=Interval(-60.0, 60.0),
    y=Interval(-40.0, 560.0),
    longitude=Interval(-118.373, -118.352),
    latitude=Interval(34.130, 34.149),
    lanes={
        **dict.fromkeys(range(1, 11), "through"),
        **dict.fromkeys(range(11, 21), "left-turn bay"),
        **dict.fromkeys(range(31, 41), "right-turn bay"),
    },
    origin_zones=Interval(101, 111),
    destination_zones=Interval(201, 211),
    clock=Clock(),
    limits=_ARTERIAL,
    recordings=(
        # The first origin is published to 0.1 s; of the second only its first Global_Time is,
        # and the periods overlap by 100.6 s, so its origin lies after the first one's window
        # and not after that time.
        OfficialRecording(
            datetime(2005, 6, 16, 8, 28), 17, _around(1118935680100, 10_000), vehicles=1211
        ),
        OfficialRecording(
            datetime(2005, 6, 16, 8, 45), 15, (1118936500000, 1118936760000), vehicles=1231
        ),
    ),
    archive=Archive("Lankershim-Boulevard-LosAngeles-CA.zip", 184_896_776, "757c693b"),
)

PEACHTREE = Site(
    highway_id="peachtree",
    title="Peachtree Street, Atlanta",
    aliases=("peachtree", "peachtree street", "peachtree st"),
    date=date(2006, 11, 8),
    time_zone=_NEW_YORK,
    epsg=2240,
    arterial=True,
    length=640.0,
    x=Interval(-60.0, 60.0),
    y=Interval(-40.0, 700.0),
    longitude=Interval(-84.395, -84.374),
    latitude=Interval(33.771, 33.800),
    lanes={
        **dict.fromkeys(range(1, 11), "through"),
        **dict.fromkeys(range(11, 21), "left-turn bay"),
        **dict.fromkeys(range(31, 41), "right-turn bay"),
    },
    # 121 and 122, 221 to 223 are delivered (measured) beside the zones of the dictionary.
    origin_zones=Interval(101, 123),
    destination_zones=Interval(201, 223),
    # t0 is epoch seconds while every frame adds 100 (measured, both recordings). Read so, the
    # periods begin at 12:43:20 and 15:58:20 in UTC-8, which is how FHWA labelled them; in
    # Atlanta (UTC-5) it was three hours later.
    clock=Clock(origin_scale=1000),
    limits=_ARTERIAL,
    recordings=(
        OfficialRecording(datetime(2006, 11, 8, 12, 45), 15, _around(1163018600, 60)),
        OfficialRecording(datetime(2006, 11, 8, 16, 0), 15, _around(1163030300, 60)),
    ),
    archive=Archive("Peachtree-Street-Atlanta-GA.zip", 50_677_241, "91b9b1d4"),
)

SITES: dict[str, Site] = {site.highway_id: site for site in (US_101, I_80, LANKERSHIM, PEACHTREE)}
