"""The SQL of tables whose changes another system makes: repeated, and not always in their order."""

from caudal.contract import Contract
from caudal.lake.query.sources import ROW, quoted

_WIDTH = 2**64


def without_repeats(rows: str) -> str:
    """The rows of each event's first record: an event id tells a repeat, equal content does not."""
    return f"SELECT * FROM ({rows}) QUALIFY rank() OVER (PARTITION BY _event_id ORDER BY _shard, _position) = 1"


def latest(contract: Contract, rows: str, has_row_ids: bool) -> str:
    """The latest row of each key, without keys that were deleted; arguments as of `views.current`."""
    return _by_time(contract, rows, has_row_ids) if contract.form == "dynamodb" else _by_event_id(contract, rows)


def _by_event_id(contract: Contract, rows: str) -> str:
    """The latest row of each key whose event ids sort as the source's log does."""
    key, columns = _names(contract)
    return (
        f"SELECT {columns} FROM ({rows}) QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY _event_id DESC, _position) = 1"
        " AND _op <> 'delete'"
    )


def _by_time(contract: Contract, rows: str, has_row_ids: bool) -> str:
    """The latest row of each key: by event time, then by the chain of images, by sequence, and by position last.

    Most keys have one newest event. Where rows have ids these are found from key, time and event id alone and joined back,
    as in `current`; only the others are looked at closely. An event is the only one of its time if it has both the greatest
    and the least digest. Measured on 2 M rows of 1 M keys: 1.1 s for an aggregate, against 2.5 s when all are looked at.
    """
    if not has_row_ids:
        return _by_chain(contract, rows)
    key, columns = _names(contract)
    joined = ", ".join(f"r.{quoted(column.name)}" for column in contract.columns)
    several = f"SELECT r.* FROM ({rows}) AS r SEMI JOIN (SELECT {key} FROM newest WHERE NOT _alone) AS tied USING ({key})"
    return f"""
        WITH newest AS (
            SELECT {key}, arg_max({ROW}, _up) AS {ROW}, max(_up) + max(_down) = 2 * max(_time) + {_WIDTH} - 1 AS _alone FROM (
                SELECT {key}, {ROW}, epoch_us(_event_time)::HUGEINT * {_WIDTH} AS _time, hash(_event_id) AS _digest,
                    _time + _digest AS _up, _time + ({_WIDTH} - 1 - _digest) AS _down FROM ({rows})
            ) GROUP BY {key}
        )
        SELECT {joined} FROM ({rows}) AS r JOIN newest ON r.{ROW} = newest.{ROW} WHERE _alone AND r._op <> 'delete'
        UNION ALL SELECT {columns} FROM ({_by_chain(contract, several)})"""


def _by_chain(contract: Contract, rows: str) -> str:
    """The same, of keys that may each have several newest changes.

    Changes of one key are a way from image to image, so the image at its end was reached once more than it was left. That
    is counted for keys with several newest changes: among these (`near`) and, should they lead in a circle, among all
    changes of the key (`far`). If all of the way is a circle, it ends with the image of the change before these (`last`) or,
    should they be all that is known, as a key's way begins: without an item.
    """
    key, columns = _names(contract)
    return f"""
        WITH aged AS (
            SELECT *, dense_rank() OVER (PARTITION BY {key} ORDER BY _event_time DESC) AS _age FROM ({without_repeats(rows)})
        ), tied AS (
            SELECT {key}, CASE count(*) FILTER (WHERE _age = 2) WHEN 1 THEN max(_after) FILTER (WHERE _age = 2) END AS _last
            FROM aged GROUP BY {key} HAVING count(*) FILTER (WHERE _age = 1) > 1
        ), step AS (
            SELECT {key}, _age, unnest([_before, _after]) AS _image, unnest([-1, 1]) AS _step
            FROM aged SEMI JOIN tied USING ({key})
        ), image AS (
            SELECT {key}, _image AS _after, sum(_step) FILTER (WHERE _age = 1) AS _near, sum(_step) AS _far
            FROM step GROUP BY {key}, _image
        )
        SELECT {columns} FROM aged LEFT JOIN tied USING ({key}) LEFT JOIN image USING ({key}, _after) WHERE _age = 1
        QUALIFY row_number() OVER (
            PARTITION BY {key} ORDER BY _near DESC NULLS LAST, _far DESC NULLS LAST, (_after = _last) DESC NULLS LAST,
            _sequence DESC NULLS LAST, _after = 0 DESC NULLS LAST, _position DESC
        ) = 1 AND _op <> 'delete'"""


def _names(contract: Contract) -> tuple[str, str]:
    """The columns of the key, and all of them."""
    return ", ".join(map(quoted, contract.key)), ", ".join(quoted(column.name) for column in contract.columns)
