"""What a user's function makes of typed rows: each record becomes rows, or none, or fails, alone."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from caudal.contract import Contract, UserFunction
from caudal.ingest.transform.batch import fitting_rows
from caudal.ingest.transform.firehose import call_handler
from caudal.ingest.transform.form import parse_value
from caudal.ingest.transform.raised import Tell, raised
from caudal.ingest.transform.values import Misfit, exact_row

Rows = list[dict[str, Any]]


class Made(NamedTuple):
    """What became of some records."""

    rows: pa.Table
    """Typed, with the system columns of the records that they came from."""
    failures: dict[int, Misfit]
    """Position to why the record became no row."""
    warnings: Counter[str]
    """Lossy but allowed things seen, by name: how often."""


@dataclass(frozen=True)
class Call:
    """A user's function between two contracts."""

    function: UserFunction
    source: Contract
    into: Contract

    def run(self, rows: pa.Table, tell: Tell = lambda start, stop: None) -> Made:
        """Call the function with rows of `source`, as its kind has it. Raises nothing that the function raises."""
        kinds = {"record": self._each_record, "batch": self._each_batch, "lambda": self._by_handler}
        failures: dict[int, Misfit] = {}
        warnings: Counter[str] = Counter()
        return Made(kinds[self.function.each](rows, failures, warnings, tell), failures, warnings)

    def _each_record(self, rows: pa.Table, failures: dict[int, Misfit], warnings: Counter[str], tell: Tell) -> pa.Table:
        """Call the function with each item; it returns an item, a list of them, or None to drop the record."""
        return self._typed(self._called(rows, failures, tell), failures, warnings)

    def _called(self, rows: pa.Table, failures: dict[int, Misfit], tell: Tell) -> Iterator[tuple[dict[str, Any], Rows]]:
        names = [column.name for column in self.source.columns]
        nested = [column.name for column in self.source.columns if column.kind == "json"]
        system = rows.select(self.into.system.names).to_pylist()
        for n, (item, place) in enumerate(zip(rows.select(names).to_pylist(), system, strict=True)):
            tell(n, n + 1)
            try:
                for name in nested:
                    item[name] = parse_value(item[name].encode()) if item[name] is not None else None
                yield place, _as_rows(self.function.function(item))
            except Misfit as misfit:
                failures[place["_position"]] = misfit
            except (Exception, SystemExit) as error:  # whatever the user's code raises
                failures[place["_position"]] = raised(self.function, error)

    def _by_handler(self, rows: pa.Table, failures: dict[int, Misfit], warnings: Counter[str], tell: Tell) -> pa.Table:
        """Call an AWS Lambda handler with items as JSON."""
        return self._typed(call_handler(self.function, rows, self.source, self.into, failures, tell), failures, warnings)

    def _typed(
        self, made: Iterator[tuple[dict[str, Any], Rows]], failures: dict[int, Misfit], warnings: Counter[str]
    ) -> pa.Table:
        """Rows whose every value fits; a record with one that does not fails as a whole."""
        def warn(name: str) -> None:
            warnings[name] += 1

        fitting: Rows = []
        for place, rows in made:
            try:
                fitting += [{**exact_row(self.into, row, warn), **place} for row in rows]
            except Misfit as misfit:
                failures[place["_position"]] = misfit
        return pa.Table.from_pylist(fitting, self.into.row_schema)

    def _each_batch(self, rows: pa.Table, failures: dict[int, Misfit], warnings: Counter[str], tell: Tell) -> pa.Table:
        """Call the function with the whole table; where it raises, with halves of it, down to the rows at fault."""
        done: list[pa.Table] = []
        waiting = [(0, len(rows))] if len(rows) else []
        while waiting:
            start, stop = waiting.pop()
            part = rows.slice(start, stop - start)
            tell(start, stop)
            try:
                made = self.function.function(part)
                done.append(fitting_rows(made, part, self.into, failures, warnings))
            except (Exception, SystemExit) as error:  # whatever the user's code raises
                if len(part) == 1:
                    failures[part["_position"][0].as_py()] = error if isinstance(error, Misfit) else raised(self.function, error)
                else:
                    middle = (start + stop) // 2
                    waiting += [(middle, stop), (start, middle)]
        return pa.concat_tables(done) if done else self.into.row_schema.empty_table()


def _as_rows(made: Any) -> Rows:
    if made is None:
        return []
    if isinstance(made, Mapping):
        return [dict(made)]
    if isinstance(made, list) and all(isinstance(row, Mapping) for row in made):
        return [dict(row) for row in made]
    raise Misfit("transform_output", f"the function returned a {type(made).__name__}, not a dict, a list of dicts or None")
