"""Contracts: from the user's class to columns with exact types, and refusals that name table, column and mend."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Optional

import pyarrow as pa
import pytest

from caudal.contract import (
    SYSTEM,
    Column,
    Digits,
    Partition,
    day,
    hour,
    identity,
    month,
    personal,
    read_contract,
    renamed,
    ttl,
    year,
)
from caudal.errors import ContractError
from caudal.naming import snake


class Order:
    order_id: str
    number: int
    cost: Annotated[Decimal, Digits(12, 2)]
    weight: float | None
    gift: Optional[bool]  # noqa: UP045 - both ways of writing it work
    due: date
    sold_at: datetime
    expires: Annotated[datetime | None, ttl]
    photo: bytes | None
    tags: list[str]
    address: Annotated[dict | None, personal]
    channel: Literal["web", "shop"]
    email: Annotated[Annotated[str, personal], renamed("mail")] | None


def a_class(**columns: Any) -> type:
    return type("Table", (), {"__annotations__": columns})


def read(key=(), partition=None, **columns):
    return read_contract(a_class(**columns), name="orders", key=key, partition=partition)


def test_a_class_becomes_columns():
    assert read_contract(Order, name="orders").columns == (
        Column("order_id", "string"), Column("number", "int"), Column("cost", "decimal", precision=12, scale=2),
        Column("weight", "float", True), Column("gift", "bool", True), Column("due", "date"), Column("sold_at", "timestamp"),
        Column("expires", "timestamp", True, ttl=True), Column("photo", "bytes", True), Column("tags", "json"),
        Column("address", "json", True, personal=True), Column("channel", "string", values=("web", "shop")),
        Column("email", "string", True, personal=True, old_names=("mail",)),
    )


def test_columns_have_a_type_in_arrow_and_one_in_athena():
    contract = read_contract(Order, name="orders")
    assert [(field.type, field.nullable) for field in contract.schema][:4] == [
        (pa.string(), False), (pa.int64(), False), (pa.decimal128(12, 2), False), (pa.float64(), True),
    ]
    assert [column.sql for column in contract.columns] == [
        "string", "bigint", "decimal(12,2)", "double", "boolean", "date", "timestamp", "timestamp", "binary", "string", "string",
        "string", "string",
    ]
    assert contract.schema.field("sold_at").type == pa.timestamp("us", "UTC")
    assert contract.row_schema.names[-len(SYSTEM.names):] == SYSTEM.names
    assert contract.personal == {"address", "email"}


def test_a_column_is_found_by_its_name():
    contract = read_contract(Order, name="orders")
    assert contract.column("due").kind == "date"
    with pytest.raises(KeyError):
        contract.column("Due")


def test_inherited_columns_come_first():
    class Base:
        a: int

    class Below(Base):
        b: int

    assert [column.name for column in read_contract(Below, name="t").columns] == ["a", "b"]


@pytest.mark.parametrize("key", ["order_id", ["order_id"], ("order_id",)])
def test_a_key_is_a_name_or_several(key):
    assert read(key, order_id=str).key == ("order_id",)


@pytest.mark.parametrize("partition,folder", [
    (identity("customerId"), "customerid"), (day("soldAt"), "soldat_day"), (hour("soldAt"), "soldat_hour"),
    (month("due"), "due_month"), (year("due"), "due_year"),
])
def test_folders_are_lower_case(partition, folder):
    """G02."""
    contract = read(partition=partition, customerId=int, soldAt=datetime, due=date)
    assert [part.folder for part in contract.partition] == [folder]


REFUSED = [
    # what, arguments, columns, words of the message, words of the hint
    ("unknown key", {"key": ["orderid"]}, {"order_id": str}, "key column orderid", "order_id"),
    ("unknown key, nothing near", {"key": ["zzz"]}, {"order_id": str}, "key column zzz", "its columns are order_id"),
    ("L13: floating-point key", {"key": ["price"]}, {"price": float}, "key column price is a float", "Decimal"),
    ("list as key", {"key": ["tags"]}, {"tags": list}, "key column tags is a json", "str, int"),
    ("truth as key", {"key": ["yes"]}, {"yes": bool}, "key column yes is a bool", "str, int"),
    ("key that may be NULL", {"key": ["id"]}, {"id": str | None}, "key column id may be NULL", "| None"),
    ("key twice", {"key": ["id", "id"]}, {"id": str}, "names a column twice", "once"),
    (
        "D24: differ in case",
        {},
        {"Email": str, "email": str},
        "columns Email and email differ only in case (column_collision)",
        "rename",
    ),
    ("unknown partition", {"partition": day("sold")}, {"sold_at": datetime}, "partition column sold", "sold_at"),
    (
        "partition may be NULL",
        {"partition": day("at")},
        {"at": datetime | None},
        "partition on column at, which may be NULL",
        "| None",
    ),
    (
        "F13: folder a key",
        {"key": ["customer_id"], "partition": identity("customer_id")},
        {"customer_id": str},
        "500",
        "day(...)",
    ),
    ("identity of a time", {"partition": identity("at")}, {"at": datetime}, "identity('at') of a timestamp", "day"),
    ("identity of a float", {"partition": identity("x")}, {"x": float}, "identity('x') of a float", "text"),
    ("day of a text", {"partition": day("at")}, {"at": str}, "day('at') of a string", "datetime"),
    ("hour of a date", {"partition": hour("at")}, {"at": date}, "hour('at') of a date", "datetime"),
    (
        "personal partition",
        {"partition": identity("town")},
        {"town": Annotated[str, personal]},
        "column town, which is personal",
        "partition",
    ),
    ("partition twice", {"partition": [day("at"), day("at")]}, {"at": datetime}, "partitioned twice", "once"),
    ("folder as a column", {"partition": day("at")}, {"at": datetime, "At_Day": str}, "(column_collision)", "rename At_Day"),
    ("partition by name", {"partition": "at"}, {"at": datetime}, "its partition is 'at'", "day"),
    ("no columns", {}, {}, "has no columns", "annotate"),
    ("name", {}, {"a-b": str}, "column a-b", "letters"),
    ("name of ours", {}, {"_op": str}, "column _op", "caudal's own"),
    ("long name", {}, {"a" * 129: str}, "not a column name", "letters"),
    ("bare Decimal", {}, {"cost": Decimal}, "column cost: a Decimal without digits", "Digits"),
    ("39 digits", {}, {"cost": Annotated[Decimal, Digits(39, 2)]}, "out of range", "38"),
    ("scale", {}, {"cost": Annotated[Decimal, Digits(4, 5)]}, "out of range", "scale"),
    ("digits of a text", {}, {"cost": Annotated[str, Digits(4, 2)]}, "on a string", "Decimal"),
    ("no type", {}, {"x": object}, "column x: object is not a column type", "str, int"),
    ("two types", {}, {"x": int | str}, "is not a column type", "str, int"),
    ("unhashable type", {}, {"x": Annotated[Any, 1]}, "is not a column type", "str, int"),
    ("numbers as values", {}, {"x": Literal[1, 2]}, "not text", "str"),
    ("unknown name", {}, {"x": "Missing"}, "Missing", "import"),
    ("no Python", {}, {"x": "list["}, "table orders", "import"),
    ("TTL of a text", {}, {"x": Annotated[str, ttl]}, "a TTL column is a string", "datetime"),
    ("two TTLs", {}, {"x": Annotated[int, ttl], "y": Annotated[int, ttl]}, "more than one TTL", "one"),
    ("swapped", {}, {"a": Annotated[int, renamed("b")], "b": Annotated[int, renamed("a")]}, "b also means column b", "had"),
    ("one old name, two columns", {}, {"a": Annotated[int, renamed("z")], "b": Annotated[int, renamed("z")]}, "z also means", "had"),
    ("renamed from itself", {}, {"a": Annotated[int, renamed("a")]}, "a also means column a", "had"),
    ("renamed from no name", {}, {"a": Annotated[int, renamed("a-b")]}, "is not a column name", "qty"),
    ("renamed key", {"key": ["a"]}, {"a": Annotated[int, renamed("b")]}, "part of the key, which never changes", "as it is"),
    ("personal in quotes", {}, {"x": Annotated[str, "personal"]}, "'personal' in quotes", "from caudal import personal"),
]


@pytest.mark.parametrize("arguments,columns,message,hint", [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_cannot_work_is_refused_with_table_column_and_mend(arguments, columns, message, hint):
    with pytest.raises(ContractError) as refused:
        read(**arguments, **columns)
    assert "table orders" in str(refused.value)
    assert message in str(refused.value)
    assert hint in refused.value.hint


@pytest.mark.parametrize("name", ["", "a b", "1a", "_a", "a.b", "a;drop", "ä"])
def test_a_table_has_a_plain_name(name):
    with pytest.raises(ContractError):
        read_contract(Order, name=name)


def test_the_folder_of_a_whole_value_may_be_its_columns_name():
    assert read(partition=[identity("country"), day("at")], country=str, at=datetime).partition == (
        Partition("country", "identity"), Partition("at", "day"),
    )


@pytest.mark.parametrize(
    "name,snaked", [("OrderLine", "order_line"), ("Order", "order"), ("order", "order"), ("Order2Line", "order2_line")]
)
def test_a_class_name_becomes_a_table_name(name, snaked):
    assert snake(name) == snaked


def test_a_form_that_there_is_not_is_refused():
    with pytest.raises(ContractError, match="table order: no form 'dynamo'") as error:
        read_contract(Order, name="order", key=["order_id"], form="dynamo")
    assert error.value.hint == "use 'caudal', 'plain', 'dynamodb', 'debezium'"
