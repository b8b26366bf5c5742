"""Earlier states of a recording: which versions of its tables were live together.

Belongs here: which tables a recording has, as the lake's history is asked for them. Does not
belong here: reading that history (storage/states.py), making a state live again (rollback.py).
"""

from __future__ import annotations

from ngsim_assets.highway.data_versions import partition_of, table_of
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.staleness import ASSETS, TOGETHER
from ngsim_assets.storage.states import Place, Subject


def subject_of(key: PartitionKey) -> Subject:
    """A recording and where its rows are; versions of its `quality_metrics` stand for it."""
    return Subject(
        name=str(key),
        places={asset: Place(table_of(asset), partition_of(asset, key)) for asset in ASSETS},
        main="quality_report",
        together=TOGETHER,
    )
