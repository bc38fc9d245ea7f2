"""Rows on their way to a user's function in a worker, and what it made of them on the way back; this side and the worker's.

Rows travel as Arrow, both ways. The function goes there once, when the worker starts: by name if its module can be imported,
else as its code, which only cloudpickle can take along. What it makes is read by nobody but our own worker, over the socket that
it was born with: no pickle is ever read from a file, a stream or a network.
"""

from collections import Counter
from typing import Any

import cloudpickle
import msgspec
import pyarrow as pa

from caudal.errors import ContractError
from caudal.ingest.transform.child import Answer, Tell
from caudal.ingest.transform.functions import Call, Made
from caudal.ingest.transform.values import Misfit
from caudal.ingest.transform.worker import Worker

_FAILURES = b"caudal.failures"
_WARNINGS = b"caudal.warnings"

TARGET = f"{__name__}:serve"
"""What a worker runs."""


def packed(call: Call) -> bytes:
    """The function and its contracts, for `serve`. Raises ContractError if it holds on to what cannot leave its process."""
    try:
        made: bytes = cloudpickle.dumps(call)
    except Exception as error:  # whatever the objects that it holds on to raise
        raise ContractError(
            f"transform {call.function.name} cannot run in a process of its own: {type(error).__name__}: {error}",
            hint="open connections and locks inside the function, or set [transform] url = 'inprocess:'",
        ) from None
    return made


def ask(worker: Worker, rows: pa.Table) -> Made:
    """What the worker's function makes of some rows. Raises WorkerDied, Unavailable."""
    with pa.ipc.open_stream(pa.py_buffer(worker.call(_written(rows)))) as answer:
        made = answer.read_all()
    told = made.schema.metadata
    failures = {position: Misfit(reason, detail) for position, reason, detail in msgspec.json.decode(told[_FAILURES])}
    return Made(made.replace_schema_metadata(None), failures, Counter(msgspec.json.decode(told[_WARNINGS])))


def serve(argument: bytes) -> Answer:
    """The worker's side: from rows to rows, with the function in `argument`."""
    call: Call = cloudpickle.loads(argument)
    pa.array([])  # the first list that pyarrow takes imports pandas, where that is installed: not in the function's seconds

    def answer(request: memoryview, tell: Tell) -> list[Any]:
        with pa.ipc.open_stream(pa.py_buffer(request)) as given:
            made = call.run(given.read_all(), tell)
        failures = [(position, why.reason, why.detail) for position, why in made.failures.items()]
        told = {_FAILURES: msgspec.json.encode(failures), _WARNINGS: msgspec.json.encode(made.warnings)}
        return [_written(made.rows.replace_schema_metadata(told))]

    return answer


def _written(rows: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as out:
        out.write_table(rows)
    return sink.getvalue()
