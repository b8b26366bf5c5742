"""The same work in straightforward pandas: what a careful analyst writes in an afternoon.

File to raw, validated, quarantined, cleaned, segment, traffic-state and metric tables of every
recording in a unified export, with pandas, pyproj and SciPy as their manuals show. It is the
yardstick of benchmarks/end_to_end.py; whole columns where pandas offers that, a group per
vehicle where the method (a robust Whittaker smoother) needs it.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
from pyproj import Transformer
from scipy.linalg import solveh_banded
from scipy.sparse import diags

FOOT = 0.3048
EPSG = {"us-101": 2229, "i-80": 2227, "lankershim": 2229, "peachtree": 2240}
NAMESPACE = uuid.UUID("6f0d7f6e-3c1e-4b57-9f5b-5b0d7f6e3c1e")


def read(path: Path) -> pd.DataFrame:
    """The unified export with lower-case names and numbers without thousands separators."""
    frame = pd.read_csv(path, thousands=",", encoding="utf-8-sig")
    frame.columns = frame.columns.str.lower()
    frame["source_row"] = np.arange(2, len(frame) + 2)
    frame["t0"] = frame["global_time"] - 100 * frame["frame_id"]
    return frame


def validate(raw: pd.DataFrame, highway: str, t0: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Points that pass in SI units, and rows that fail with a list of reasons."""
    rows = raw.sort_values(["vehicle_id", "frame_id", "source_row"]).reset_index(drop=True)
    si = pd.DataFrame(
        {
            "vehicle_id": rows["vehicle_id"],
            "frame": rows["frame_id"],
            "timestamp": pd.to_datetime(rows["global_time"], unit="ms", utc=True),
            "x_position": rows["local_x"] * FOOT,
            "y_position": rows["local_y"] * FOOT,
            "speed": rows["v_vel"] * FOOT,
            "acceleration": rows["v_acc"] * FOOT,
            "lane_id": rows["lane_id"],
            "length": rows["v_length"] * FOOT,
            "width": rows["v_width"] * FOOT,
            "preceding_id": rows["preceding"].where(rows["preceding"] > 0),
            "following_id": rows["following"].where(rows["following"] > 0),
            "space_headway": (rows["space_headway"] * FOOT).where(rows["preceding"] > 0),
            "time_headway": rows["time_headway"].where(rows["time_headway"] < 9999),
            "vehicle_type": rows["v_class"].map({1: "motorcycle", 2: "auto", 3: "truck"}),
            "source_row": rows["source_row"],
        }
    )
    transformer = Transformer.from_crs(EPSG[highway], 4326, always_xy=True)
    si["longitude"], si["latitude"] = transformer.transform(
        rows["global_x"].to_numpy(), rows["global_y"].to_numpy()
    )
    ids = {v: str(uuid.uuid5(NAMESPACE, f"{highway}|{t0}|{v}")) for v in si["vehicle_id"].unique()}
    si["trajectory_id"] = si["vehicle_id"].map(ids)

    by_vehicle = si.groupby("vehicle_id")
    y, x = si["y_position"], si["x_position"]
    before, after = by_vehicle["y_position"].shift(1), by_vehicle["y_position"].shift(-1)
    same_step = (by_vehicle["frame"].diff() == 1) & (by_vehicle["frame"].diff(-1) == -1)
    delivered = [c for c in raw.columns if c not in {"source_row", "t0"}]
    leaders = si[["vehicle_id", "frame", "y_position", "length"]].drop_duplicates(
        ["vehicle_id", "frame"]
    )
    leader = si[["preceding_id", "frame"]].merge(
        leaders,
        how="left",
        left_on=["preceding_id", "frame"],
        right_on=["vehicle_id", "frame"],
    )
    broken = {
        "exact_duplicate": rows.duplicated(delivered),
        "key_conflict": rows.duplicated(["vehicle_id", "frame_id"]),
        "clock_off_frame_grid": rows["t0"] != t0,
        "x_position_range": ~x.between(-2, 36),
        "y_position_range": ~y.between(-5, 700),
        "speed_range": ~si["speed"].between(0, 45),
        "acceleration_range": ~si["acceleration"].between(-9, 9),
        "lane_range": ~si["lane_id"].between(1, 9),
        "length_range": ~si["length"].between(0.5, 30),
        "width_range": ~si["width"].between(0.3, 4),
        "class_range": si["vehicle_type"].isna(),
        "position_spike": same_step
        & ((y - before).abs() > 6)
        & ((after - y).abs() > 6)
        & ((after - before).abs() < 12),
        "lateral_spike": same_step
        & ((x - by_vehicle["x_position"].shift(1)).abs() > 2)
        & ((x - by_vehicle["x_position"].shift(-1)).abs() > 2),
        "speed_contradicts_position": same_step
        & (((after - before) / 0.2 - si["speed"]).abs() > 15),
        "frozen": same_step & (y == before) & (y == after) & (si["speed"] > 3),
    }
    flags = {
        "overlap": (leader["y_position"] - leader["length"] < y.to_numpy()),
        "headway": ((leader["y_position"] - y.to_numpy()) - si["space_headway"].to_numpy()).abs()
        > 5,
        "class_changed": by_vehicle["vehicle_type"].transform("nunique") > 1,
        "length_changed": by_vehicle["length"].transform("nunique") > 1,
        "gap": by_vehicle["frame"].diff() > 1,
    }
    table = pd.DataFrame(broken)
    bad = table.any(axis=1)
    points = si[~bad].copy()
    kept = points.groupby("vehicle_id")
    for axis in "xy":
        points[f"velocity_{axis}"] = (
            kept[f"{axis}_position"].shift(-1) - kept[f"{axis}_position"].shift(1)
        ) / 0.2
        points[f"acceleration_{axis}"] = (
            kept[f"{axis}_position"].shift(-1)
            - 2 * points[f"{axis}_position"]
            + kept[f"{axis}_position"].shift(1)
        ) / 0.01
    refused = rows[bad].copy()
    names = np.array(table.columns)
    refused["reasons"] = [list(names[row]) for row in table[bad].to_numpy()]
    refused.attrs["flags"] = {name: int(rows.sum()) for name, rows in flags.items()}
    return points, refused


