"""Transforms in the writer's own process."""

from dataclasses import replace
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from caudal.config import Config
from caudal.contract import Contract, UserFunction
from caudal.ingest.stream.kpl import KplError, user_records
from caudal.ingest.transform.chain import Chain
from caudal.ingest.transform.debezium import TOMBSTONE
from caudal.ingest.transform.functions import Call, Made
from caudal.ingest.transform.port import Transform
from caudal.ingest.transform.renames import open_decoder
from caudal.ingest.transform.unknown import rescued
from caudal.ingest.transform.values import Misfit
from caudal.records import Outcome, Records, Rejected


class InprocessTransform(Transform):
    """Runs the user's function here; it sees only records that fit the contract."""

    def __init__(self, source: Contract, into: Contract, function: UserFunction | None) -> None:
        self._decoder = open_decoder(replace(source, form="caudal"), source.form)
        self._chain = Chain(source) if source.form == "dynamodb" else None
        self._source = source
        self._into = into
        self._function = function

    @classmethod
    def open(cls, url: str, source: Contract, into: Contract, function: UserFunction | None, config: Config) -> Self:
        return cls(source, into, function)

    def apply(self, records: Records) -> Outcome:
        decoded = self._decoder.decode(records)
        if self._chain is not None:
            decoded.rows = self._chain.link(decoded.rows, records)
        tombstones = sum(record.reason == TOMBSTONE for record in decoded.rejected)
        decoded.rejected = [_explained(record) for record in decoded.rejected if record.reason != TOMBSTONE]
        if self._function is None:
            decoded.rows, found = rescued(self._source, decoded.rows, records, decoded.unknown)
            if found:
                decoded.warnings["unknown_members"] = found
            return Outcome(decoded.rows, len(decoded.rows), tombstones, decoded.rejected, dict(decoded.warnings))
        made = self._called(Call(self._function, self._source, self._into), decoded.rows)
        rejected = decoded.rejected + [self._reject(records, position, why) for position, why in sorted(made.failures.items())]
        delivered = len(pc.unique(made.rows["_position"]))
        dropped = len(records) - delivered - len(rejected)
        return Outcome(made.rows, delivered, dropped, rejected, dict(decoded.warnings + made.warnings))

    def _called(self, call: Call, rows: pa.Table) -> Made:
        return call.run(rows)

    @staticmethod
    def _reject(records: Records, position: int, why: Misfit) -> Rejected:
        index = position - records.first
        return Rejected(records.shard, position, int(records.times[index]), why.reason, why.detail, records.raw(index))


def _explained(record: Rejected) -> Rejected:
    """An aggregate that reached us whole is damaged: that says more than that it is no JSON."""
    try:
        user_records(record.raw)
    except KplError as error:
        return record._replace(reason=error.reason, detail=str(error))
    return record
