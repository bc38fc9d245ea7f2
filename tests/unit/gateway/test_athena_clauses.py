"""UPDATE, DELETE, MERGE, OPTIMIZE and VACUUM in their parts, and the files that a WHERE leaves out."""

from datetime import date, datetime
from decimal import Decimal

import pytest
from pyiceberg.expressions import (
    AlwaysTrue,
    And,
    EqualTo,
    GreaterThan,
    GreaterThanOrEqual,
    In,
    IsNull,
    LessThan,
    LessThanOrEqual,
    NotNull,
    Or,
)
from pyiceberg.schema import Schema
from pyiceberg.types import DateType, DecimalType, DoubleType, LongType, NestedField, StringType, TimestampType

from caudal.errors import QueryError
from caudal.gateway.athena.iceberg.clauses import Branch, Changing, Upkeep, changing, upkeep
from caudal.gateway.athena.iceberg.pruning import predicate

SCHEMA = Schema(*(NestedField(id, name, kind) for id, (name, kind) in enumerate({
    "Id": LongType(), "who": StringType(), "day": DateType(), "at": TimestampType(), "price": DecimalType(9, 2), "share": DoubleType(),
}.items(), 1)))


def test_statements_are_cut_where_their_clauses_begin():
    assert changing("UPDATE db.T SET a = CASE WHEN b THEN 1 ELSE 2 END, \"B\" = (SELECT x FROM y WHERE z = 1, 2) WHERE c IN (1, 2)", "UPDATE") == (
        Changing(("db", "t"), "t", [Branch(True, "UPDATE", "c IN (1, 2)", ("a", "b"), (
            "CASE WHEN b THEN 1 ELSE 2 END", "(SELECT x FROM y WHERE z = 1, 2)"))]))
    assert changing("DELETE FROM t", "DELETE") == Changing(("t",), "t", [Branch(True, "DELETE")])
    assert changing("""MERGE INTO "awsdatacatalog"."db"."t" AS x USING (SELECT 1 AS id, 'ON' AS w) s ON x.id = s.id
        when matched and (s.w = ')') then delete WHEN MATCHED THEN UPDATE SET w = s.w || 'WHEN'
        WHEN NOT MATCHED AND s.id > 1 THEN INSERT (id, w) VALUES (s.id, concat(s.w, ','))""", "MERGE") == Changing(
        ("awsdatacatalog", "db", "t"), "x", [
            Branch(True, "DELETE", "(s.w = ')')"), Branch(True, "UPDATE", "", ("w",), ("s.w || 'WHEN'",)),
            Branch(False, "INSERT", "s.id > 1", ("id", "w"), ("s.id", "concat(s.w, ',')"))],
        "(SELECT 1 AS id, 'ON' AS w) AS \"s\"", "s", "x.id = s.id")
    assert upkeep("OPTIMIZE db.t REWRITE DATA USING BIN_PACK WHERE day > DATE '2026-01-01'", "OPTIMIZE") == (
        Upkeep(("db", "t"), "day > DATE '2026-01-01'"))
    assert upkeep("VACUUM t", "VACUUM") == Upkeep(("t",))


@pytest.mark.parametrize("text,told,column", [
    ("UPDATE t", "mismatched input '<EOF>'. Expecting: SET", 9), ("UPDATE t SET a", "mismatched input '<EOF>'. Expecting: =", 15),
    ("UPDATE t SET a = 1, WHERE b", "mismatched input 'B'. Expecting: =", 27), ("DELETE t", "mismatched input 'T'. Expecting: FROM", 8),
    ("DELETE FROM t WHERE a = 1) OR (1 = 1", "mismatched input ')'. Expecting: <EOF>", 26),
    ("MERGE INTO t USING s ON a = b", "mismatched input '<EOF>'. Expecting: WHEN", 30),
    ("MERGE INTO t USING s ON a = b WHEN NOT MATCHED THEN DELETE", "mismatched input 'DELETE'. Expecting: INSERT", 53),
    ("VACUUM t now", "mismatched input 'NOW'. Expecting: <EOF>", 10), ("OPTIMIZE t", "mismatched input '<EOF>'. Expecting: REWRITE", 11),
])
def test_what_is_wrong_is_said_with_its_place(text, told, column):
    kind = text.partition(" ")[0]
    with pytest.raises(QueryError) as raised:
        (upkeep if kind in ("VACUUM", "OPTIMIZE") else changing)(text, kind)
    assert (str(raised.value), raised.value.column) == (told, column)


@pytest.mark.parametrize("where,expected", [
    ("id = 5", EqualTo("Id", 5)), ("5 < id", GreaterThan("Id", 5)), ("id <= -5", LessThanOrEqual("Id", -5)), ("who = 'a'", EqualTo("who", "a")),
    ("t.day >= DATE '2026-01-31'", GreaterThanOrEqual("day", date(2026, 1, 31))), ("price < 1.5", LessThan("price", Decimal("1.5"))),
    ("at < TIMESTAMP '2026-01-31 12:00:00'", LessThan("at", datetime(2026, 1, 31, 12))), ("who IN ('a', 'b')", In("who", {"a", "b"})),
    ("who IS NULL OR id = 1", Or(IsNull("who"), EqualTo("Id", 1))), ("who IS NOT NULL", NotNull("who")),
    ("id BETWEEN 1 AND 2", And(GreaterThanOrEqual("Id", 1), LessThanOrEqual("Id", 2))), ("id = 1 AND lower(who) = 'a'", EqualTo("Id", 1)),
    ("id = 1 OR lower(who) = 'a'", AlwaysTrue()), ("id = '1'", AlwaysTrue()), ("share = 1", AlwaysTrue()), ("id = 1.5", AlwaysTrue()),
    ("NOT id = 1", AlwaysTrue()), ("id = (SELECT 1)", AlwaysTrue()), ("day = '2026-01-31'", AlwaysTrue()), ("id IN (1, who)", AlwaysTrue()),
    ("at = TIMESTAMP '2026-01-31 12:00:00 UTC'", AlwaysTrue()), ("price = 1.555", AlwaysTrue()), ("price = 7", EqualTo("price", Decimal("7.00"))), ("nope = 1", AlwaysTrue()),
])
def test_files_are_left_out_by_what_is_understood(where, expected):
    assert predicate([where], SCHEMA, alias="T") == expected
    assert predicate([where, None], SCHEMA, alias="T") == AlwaysTrue()


def test_a_field_of_a_struct_is_no_column():
    assert predicate(["u.id = 5"], SCHEMA, alias="t") == predicate(["t.id = 5"], SCHEMA) == AlwaysTrue()