def whittaker(values: np.ndarray, seen: np.ndarray, stiffness: float = 30.0) -> np.ndarray:
    """Robust Whittaker smoother with third differences, five reweightings (bisquare)."""
    n = len(values)
    if n < 5:
        return values
    weights = seen.astype(float)
    penalty = diags([-1.0, 3.0, -3.0, 1.0], [0, 1, 2, 3], shape=(n - 3, n))
    product = (penalty.T @ penalty).todia()
    band = np.zeros((4, n))
    for k in range(4):
        band[3 - k, k:] = product.diagonal(k)
    smooth = values
    for _ in range(6):
        system = stiffness * band
        system[3] += weights + 1e-9
        smooth = solveh_banded(system, weights * values)
        residual = np.where(seen, values - smooth, 0.0)
        scale = max(1.4826 * np.median(np.abs(residual[seen])), 1e-3)
        weights = seen * np.clip(1 - (residual / (4.685 * scale)) ** 2, 0, 1) ** 2
    return smooth


def clean(points: pd.DataFrame) -> pd.DataFrame:
    """Every trajectory at 10 Hz, gaps up to 2 s filled, x, v and a from one smooth position."""
    cleaned = []
    for _, track in points.groupby("vehicle_id"):
        stretch = (track["frame"].diff() > 20).cumsum()
        for _, piece in track.groupby(stretch):
            frames = np.arange(piece["frame"].iloc[0], piece["frame"].iloc[-1] + 1)
            full = piece.set_index("frame").reindex(frames)
            seen = full["y_position"].notna().to_numpy()
            carried = full.columns.difference(["x_position", "y_position", "source_row"])
            full[carried] = full[carried].ffill()
            full["x_raw"], full["y_raw"] = full["x_position"], full["y_position"]
            for axis in "xy":
                values = full[f"{axis}_position"].interpolate().to_numpy()
                smooth = whittaker(values, seen)
                full[f"{axis}_position"] = smooth
                if len(smooth) > 1:
                    full[f"velocity_{axis}"] = np.gradient(smooth, 0.1)
                    full[f"acceleration_{axis}"] = np.gradient(full[f"velocity_{axis}"], 0.1)
                else:
                    full[f"velocity_{axis}"] = full[f"acceleration_{axis}"] = 0.0
            full["speed"] = np.hypot(full["velocity_x"], full["velocity_y"])
            full["jerk"] = np.gradient(full["acceleration_y"], 0.1) if len(full) > 1 else 0.0
            off = (full["y_position"] - full["y_raw"]).abs()
            full["state"] = np.where(~seen, "imputed", np.where(off > 1, "repaired", "observed"))
            cleaned.append(full.rename_axis("frame").reset_index())
    result = pd.concat(cleaned, ignore_index=True)
    leader = result[["preceding_id", "frame"]].merge(
        result[["vehicle_id", "frame", "y_position"]],
        how="left",
        left_on=["preceding_id", "frame"],
        right_on=["vehicle_id", "frame"],
    )
    result["space_headway"] = leader["y_position"].to_numpy() - result["y_position"]
    result["time_headway"] = (result["space_headway"] / result["speed"]).where(
        result["speed"] > 0.1
    )
    return result


