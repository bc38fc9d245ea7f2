"""What every transform must do."""

import sys
from abc import abstractmethod
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from caudal.contract import Contract, Digits, UserFunction, lambda_handler, per_batch, read_contract, renamed
from caudal.ingest.changes import encode_delete, encode_event, encode_put, encode_rejected
from caudal.ingest.transform import open_transform
from caudal.records import Outcome, Records

TIME = 1_767_225_661_573_241


class _Sale:
    sale_id: str
    count: int
    cost: Annotated[Decimal, Digits(12, 2)]
    note: str | None


SALES = read_contract(_Sale, name="sale", key=["sale_id"])


def a_put(n: int, cost: str = "1.50") -> bytes:
    """A record that fits."""
    return encode_put(f"e{n}", TIME + n, b'{"sale_id":"s%d","count":%d,"cost":%b,"more":[1]}' % (n, n, cost.encode()), None)


def reasons(done: Outcome) -> dict[int, str]:
    """Position to reason of what was rejected."""
    return {rejected.position: rejected.reason for rejected in done.rejected}


class _Renamed:
    sale_id: str
    quantity: Annotated[int, renamed("count")]


class TransformSuite:
    """Subclass as `TestXTransform`, say its URL, and every promise is checked."""

    scheme: str

    @abstractmethod
    def url(self) -> str:
        """Where the transform runs."""

    def apply(
        self, lines: list[bytes], function: UserFunction | None = None, into: Contract = SALES, first: int = 100,
        source: Contract = SALES,
    ) -> Outcome:
        """Transform records of shard 3, and check that each is accounted for once."""
        with closing(open_transform(self.url(), source, into, function)) as transform:
            done = transform.apply(Records.of(3, first, lines, time=7))
        assert done.delivered + done.dropped + len(done.rejected) == len(lines)
        assert done.rows.schema == into.row_schema
        done.rows.validate(full=True)
        delivered = set(done.rows["_position"].to_pylist())
        assert len(delivered) == done.delivered
        rejected = [r.position for r in done.rejected]
        assert len(rejected) == len(set(rejected))
        assert delivered.isdisjoint(rejected)
        assert delivered | set(rejected) <= set(range(first, first + len(lines)))
        for record in done.rejected:
            assert (record.shard, record.arrived) == (3, 7)
            assert record.reason == "rejected before" or record.raw == lines[record.position - first]
        return done

    def test_a_record_becomes_a_row_with_its_place_and_its_event(self) -> None:
        done = self.apply([a_put(1), encode_delete("e2", TIME, b'{"sale_id":"s2","count":2,"cost":0}', "ttl")])
        when = datetime(2026, 1, 1, 0, 1, 1, 573_242, UTC)
        assert done.rows.to_pylist() == [
            {"sale_id": "s1", "count": 1, "cost": Decimal("1.50"), "note": None, "_op": "put", "_reason": None,
             "_event_time": when, "_event_id": "e1", "_shard": 3, "_position": 100,
             "_rescued": '{"more":[1]}'},
            {"sale_id": "s2", "count": 2, "cost": Decimal("0.00"), "note": None, "_op": "delete", "_reason": "ttl",
             "_event_time": when.replace(microsecond=573_241), "_event_id": "e2", "_shard": 3, "_position": 101,
             "_rescued": None},
        ]

    def test_an_event_is_a_row_too(self) -> None:
        done = self.apply([encode_event("e1", TIME, b'{"sale_id":"s1","count":1,"cost":1}')])
        assert done.rows["_op"].to_pylist() == ["event"]

    def test_no_records_make_no_rows(self) -> None:
        assert len(self.apply([]).rows) == 0

    @pytest.mark.parametrize("poison", [
        b"", b"\n", b"oops\n", b"{}\n", b"[]\n", b"\xff\xfe\n", b"null", b'{"op":"put"}\n', a_put(9)[:-20], a_put(9) * 2,
        a_put(9, "1.505"), a_put(9, "99999999999"), a_put(9, '"x"'), a_put(9, "NaN"), a_put(9).replace(b'"s9"', b"null"),
        a_put(9).replace(b'"s9"', b'"\\ud800"'), a_put(9).replace(b'"count":9', b'"count":9223372036854775808'), b"[" * 100_000,
    ])
    @pytest.mark.parametrize("size", [3, 300])
    def test_a_poison_record_leaves_its_neighbours_delivered(self, poison: bytes, size: int) -> None:
        for place in (0, size // 2, size - 1):
            lines = [a_put(n) for n in range(size)]
            lines[place] = poison
            done = self.apply(lines)
            assert list(reasons(done)) == [100 + place]
            assert done.rows["_position"].to_pylist() == [100 + n for n in range(size) if n != place]

    def test_what_was_rejected_before_keeps_its_bytes_and_its_reason(self) -> None:
        done = self.apply([encode_rejected("e1", TIME, "rejected before", "line 7", b"1,\xff\n"), a_put(1)])
        assert [(r.reason, r.detail, r.raw) for r in done.rejected] == [("rejected before", "line 7", b"1,\xff\n")]
        assert done.delivered == 1

    def test_numbers_are_exact(self) -> None:
        done = self.apply([a_put(9_007_199_254_740_993, "9999999999.99")])
        assert done.rows["count"].to_pylist() == [9_007_199_254_740_993]
        assert done.rows["cost"].to_pylist() == [Decimal("9999999999.99")]

    def test_a_function_per_record_makes_rows_or_none_or_fails_alone(self) -> None:
        def function(item: dict[str, Any]) -> Any:
            return [[item, item], None, item, 1 // (item["count"] - 3)][item["count"] % 4]

        done = self.apply([a_put(n) for n in range(4)], UserFunction(function))
        assert done.rows["_event_id"].to_pylist() == ["e0", "e0", "e2"]
        assert (done.delivered, done.dropped, reasons(done)) == (2, 1, {103: "transform_raised"})

    def test_a_function_per_batch_makes_rows_or_none_or_fails_alone(self) -> None:
        def function(rows: pa.Table) -> pa.Table:
            assert 3 not in rows["count"].to_pylist()
            return rows.filter(pc.not_equal(rows["count"], 1))

        done = self.apply([a_put(n) for n in range(6)], per_batch(function))
        assert done.rows["_event_id"].to_pylist() == ["e0", "e2", "e4", "e5"]
        assert (done.delivered, done.dropped, reasons(done)) == (4, 1, {103: "transform_raised"})

    def test_a_lambda_handler_makes_rows_or_none_or_fails_alone(self) -> None:
        def handler(event: dict[str, Any], _: Any) -> dict[str, Any]:
            results = ["Ok", "Dropped", "ProcessingFailed"]
            return {"records": [
                {"recordId": record["recordId"], "result": results[n], "data": record["data"]}
                for n, record in enumerate(event["records"]) if n < len(results)
            ]}

        done = self.apply([a_put(n) for n in range(4)], lambda_handler(handler))
        assert done.rows["_event_id"].to_pylist() == ["e0"]
        assert (done.dropped, reasons(done)) == (1, {102: "processing_failed", 103: "missing_record_id"})

    @pytest.mark.parametrize("function", [
        UserFunction(lambda item: item | {"cost": 10**11}), per_batch(lambda rows: rows.drop_columns(["count"])),
        lambda_handler(lambda event, _: {"records": [{"recordId": "who", "result": "Ok", "data": "e30="}]}),
        UserFunction(lambda item: sys.exit(3)), per_batch(lambda rows: sys.exit(3)),
        lambda_handler(lambda event, _: sys.exit(3)),
    ])
    def test_what_a_function_makes_must_fit_and_nothing_it_does_stops_the_rest(self, function: UserFunction) -> None:
        assert sorted(reasons(self.apply([a_put(n) for n in range(3)], function))) == [100, 101, 102]

    def test_a_function_may_make_rows_of_another_contract(self) -> None:
        class Total:
            total: Annotated[Decimal, Digits(20, 2)]

        into = read_contract(Total, name="total")
        done = self.apply([a_put(2)], UserFunction(lambda item: {"total": item["count"] * item["cost"]}), into)
        assert done.rows["total"].to_pylist() == [Decimal("3.00")]

    def test_a_change_of_dynamodb_has_its_place_in_the_chain_of_images(self) -> None:
        def change(id: bytes, name: bytes, **images: int) -> bytes:
            found = b"".join(
                b',"%b":{"sale_id":{"S":"s1"},"count":{"N":"%d"},"cost":{"N":"1"}}' % (image.encode(), n)
                for image, n in images.items()
            )
            return b'{"eventID":"%b","eventName":"%b","dynamodb":{"ApproximateCreationDateTime":1767225661573%b}}' % (
                id, name, found,
            )

        source = replace(SALES, form="dynamodb")
        lines = [change(b"e1", b"INSERT", NewImage=1), change(b"e2", b"MODIFY", OldImage=1, NewImage=2), b"oops",
                 change(b"e3", b"MODIFY", NewImage=1), change(b"e4", b"REMOVE", OldImage=2)]
        for function in (None, UserFunction(lambda item: item), per_batch(lambda rows: rows)):
            done = self.apply(lines, function, source, source=source)
            assert list(reasons(done)) == [102]
            before, after = done.rows["_before"].to_pylist(), done.rows["_after"].to_pylist()
            assert (before[0], before[1], before[2], after[3]) == (0, after[0], None, 0)
            assert after[0] == after[2] != after[1] == before[3]
            assert done.rows["_op"].to_pylist() == ["put", "put", "put", "delete"]

    def test_a_change_of_debezium_is_a_row_and_a_tombstone_none(self) -> None:
        source = replace(SALES, form="debezium")
        line = (b'{"payload":{"before":null,"after":{"sale_id":"s1","count":1,"cost":"1.50"},"op":"c",'
                b'"source":{"lsn":7,"ts_ms":1767225661573}}}')
        done = self.apply([line, b"null", line[:-9]], None, source, source=source)
        assert (done.delivered, done.dropped, reasons(done)) == (1, 1, {102: "invalid_json"})
        assert done.rows["cost"].to_pylist() == [Decimal("1.50")]

    def test_a_damaged_aggregate_of_kinesis_says_so(self) -> None:
        data = b"\xf3\x89\x9a\xc2" + b"x" * 40
        assert reasons(self.apply([data, a_put(1)])) == {100: "kpl_digest_mismatch"}

    def test_a_record_that_calls_a_column_by_its_old_name_becomes_the_same_row(self) -> None:
        contract = read_contract(_Renamed, name="sale", key=["sale_id"])

        def look(item: dict[str, Any]) -> dict[str, Any]:
            assert sorted(item) == ["quantity", "sale_id"]
            return item

        lines = [a_put(1), encode_put("e2", TIME, b'{"sale_id":"s2","quantity":2,"count":9}', None), a_put(3)]
        for function in (None, UserFunction(look)):
            with closing(open_transform(self.url(), contract, contract, function)) as transform:
                done = transform.apply(Records.of(3, 0, lines))
            assert done.rows.select(["sale_id", "quantity"]).to_pylist() == [
                {"sale_id": "s1", "quantity": 1}, {"sale_id": "s2", "quantity": 2}, {"sale_id": "s3", "quantity": 3},
            ]
