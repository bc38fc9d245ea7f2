"""Transforms in the writer's own process."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from caudal.contract import Contract, UserFunction
from caudal.ingest.stream.kpl import KplError, user_records
from caudal.ingest.transform.batch import fitting_rows
from caudal.ingest.transform.chain import Chain
from caudal.ingest.transform.debezium import TOMBSTONE
from caudal.ingest.transform.decode import Decoded
from caudal.ingest.transform.firehose import call_handler
from caudal.ingest.transform.form import parse_value
from caudal.ingest.transform.port import Transform
from caudal.ingest.transform.renames import open_decoder
from caudal.ingest.transform.unknown import Rescue
from caudal.ingest.transform.values import Misfit, exact_row
from caudal.records import Outcome, Records, Rejected

Rows = list[dict[str, Any]]


class InprocessTransform(Transform):
    """Runs the user's function here; it sees only records that fit the contract."""

    def __init__(self, source: Contract, into: Contract, function: UserFunction | None) -> None:
        self._decoder = open_decoder(replace(source, form="caudal"), source.form)
        self._chain = Chain(source) if source.form == "dynamodb" else None
        self._rescue = Rescue(source)
        self._source = source
        self._into = into
        self._function = function

    @classmethod
    def open(cls, url: str, source: Contract, into: Contract, function: UserFunction | None) -> Self:
        return cls(source, into, function)

    def apply(self, records: Records) -> Outcome:
        decoded = self._decoder.decode(records)
        images = None
        if self._chain is not None:
            decoded.rows, images = self._chain.link(decoded.rows, records)
        tombstones = sum(record.reason == TOMBSTONE for record in decoded.rejected)
        decoded.rejected = [_explained(record) for record in decoded.rejected if record.reason != TOMBSTONE]
        if self._function is None:
            decoded.rows, rescued = self._rescue.add(decoded.rows, records, images)
            if rescued:
                decoded.warnings["unknown_members"] = rescued
            return Outcome(decoded.rows, len(decoded.rows), tombstones, decoded.rejected, dict(decoded.warnings))
        failures: dict[int, Misfit] = {}
        rows = {"record": self._each_record, "batch": self._each_batch, "lambda": self._by_handler}[self._function.each](
            decoded, records, failures
        )
        rejected = decoded.rejected + [self._reject(records, position, why) for position, why in sorted(failures.items())]
        delivered = len(pc.unique(rows["_position"]))
        dropped = len(records) - delivered - len(rejected)
        return Outcome(rows, delivered, dropped, rejected, dict(decoded.warnings))

    @staticmethod
    def _reject(records: Records, position: int, why: Misfit) -> Rejected:
        index = position - records.first
        return Rejected(records.shard, position, int(records.times[index]), why.reason, why.detail, records.raw(index))

    def _each_record(self, decoded: Decoded, _: Records, failures: dict[int, Misfit]) -> pa.Table:
        """Call the function with each item; it returns an item, a list of them, or None to drop the record."""
        return self._typed(self._called(decoded, failures), decoded.warnings, failures)

    def _called(self, decoded: Decoded, failures: dict[int, Misfit]) -> Iterator[tuple[dict[str, Any], Rows]]:
        assert self._function is not None
        names = [column.name for column in self._source.columns]
        nested = [column.name for column in self._source.columns if column.kind == "json"]
        system = decoded.rows.select(self._into.system.names).to_pylist()
        for item, place in zip(decoded.rows.select(names).to_pylist(), system, strict=True):
            try:
                for name in nested:
                    item[name] = parse_value(item[name].encode()) if item[name] is not None else None
                yield place, _as_rows(self._function.function(item))
            except Misfit as misfit:
                failures[place["_position"]] = misfit
            except (Exception, SystemExit) as error:  # whatever the user's code raises
                failures[place["_position"]] = _raised(self._function, error)

    def _by_handler(self, decoded: Decoded, records: Records, failures: dict[int, Misfit]) -> pa.Table:
        """Call an AWS Lambda handler with items as JSON."""
        assert self._function is not None
        return self._typed(
            call_handler(self._function.function, decoded.rows, self._source, self._into, failures), decoded.warnings, failures
        )

    def _typed(
        self, made: Iterator[tuple[dict[str, Any], Rows]], warnings: Counter[str], failures: dict[int, Misfit]
    ) -> pa.Table:
        """Rows whose every value fits; a record with one that does not fails as a whole."""
        fitting: Rows = []
        for place, rows in made:
            try:
                fitting += [{**self._fitted(row, warnings), **place} for row in rows]
            except Misfit as misfit:
                failures[place["_position"]] = misfit
        return pa.Table.from_pylist(fitting, self._into.row_schema)

    def _fitted(self, row: Mapping[str, Any], warnings: Counter[str]) -> dict[str, Any]:
        def warn(name: str) -> None:
            warnings[name] += 1

        return exact_row(self._into, row, warn)

    def _each_batch(self, decoded: Decoded, _: Records, failures: dict[int, Misfit]) -> pa.Table:
        """Call the function with the whole table; where it raises, with halves of it, down to the rows at fault."""
        assert self._function is not None
        done: list[pa.Table] = []
        waiting = [decoded.rows] if len(decoded.rows) else []
        while waiting:
            part = waiting.pop()
            try:
                made = self._function.function(part)
                done.append(fitting_rows(made, part, self._into, failures, decoded.warnings))
            except (Exception, SystemExit) as error:  # whatever the user's code raises
                if len(part) == 1:
                    why = error if isinstance(error, Misfit) else _raised(self._function, error)
                    failures[part["_position"][0].as_py()] = why
                else:
                    waiting += [part.slice(len(part) // 2), part.slice(0, len(part) // 2)]
        return pa.concat_tables(done) if done else self._into.row_schema.empty_table()


def _explained(record: Rejected) -> Rejected:
    """An aggregate that reached us whole is damaged: that says more than that it is no JSON."""
    try:
        user_records(record.raw)
    except KplError as error:
        return record._replace(reason=error.reason, detail=str(error))
    return record


def _as_rows(made: Any) -> Rows:
    if made is None:
        return []
    if isinstance(made, Mapping):
        return [dict(made)]
    if isinstance(made, list) and all(isinstance(row, Mapping) for row in made):
        return [dict(row) for row in made]
    raise Misfit("transform_output", f"the function returned a {type(made).__name__}, not a dict, a list of dicts or None")


def _raised(function: UserFunction, error: BaseException) -> Misfit:
    # The message of the user's error may quote a person's data; its type and line do not.
    trace, line = error.__traceback__, 0
    while trace is not None:
        if trace.tb_frame.f_code is getattr(function.function, "__code__", None):
            line = trace.tb_lineno
        trace = trace.tb_next
    return Misfit("transform_raised", f"{function.name} raised {type(error).__name__}" + (f" at line {line}" if line else ""))