def segments(cleaned: pd.DataFrame) -> pd.DataFrame:
    """One row per vehicle."""
    groups = cleaned.groupby("trajectory_id")
    table = groups.agg(
        vehicle_id=("vehicle_id", "first"),
        start_time=("timestamp", "min"),
        end_time=("timestamp", "max"),
        points=("frame", "size"),
        first=("y_position", "first"),
        last=("y_position", "last"),
        speed_mean=("speed", "mean"),
        speed_max=("speed", "max"),
        length=("length", "median"),
        width=("width", "median"),
    )
    table["distance"] = table["last"] - table["first"]
    for state in ("observed", "repaired", "imputed"):
        table[f"points_{state}"] = (
            (cleaned["state"] == state).groupby(cleaned["trajectory_id"]).sum()
        )
    table["lanes"] = groups["lane_id"].agg(lambda lane: list(lane[lane.diff() != 0]))
    return table.reset_index()


def traffic_state(cleaned: pd.DataFrame) -> pd.DataFrame:
    """Edie's flow, density and speed per lane, 30 s by 50 m."""
    step = cleaned.groupby("vehicle_id")["y_position"].shift(-1) - cleaned["y_position"]
    cells = pd.DataFrame(
        {
            "lane_id": cleaned["lane_id"],
            "time": cleaned["frame"] // 300,
            "place": (cleaned["y_position"] // 50).astype("Int64"),
            "distance": step.fillna(0.0).clip(lower=0),
            "duration": np.where(step.notna(), 0.1, 0.0),
            "vehicle_id": cleaned["vehicle_id"],
        }
    )
    table = cells.groupby(["lane_id", "time", "place"]).agg(
        distance=("distance", "sum"),
        duration=("duration", "sum"),
        vehicles=("vehicle_id", "nunique"),
    )
    table["flow"] = table["distance"] / (30 * 50) * 3600
    table["density"] = table["duration"] / (30 * 50) * 1000
    table["speed"] = table["distance"] / table["duration"]
    return table.reset_index()


def metrics(points: pd.DataFrame, cleaned: pd.DataFrame) -> pd.DataFrame:
    """Jerk shares, consistency, residuals and overlaps, before and after."""
    rows = []
    for stage, frame, acceleration in (
        ("raw", points, "acceleration"),
        ("cleaned", cleaned, "acceleration_y"),
    ):
        groups = frame.groupby("vehicle_id")
        jerk = groups[acceleration].diff() / 0.1
        sign = np.sign(jerk)
        turned = (sign * sign.groupby(frame["vehicle_id"]).shift(1) < 0).astype(float)
        windows = turned.groupby(frame["vehicle_id"]).rolling(10).sum()
        integrated = groups["speed"].transform(lambda v: v.cumsum() * 0.1)
        travelled = frame["y_position"] - groups["y_position"].transform("first")
        rows += [
            (stage, "jerk_over_15", (jerk.abs() > 15).mean()),
            (stage, "jerk_sd", jerk.std()),
            (stage, "inversion_windows", (windows > 1).mean()),
            (stage, "acceleration_over_3", (frame[acceleration].abs() > 3).mean()),
            (stage, "position_against_speed", np.sqrt(((travelled - integrated) ** 2).mean())),
            (stage, "lane_changes", (groups["lane_id"].diff().fillna(0) != 0).sum()),
            (stage, "speed_mean", frame["speed"].mean()),
            (stage, "negative_gap", (frame["space_headway"] < frame["length"]).mean()),
        ]
    residual = cleaned["y_position"] - cleaned["y_raw"]
    rows += [
        ("cleaned", "residual_mean", residual.mean()),
        ("cleaned", "residual_rmse", np.sqrt((residual**2).mean())),
    ]
    return pd.DataFrame(rows, columns=["stage", "metric", "value"])


def run(path: Path, out: Path) -> dict[str, float]:
    """All tables of every recording in `path`, as Parquet below `out`; rows and seconds."""
    started = time.perf_counter()
    raw = read(path)
    for (highway, t0), rows in raw.groupby(["location", "t0"]):
        folder = out / str(highway) / str(t0)
        folder.mkdir(parents=True, exist_ok=True)
        rows.to_parquet(folder / "raw.parquet")
        if len(rows) < 100:
            continue
        points, refused = validate(rows, str(highway), int(t0))
        points.to_parquet(folder / "validated.parquet")
        refused.to_parquet(folder / "quarantine.parquet")
        cleaned = clean(points)
        cleaned.to_parquet(folder / "cleaned.parquet")
        segments(cleaned).to_parquet(folder / "segments.parquet")
        traffic_state(cleaned).to_parquet(folder / "traffic_state.parquet")
        metrics(points, cleaned).to_parquet(folder / "metrics.parquet")
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rows": len(raw), "seconds": seconds, "peak_mb": peak}


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), Path(sys.argv[2]))))
