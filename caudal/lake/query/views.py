"""The SQL of what a table shows: every change, or the latest state of each key."""

from collections.abc import Sequence
from typing import NamedTuple

from caudal.contract import Contract
from caudal.lake.query.foreign import latest, without_repeats
from caudal.lake.query.sources import ROW, quoted

_LIVE = "_op <> 'delete'"


def history(contract: Contract, rows: str) -> str:
    """Every change once: a foreign source repeats some, and its event ids tell which.

    Args:
        rows: SQL of all rows, with the system columns.
    """
    return without_repeats(rows) if contract.foreign else rows


def current(contract: Contract, rows: str, has_row_ids: bool, columns: Sequence[str] = (), deleted: bool = False) -> str:
    """The latest row of each key, without keys that were deleted; only the contract's columns.

    Args:
        rows: SQL of all rows, with the system columns.
        has_row_ids: whether `rows` has a column `ROW` that is cheap and unique.
        columns: instead of the contract's.
        deleted: show the deletes of deleted keys as well.

    Where rows have ids, the winners are found from key and position alone and then joined back: the join is on
    numbers, and its reach prunes row groups. Measured on 2 M rows of 1 M keys: 0.39 s for an aggregate against 1.9 s
    for row_number, 0.09 s for one key. CSV has no ids, and to read it twice costs more than the window.
    """
    if contract.foreign:
        return latest(contract, rows, has_row_ids)
    key = ", ".join(quoted(name) for name in contract.key)
    shown = columns or [column.name for column in contract.columns]
    live = "true" if deleted else _LIVE
    if not has_row_ids:
        return (
            f"SELECT {', '.join(map(quoted, shown))} FROM (SELECT *, row_number() OVER"
            f" (PARTITION BY {key} ORDER BY _position DESC) AS {ROW} FROM ({rows})) WHERE {ROW} = 1 AND {live}"
        )
    names = ", ".join(f"{'latest' if name in contract.key else 'r'}.{quoted(name)}" for name in shown)
    return (
        f"SELECT {names} FROM ({rows}) AS r JOIN (SELECT {key}, max(_position) AS _position,"
        f" arg_max({ROW}, _position) AS {ROW} FROM ({rows}) GROUP BY {key}) AS latest"
        f" ON r.{ROW} = latest.{ROW} AND r._position = latest._position WHERE {live}"
    )


class Changes(NamedTuple):
    """What came since a base."""

    rows: str
    """SQL of its rows, with the system columns."""
    superseded: str
    """A relation of `ROW`, the base's rows whose keys are in `rows`; "" if there are none."""
    late: bool
    """Whether some of these came after what `rows` has of their key."""
    latest: bool
    """Whether `rows` has one row of each key, the latest."""


def from_base(
    contract: Contract, live: str, gone: str, changes: Changes | None, columns: Sequence[str] = (), deleted: bool = False
) -> str:
    """The same as `current`, from a base and what came since: the base minus changed keys, plus their latest rows.

    Args:
        live: SQL of the base's rows of keys that were not deleted, with the system columns and `ROW`.
        gone: the same of keys that were; a late row must not revive them.
        changes: None if nothing came.
    """
    shown = ", ".join(map(quoted, columns or [column.name for column in contract.columns]))
    kept = f"SELECT {shown} FROM ({f'{live} UNION ALL {gone}' if deleted else live})"
    if changes is None:
        return kept
    same = f"{quoted(changes.superseded)} USING ({ROW})"
    if changes.superseded:
        kept += f" ANTI JOIN {same}"
    if changes.latest and not changes.late:
        return f"{kept} UNION ALL SELECT {shown} FROM ({changes.rows}) WHERE {'true' if deleted else _LIVE}"
    every = ", ".join(map(quoted, contract.row_schema.names))
    rows = f"SELECT {every} FROM ({changes.rows})"
    if changes.late:
        rows += f" UNION ALL SELECT {every} FROM ({live} UNION ALL {gone}) SEMI JOIN {same}"
    return f"{kept} UNION ALL {current(contract, rows, False, columns, deleted)}"
