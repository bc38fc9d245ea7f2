"""DynamoDB's change records, as Kinesis delivers them."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

import pytest

from caudal.contract import Digits, read_contract, ttl
from caudal.errors import ContractError
from caudal.ingest.transform.decode import Decoder
from caudal.ingest.transform.dynamodb import untyped
from caudal.records import Records


class Order:
    order_id: str
    qty: int | None


class Blob:
    order_id: str
    blob: bytes


class Coupon:
    order_id: str
    coupon: str | None


def change(image, name="INSERT", time=1767225661573, identity=None, **more):
    which = "OldImage" if name == "REMOVE" else "NewImage"
    return {
        "awsRegion": "eu-central-1", "eventID": "ev-1", "eventName": name, "userIdentity": identity,
        "recordFormat": "application/json", "tableName": "orders", "eventSource": "aws:dynamodb",
        "dynamodb": {"ApproximateCreationDateTime": time, "Keys": {"order_id": {"S": "o1"}}, which: image, **more},
    }


def decode(cls, *changes):
    contract = read_contract(cls, name="orders", key=["order_id"])
    return Decoder(contract, "dynamodb").decode(Records.of(0, 0, [json.dumps(c).encode() for c in changes]))


def rows(cls, *changes):
    found = decode(cls, *changes)
    assert not found.rejected
    return found.rows.to_pylist()


def test_d01_trailing_zeros_written_in_full_are_a_number():
    assert untyped({"N": "1" + "0" * 100}) == Decimal("1E+100")

    class Wide:
        order_id: str
        amount: Annotated[Decimal, Digits(38, 0)]
        ratio: float

    found = decode(Wide, change({"order_id": {"S": "o1"}, "amount": {"N": "1" + "0" * 100}, "ratio": {"N": "1" + "0" * 100}}))
    assert [r.reason for r in found.rejected] == ["decimal_overflow"]
    (row,) = rows(Wide, change({"order_id": {"S": "o1"}, "amount": {"N": "1" + "0" * 37}, "ratio": {"N": "1" + "0" * 100}}))
    assert (row["amount"], row["ratio"]) == (Decimal("1E+37"), 1e100)


def test_d02_a_whole_number_above_two_to_the_53_is_exact():
    (row,) = rows(Order, change({"order_id": {"S": "o1"}, "qty": {"N": "9007199254740993"}}))
    assert row["qty"] == 9007199254740993


def test_d04_38_digits_pass_unchanged():
    class Wide:
        order_id: str
        amount: Annotated[Decimal, Digits(38, 0)]

    (row,) = rows(Wide, change({"order_id": {"S": "o1"}, "amount": {"N": "12345678901234567890123456789012345678"}}))
    assert row["amount"] == Decimal("12345678901234567890123456789012345678")


@pytest.mark.parametrize("kind", [float, Annotated[Decimal, Digits(38, 0)], int])
def test_d05_39_digits_are_quarantined_and_never_rounded(kind):
    class Wide:
        order_id: str
        amount: kind

    found = decode(Wide, change({"order_id": {"S": "o1"}, "amount": {"N": "1" * 39}}))
    assert [r.reason for r in found.rejected] == ["number_precision"]


def test_d07_base64_text_in_a_binary_attribute_is_decoded_once_where_the_size_says_so():
    (row,) = rows(Blob, change({"order_id": {"S": "o1"}, "blob": {"B": "QVA5VFMxVUs="}}, SizeBytes=32))
    assert row["blob"] == b"AP9TS1UK"
    found = decode(Blob, change({"order_id": {"S": "o1"}, "blob": {"B": "QVA5VFMxVUs="}}))
    assert found.rows["blob"].to_pylist() == [b"AP9TS1UK"]
    assert found.warnings == {"binary_depth_ambiguous": 1}


def test_d28_binary_that_the_stream_encoded_twice_is_decoded_twice():
    (row,) = rows(Blob, change({"order_id": {"S": "o1"}, "blob": {"B": "QVA5VFMxVUs="}}, SizeBytes=30))
    assert row["blob"].hex() == "00ff534b550a"


def test_d09_map_keys_that_look_like_types_stay_keys():
    class Stock:
        order_id: str
        stock: dict[str, int]

    image = {"order_id": {"S": "o1"}, "stock": {"M": {"S": {"N": "4"}, "M": {"N": "7"}, "L": {"N": "0"}}}}
    (row,) = rows(Stock, change(image))
    assert json.loads(row["stock"]) == {"S": 4, "M": 7, "L": 0}


def test_d10_null_and_missing_are_null_and_the_empty_text_is_not():
    images = [{"order_id": {"S": "o1"}, "coupon": {"NULL": True}}, {"order_id": {"S": "o2"}},
              {"order_id": {"S": "o3"}, "coupon": {"S": ""}}]
    assert [row["coupon"] for row in rows(Coupon, *map(change, images))] == [None, None, ""]


def test_d12_a_removal_by_ttl_says_so_and_keeps_its_last_image():
    identity = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
    (row,) = rows(Order, change({"order_id": {"S": "o1"}, "qty": {"N": "1"}}, "REMOVE", identity=identity))
    assert (row["_op"], row["_reason"], row["qty"]) == ("delete", "ttl", 1)


def test_d13_a_removal_without_the_service_identity_is_the_users():
    (row,) = rows(Order, change({"order_id": {"S": "o1"}, "qty": {"N": "1"}}, "REMOVE"))
    assert (row["_op"], row["_reason"]) == ("delete", "user")


def test_removals_among_other_changes_keep_their_places_and_their_own_images():
    by_ttl = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
    changes = [
        change({"order_id": {"S": f"o{n}"}, "qty": {"N": str(n)} if n % 4 else {"NULL": True}}, "REMOVE" if n % 3 == 0 else "MODIFY",
               identity=by_ttl if n % 2 else None)
        for n in range(100)
    ]
    changes[6]["dynamodb"]["NewImage"] = {"order_id": {"S": "not this"}, "qty": {"N": "7"}}
    found = rows(Order, *changes)
    assert [row["order_id"] for row in found] == [f"o{n}" for n in range(100)]
    assert [row["qty"] for row in found] == [n if n % 4 else None for n in range(100)]
    assert [(row["_op"], row["_reason"]) for row in found] == [
        ("delete", "ttl" if n % 2 else "user") if n % 3 == 0 else ("put", None) for n in range(100)
    ]


@pytest.mark.parametrize("name", ["INSERT", "REMOVE"])
@pytest.mark.parametrize(("attribute", "reason"), [
    ('{"NULL":true}', "null_key"), ('{"NULL":true,"NULL":true}', "null_key"), ("null", "null_key"),
    ("{}", "attribute_format"), ('{"S":null}', "attribute_format"),
    ('{"S":"x","NULL":true}', None), ('{"NULL":5,"S":"x","NULL":true}', None), ('{"S":"x","S":"y"}', "duplicate_key"),
])
def test_null_of_a_column_that_is_never_null_reads_the_same_fast_and_slowly(name, attribute, reason):
    decoder = Decoder(read_contract(Order, name="orders", key=["order_id"]), "dynamodb")
    line = json.dumps(change({"order_id": "here"}, name)).replace('"here"', attribute).encode()
    fast = decoder.decode(Records.of(0, 0, [line]))
    decoder._form.columns = lambda records: None
    slow = decoder.decode(Records.of(0, 0, [line]))
    assert [record.reason for record in slow.rejected] == ([reason] if reason else [])
    assert (fast.rows, fast.rejected) == (slow.rows, slow.rejected)


def test_d15_sixteen_digits_are_microseconds_and_a_warning():
    image = {"order_id": {"S": "o1"}, "qty": {"N": "1"}}
    found = decode(Order, change(image, time=1767225661573241), change(image), change(image, time=1767225661))
    assert found.rows["_event_time"].to_pylist() == [
        datetime(2026, 1, 1, 0, 1, 1, 573241, UTC), datetime(2026, 1, 1, 0, 1, 1, 573000, UTC),
        datetime(2026, 1, 1, 0, 1, 1, 0, UTC),
    ]
    assert found.warnings == {"precision_inferred": 1}
    said = change(image, time=1767225661573241, ApproximateCreationDateTimePrecision="MICROSECOND")
    assert not decode(Order, said).warnings


@pytest.mark.parametrize("time", [10**19, -(10**19), 253402300800 * 10**6])
def test_a_time_past_the_year_9999_is_quarantined(time):
    found = decode(Order, change({"order_id": {"S": "o1"}}, time=time))
    assert [r.reason for r in found.rejected] == ["timestamp_format"]


def test_an_absurd_exponent_costs_no_time():
    line = json.dumps(change({"order_id": {"S": "o1"}})).replace("1767225661573", "1e99999999999").encode()
    contract = read_contract(Order, name="orders", key=["order_id"])
    found = Decoder(contract, "dynamodb").decode(Records.of(0, 0, [line]))
    assert [r.reason for r in found.rejected] == ["timestamp_format"]


def test_d22_a_record_without_sequence_number_and_view_type_is_read():
    (row,) = rows(Order, change({"order_id": {"S": "o1"}, "qty": {"N": "1"}}))
    assert (row["_event_id"], row["_event_time"]) == ("ev-1", datetime(2026, 1, 1, 0, 1, 1, 573000, UTC))


def test_d24_columns_that_differ_only_in_case_are_refused():
    class Person:
        Email: str
        email: str

    with pytest.raises(ContractError, match=r"Email and email .*column_collision"):
        read_contract(Person, name="person", key=["email"])


def test_d27_a_change_without_an_image_says_what_the_stream_must_be():
    keys_only = change({})
    del keys_only["dynamodb"]["NewImage"]
    (bad,) = decode(Order, keys_only).rejected
    assert bad.reason == "no_image"
    assert "NEW_AND_OLD_IMAGES" in bad.detail


def test_d29_a_ttl_in_seconds_is_a_time_and_one_in_milliseconds_a_warning():
    class Session:
        order_id: str
        expires_at: Annotated[datetime | None, ttl]

    for value, expected, warnings in (("1767225661", datetime(2026, 1, 1, 0, 1, 1, 0, UTC), {}), ("1767225661573", None, {"ttl_unit": 1})):
        found = decode(Session, change({"order_id": {"S": "o1"}, "expires_at": {"N": value}}))
        assert (found.rows["expires_at"].to_pylist(), dict(found.warnings)) == ([expected], warnings)
    found = decode(Session, change({"order_id": {"S": "o1"}, "expires_at": {"S": "2026-01-01T00:01:01Z"}}), change({"order_id": {"S": "o1"}}))
    assert found.rows["expires_at"].to_pylist() == [datetime(2026, 1, 1, 0, 1, 1, 0, UTC), None]


@pytest.mark.parametrize("attribute", [
    {"BOOL": "yes"}, {"S": 5}, {"N": "1_000"}, {"N": " 5"}, {"N": "0x10"}, {"N": "٥"}, {"N": True}, {"X": "5"}, {}, "5",
    {"SS": "abc"},
    {"NS": [1]}, {"B": "%"}, {"L": {}}, {"M": []}, {"N": "NaN"},
])
def test_an_attribute_that_dynamodb_cannot_have_written_is_quarantined(attribute):
    class Whatever:
        order_id: str
        v: list | None
        n: int | None

    for name in ("v", "n"):
        found = decode(Whatever, change({"order_id": {"S": "o1"}, name: attribute}))
        assert [r.reason for r in found.rejected] in (["attribute_format"], ["wrong_type"])
    (bad,) = decode(Order, change({"order_id": {"S": "o1"}, "qty": attribute})).rejected
    assert bad.reason in ("attribute_format", "wrong_type")
    assert bad.raw == json.dumps(change({"order_id": {"S": "o1"}, "qty": attribute})).encode()


@pytest.mark.parametrize(("attribute", "expected"), [
    ({"N": "5"}, datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC)), ({"N": "5", "S": None}, datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC)),
    ({"N": "5", "NULL": True}, None), ({"N": "5", "M": {}}, "attribute_format"), ({"N": "5", "S": "2026-01-01"}, datetime(2026, 1, 1, tzinfo=UTC)),
    ({"N": None}, "attribute_format"), ({"N": "1.5"}, datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)), ({"N": "-1"}, None), ({"NULL": True}, None),
])
def test_a_ttl_reads_the_same_fast_and_slowly(attribute, expected):
    class Session:
        order_id: str
        expires_at: Annotated[datetime | None, ttl]

    for slowly in (False, True):
        decoder = Decoder(read_contract(Session, name="session", key=("order_id",)), "dynamodb")
        if slowly:
            decoder._form.columns = lambda records: None
        found = decoder.decode(Records.of(0, 0, [json.dumps(change({"order_id": {"S": "o1"}, "expires_at": attribute})).encode()]))
        assert (found.rejected[0].reason if found.rejected else found.rows["expires_at"][0].as_py()) == expected
