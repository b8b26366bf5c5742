"""Error figures that others published about NGSIM, to print beside ours.

Belongs here: figures with data, method and source. Does not belong here: anything measured by
this package. Definitions differ between publications: these are context, not limits.
"""

from __future__ import annotations

from ngsim_assets.quality.report import ReferenceTable

PUBLISHED = ReferenceTable(
    title="Errors of NGSIM in the literature",
    caption="As published, in the units published. Shares depend on their definition.",
    columns=("figure", "data and method", "value", "source"),
    rows=(
        (
            "jerk over 15 m/s³",
            "NGSIM as delivered",
            "6.5 to 17.4 % of samples",
            "Punzo, Borzacchiello, Ciuffo 2011",
        ),
        (
            "windows of 1 s with more than one inversion of jerk",
            "NGSIM as delivered",
            "over 74 %",
            "Punzo, Borzacchiello, Ciuffo 2011",
        ),
        (
            "standard deviation of jerk",
            "I-80: delivered / Kalman / moving average / adaptive Kalman",
            "33.40 / 7.98 / 2.95 / 3.41 m/s³",
            "J. Adv. Transp. 2023/2661136, table 2",
        ),
        (
            "jerk over 15 m/s³",
            "I-80, mean of trajectories: delivered / Kalman / moving average / adaptive Kalman",
            "22.83 / 0.30 / 0.29 / 0.16 %",
            "J. Adv. Transp. 2023/2661136, table 2",
        ),
        (
            "windows with more than one inversion of jerk",
            "I-80, mean of trajectories: delivered / Kalman / moving average / adaptive Kalman",
            "75.23 / 21.22 / 56.10 / 13.54 %",
            "J. Adv. Transp. 2023/2661136, table 2",
        ),
        (
            "mean squared error of speed",
            "I-80 camera 6 against re-extraction: delivered / Montanino and Punzo / EMD",
            "7.98 / 4.94 / 3.26 (ft/s)²",
            "Coifman, Li 2017",
        ),
        (
            "mean squared error of acceleration",
            "I-80 camera 6 against re-extraction: delivered / Montanino and Punzo / EMD",
            "29.97 / 7.33 / 2.45 (ft/s²)²",
            "Coifman, Li 2017",
        ),
        (
            "standard deviation of acceleration",
            "I-80 camera 6: delivered / Montanino and Punzo / EMD / re-extraction",
            "5.43 / 3.03 / 1.89 / 1.89 ft/s²",
            "Coifman, Li 2017",
        ),
        (
            "acceleration over 3 m/s², jerk over 15 m/s³, inversion windows",
            "I-80 camera 6, re-extraction from video",
            "0.05 %, none, 12.6 %",
            "Coifman, Li 2017",
        ),
        (
            "lane changes, mainline: all / stable for 3 s",
            "I-80 as delivered; US-101 as delivered",
            "2,226 / 1,729; 1,805 / 1,226",
            "published counts, all periods of a site together",
        ),
        (
            "wave speed; largest flow; jam density",
            "US-101, Edie's definitions per lane, 30 s × 50 m",
            "−14.6 km/h (−19.0 to −10.6), −4.06 m/s; 2,097 veh/h; 180 veh/km",
            "FlowState",
        ),
        (
            "flow; space-mean speed, per 5 minutes",
            "I-80 16:00, all lanes",
            "6,612, 8,364, 7,800 veh/h; 20.01, 17.82, 15.64 mph (8.95, 7.97, 6.99 m/s)",
            "FHWA, report of the recording",
        ),
    ),
)
