"""The rescue column: what records have and their contract does not know."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from caudal.contract import Contract
from caudal.forms import RESCUED
from caudal.ingest.transform.look import read_unknown
from caudal.records import Records


def rescued(contract: Contract, rows: pa.Table, records: Records, suspects: npt.NDArray[np.int64]) -> tuple[pa.Table, int]:
    """The rows with what their records have beside the columns, and how many have something.

    Args:
        contract: with the form of the records.
        rows: what was made of the records; records that did not fit have none.
        suspects: positions of the records that may have something.
    """
    positions = rows["_position"].to_numpy()
    where = np.flatnonzero(np.isin(positions, suspects)) if len(suspects) else suspects
    texts = [read_unknown(contract, records.raw(int(position) - records.first)) for position in positions[where]]
    if not any(texts):
        return rows, 0
    mask = np.zeros(len(rows), bool)
    mask[where] = True
    made = pc.replace_with_mask(pa.nulls(len(rows), pa.string()), mask, pa.array([text or None for text in texts], pa.string()))
    column = rows.schema.get_field_index(RESCUED)
    return rows.set_column(column, rows.schema.field(column), made), sum(map(bool, texts))
