"""Digests of images: equal for equal images and for no others, and nothing in a record makes them fail."""

import hashlib
import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caudal.contract import read_contract
from caudal.ingest.transform import open_transform
from caudal.records import Records


class Order:
    order_id: str
    qty: int | None
    note: str | None
    gift: bool | None


CONTRACT = read_contract(Order, name="orders", key=["order_id"], form="dynamodb")
TRANSFORM = open_transform("inprocess:", CONTRACT, CONTRACT, None)

IMAGES = st.fixed_dictionaries(
    {"order_id": st.just({"S": "o1"})},
    optional={
        "qty": st.integers(0, 2).map(lambda n: {"N": str(n)}) | st.just({"NULL": True}), "note": st.text(max_size=3).map(lambda text: {"S": text}),
        "gift": st.booleans().map(lambda truth: {"BOOL": truth}), "unknown": st.integers(0, 5).map(lambda n: {"N": str(n)}),
    },
)


def record(id, old, new, shuffled=False):
    old, new = (dict(reversed(image.items())) if shuffled else image for image in (old, new))
    return json.dumps({"eventID": id, "eventName": "MODIFY", "dynamodb": {
        "ApproximateCreationDateTime": 1767225661573, "OldImage": old, "NewImage": new,
    }}, ensure_ascii=False).encode("utf-8", "surrogatepass")


def known(image):
    return {name: value for name, value in image.items() if name != "unknown"}


@given(st.lists(st.tuples(IMAGES, IMAGES), min_size=1, max_size=6))
@settings(deadline=None)
def test_two_images_have_one_digest_if_their_columns_are_equal(pairs):
    lines = [record(f"e{n}", *pair, shuffled=n % 2) for n, pair in enumerate(pairs)]
    rows = TRANSFORM.apply(Records.of(0, 100, lines)).rows
    digests = rows["_before"].to_pylist() + rows["_after"].to_pylist()
    images = [pairs[place - 100][0] for place in rows["_position"].to_pylist()] + [pairs[place - 100][1] for place in rows["_position"].to_pylist()]
    assert all(digest > 0 for digest in digests)
    for digest, image in zip(digests, images, strict=True):
        for other, another in zip(digests, images, strict=True):
            assert (digest == other) == (known(image) == known(another))


def test_the_digest_is_the_same_for_ever():
    """It lies in files that later versions read."""
    images = {"order_id": {"S": "o1"}, "qty": {"N": "1"}}, {"order_id": {"S": "o1"}, "gift": {"BOOL": False}, "note": {"S": "tea"}}
    (row,) = TRANSFORM.apply(Records.of(0, 0, [record("e1", *images)])).rows.to_pylist()
    texts = 'order_id={"S":"o1"}|qty={"N":"1"}', 'gift={"BOOL":false}|note={"S":"tea"}|order_id={"S":"o1"}'
    expected = [(int.from_bytes(hashlib.md5(text.encode()).digest()[8:], "little") >> 2) + 1 for text in texts]
    assert [row["_before"], row["_after"]] == expected


def test_a_new_column_changes_no_digest_of_items_without_it():
    class Later(Order):
        channel: str | None

    later = read_contract(Later, name="orders", key=["order_id"], form="dynamodb")
    line = record("e1", {"order_id": {"S": "o1"}, "qty": {"N": "1"}}, {"order_id": {"S": "o1"}})
    before, after = (open_transform("inprocess:", one, one, None).apply(Records.of(0, 0, [line])).rows for one in (CONTRACT, later))
    assert before["_after"] == after["_after"] and before["_before"] == after["_before"]


GOOD = [record(f"e{n}", {"order_id": {"S": "o1"}}, {"order_id": {"S": "o1"}, "qty": {"N": str(n)}}) for n in range(3)]


@given(st.lists(st.tuples(st.sampled_from(GOOD), st.integers(0, 250), st.integers(0, 6), st.binary(max_size=6) | st.sampled_from(
    [b"\\ud800", b"1e999", b'"', b"}", b"{", b"null", b"NaN", b"[" * 2000, b'{"a":' * 2000]
)), min_size=1, max_size=5))
@settings(deadline=None, max_examples=200, suppress_health_check=[*HealthCheck])
def test_nothing_in_a_record_makes_it_fail_or_costs_a_neighbour(cuts):
    lines = [GOOD[0], *(good[:start] + put + good[start + gone :] for good, start, gone, put in cuts), GOOD[1]]
    done = TRANSFORM.apply(Records.of(0, 0, lines))
    assert done.delivered + len(done.rejected) == len(lines)
    rows = {row["_position"]: row for row in done.rows.to_pylist()}
    assert rows[0]["_after"] != rows[len(lines) - 1]["_after"]
    assert rows[0]["_before"] == rows[len(lines) - 1]["_before"] > 0
