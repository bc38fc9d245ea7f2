"""The SQL of what a table shows: every change, or the latest state of each key."""

from caudal.contract import Contract
from caudal.lake.query.foreign import latest, without_repeats
from caudal.lake.query.sources import ROW, quoted


def history(contract: Contract, rows: str) -> str:
    """Every change once: a foreign source repeats some, and its event ids tell which.

    Args:
        rows: SQL of all rows, with the system columns.
    """
    return without_repeats(rows) if contract.foreign else rows


def current(contract: Contract, rows: str, has_row_ids: bool) -> str:
    """The latest row of each key, without keys that were deleted; only the contract's columns.

    Args:
        rows: SQL of all rows, with the system columns.
        has_row_ids: whether `rows` has a column `ROW` that is cheap and unique.

    Where rows have ids, the winners are found from key and position alone and then joined back: the join is on
    numbers, and its reach prunes row groups. Measured on 2 M rows of 1 M keys: 0.39 s for an aggregate against 1.9 s
    for row_number, 0.09 s for one key. CSV has no ids, and to read it twice costs more than the window.
    """
    if contract.foreign:
        return latest(contract, rows, has_row_ids)
    key = ", ".join(quoted(name) for name in contract.key)
    if not has_row_ids:
        columns = ", ".join(quoted(column.name) for column in contract.columns)
        return (
            f"SELECT {columns} FROM (SELECT *, row_number() OVER (PARTITION BY {key} ORDER BY _position DESC) AS {ROW}"
            f" FROM ({rows})) WHERE {ROW} = 1 AND _op <> 'delete'"
        )
    columns = ", ".join(
        f"{'latest' if column.name in contract.key else 'r'}.{quoted(column.name)}" for column in contract.columns
    )
    return (
        f"SELECT {columns} FROM ({rows}) AS r JOIN (SELECT {key}, max(_position) AS _position,"
        f" arg_max({ROW}, _position) AS {ROW} FROM ({rows}) GROUP BY {key}) AS latest"
        f" ON r.{ROW} = latest.{ROW} AND r._position = latest._position WHERE r._op <> 'delete'"
    )
