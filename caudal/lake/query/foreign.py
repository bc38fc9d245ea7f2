"""The SQL of tables whose changes another system makes: repeated, and not always in their order."""

from caudal.contract import Contract
from caudal.lake.query.sources import quoted


def without_repeats(rows: str) -> str:
    """The rows of each event's first record: an event id tells a repeat, equal content does not."""
    return f"SELECT * FROM ({rows}) QUALIFY rank() OVER (PARTITION BY _event_id ORDER BY _shard, _position) = 1"


def current_by_event_id(contract: Contract, rows: str) -> str:
    """The latest row of each key whose event ids sort as the source's log does."""
    key, columns = _names(contract)
    return (
        f"SELECT {columns} FROM ({rows}) QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY _event_id DESC, _position) = 1"
        " AND _op <> 'delete'"
    )


def current_by_chain(contract: Contract, rows: str) -> str:
    """The latest row of each key: by event time, then by the chain of images, by sequence, and by position last.

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
