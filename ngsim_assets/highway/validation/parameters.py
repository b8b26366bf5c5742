"""The numbers that rules about several rows are judged by, each with what it was set on.

Belongs here: thresholds. Does not belong here: ranges, which are the site's (sites.py), rules.
"""

from __future__ import annotations

from dataclasses import dataclass

from ngsim_assets.highway.sites import Site
from ngsim_assets.highway.validation.position_faults import PositionLimits


@dataclass(frozen=True, slots=True)
class ValidationParameters:
    """Thresholds of the rules that take more than one row. Ranges are the site's.

    Attributes:
        along, lateral: m a position may lie from where its neighbours and the delivered speeds
            put it. The real excerpts stay below 0.4 m inside a track.
        edge_frames, edge_factor: the first and last rows of a track, where NGSIM delivers raw
            detections at a constant speed, and how much further off they may lie. The real
            excerpts stay below 2.2 m there.
        joint_rows: how many rows a shift of one tolerance must carry to be believed as a shift
            (a hand-over between cameras) and not blamed as a fault.
        spike_rows: up to so many displaced rows in a row are called a spike.
        blind: s without rows after which only the top speed bounds the way driven.
        frozen_frames, frozen_distance: a position held for so many frames while the delivered
            speed says so many m were driven. Real tracks hold one for 2 frames at their start.
        speed: m/s the delivered speed may lie outside the paces around the row. The real
            excerpts stay below 3.4, simulated ones with severe camera noise below 2.5.
        speed_bias: m/s by which half of the delivered speeds around a row may lie off the path,
            all to the same side. The real excerpts stay below 1.6, simulated white noise of
            0.15 m below 2.6.
        acceleration: m/s² the delivered acceleration may lie outside the changes of the
            delivered speed around the row. The real excerpts stay below 2.5.
        map_offset: m the state-plane position may move against the local one between two rows.
            The real excerpts stay below 1.0.
        disorder: share of a track's lines up to which those out of order are blamed; beyond it
            the file is in no order.
        long_gap: s between two rows of a vehicle up to which cleaning fills the frames between
            (CleaningParameters.gap_limit).
        overlap: m a front may be ahead of the leader's rear, both positions being noisy.
        headway: m between delivered and recomputed space headway; the real ones agree to 2 mm.
        headway_jump: m the space headway to one leader may change between two rows. The real
            excerpts stay below 2.3.
    """

    along: float = 1.0
    lateral: float = 1.0
    edge_frames: int = 6
    edge_factor: float = 3.0
    joint_rows: float = 10.0
    spike_rows: int = 5
    blind: float = 2.0
    frozen_frames: int = 5
    frozen_distance: float = 1.0
    speed: float = 4.0
    speed_bias: float = 3.5
    acceleration: float = 3.5
    map_offset: float = 2.0
    disorder: float = 0.2
    long_gap: float = 2.0
    overlap: float = 0.5
    headway: float = 0.5
    headway_jump: float = 3.0

    def position_limits(self, site: Site) -> PositionLimits:
        """What the position kernel takes, together with what `site` allows."""
        limits = site.limits
        # Exact types: the kernel is compiled for them.
        return PositionLimits(
            along=float(self.along),
            lateral=float(self.lateral),
            largest=float(limits.step),
            edge_frames=self.edge_frames,
            edge_factor=float(self.edge_factor),
            top_speed=float(limits.speed),
            lateral_speed=float(limits.lateral_speed),
            acceleration=float(limits.acceleration),
            blind=float(self.blind),
            joint_rows=float(self.joint_rows),
            spike_rows=self.spike_rows,
            frozen_frames=self.frozen_frames,
            frozen_distance=float(self.frozen_distance),
            two_way=site.arterial,
        )

    def offset_limits(self, site: Site) -> PositionLimits:
        """What the position kernel takes of offsets between map and local positions."""
        tolerance = float(self.map_offset)
        return self.position_limits(site)._replace(along=tolerance, lateral=tolerance, two_way=True)
