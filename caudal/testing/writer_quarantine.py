"""What every writer's quarantine must do: search, dry runs, edits, discards."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from caudal.ingest.changes import Layout, encode_rejected, read_origin
from caudal.ingest.transform import Transform, open_transform
from caudal.ingest.transform.values import Misfit
from caudal.ingest.writer.audit import read_audit
from caudal.ingest.writer.quarantine import By, Filter, count, waiting
from caudal.ingest.writer.replay import Attempt, discard, replay
from caudal.records import Rejected
from caudal.testing.writer_lake import WriterLake


def _transform(shop: WriterLake) -> Transform:
    return open_transform("inprocess:", shop.table.contract, shop.lake_table.contract, None)


def _mended(record: Rejected) -> bytes:
    return record.raw.replace(b'"count":"two"', b'"count":2')


class WriterQuarantine:
    """Part of `WriterSuite`."""

    @staticmethod
    def _bad(lake: Callable[..., WriterLake], *, one_by_one: bool = False) -> WriterLake:
        shop = lake(shards=2)
        writer = shop.writer()
        for n in range(6):
            shop.put(n, count="two") if n % 2 else shop.append([(b"%d" % n, b"oops %d" % n)])
            if one_by_one:
                writer.flush()
        writer.flush()
        return shop

    @pytest.mark.parametrize("one_by_one", [False, True])
    def test_quarantine_is_searched_by_what_its_records_are(self, lake: Callable[..., WriterLake], one_by_one: bool) -> None:
        shop = self._bad(lake, one_by_one=one_by_one)
        every = list(waiting(shop.catalog, shop.files, "sale"))
        middle = sorted(record.arrived for record in every)[3]
        for wanted, expected in (
            (Filter(), every), (Filter(reason="wrong_type"), [r for r in every if r.reason == "wrong_type"]),
            (Filter(since=middle), [r for r in every if r.arrived >= middle]),
            (Filter(until=middle), [r for r in every if r.arrived < middle]),
            (Filter(shard=1), [r for r in every if r.shard == 1]), (Filter(position=0), [r for r in every if r.position == 0]),
            (Filter(contains=b"oops 2"), [r for r in every if r.raw == b"oops 2"]), (Filter(contains=b"\xff"), []),
            (Filter(reason="invalid_json", shard=every[0].shard, position=every[0].position, contains=b"oops"),
             [every[0]] if every[0].reason == "invalid_json" else []),
        ):
            assert list(waiting(shop.catalog, shop.files, "sale", wanted)) == expected
            for by in ("reason", "shard", "day", "hour"):
                counted = count(shop.catalog, shop.files, "sale", wanted, _by(by))
                assert sum(one.records for one in counted) == len(expected)
                assert {one.reason for one in counted} == {record.reason for record in expected}
                assert not counted or min(one.oldest for one in counted) == min(record.arrived for record in expected)

    def test_a_dry_run_says_what_would_be_and_changes_nothing(self, lake: Callable[..., WriterLake]) -> None:
        shop = self._bad(lake)
        before = shop.catalog.snapshot("sale"), shop.quarantine(), shop.catalog.replayed("sale")
        told: list[Attempt] = []
        done = replay(shop.catalog, shop.files, "shop", shop.lake_table, _transform(shop), edit=_mended, dry_run=True,
                      tell=told.append)
        assert (done.delivered, done.still_rejected, dict(done.reasons)) == (3, 3, {"invalid_json": 3})
        assert sorted((one.record.reason, one.outcome) for one in told) == [
            *[("invalid_json", "rejected")] * 3, *[("wrong_type", "delivered")] * 3
        ]
        assert discard(shop.catalog, shop.files, "shop", shop.lake_table, Filter(), "why", dry_run=True) == 6
        assert (shop.catalog.snapshot("sale"), shop.quarantine(), shop.catalog.replayed("sale")) == before
        assert shop.catalog.audit("sale") == []

    def test_an_edited_record_keeps_its_original_its_place_and_its_identity(self, lake: Callable[..., WriterLake]) -> None:
        shop = self._bad(lake)
        originals = [record for record in shop.quarantine() if record.reason == "wrong_type"]
        for delivered in (3, 0):
            done = replay(shop.catalog, shop.files, "shop", shop.lake_table, _transform(shop), Filter(reason="wrong_type"),
                          edit=_mended)
            assert (done.delivered, done.still_rejected) == (delivered, 0)
        assert [(row["_event_id"], row["count"]) for row in shop.rows()] == [("e1", 2), ("e3", 2), ("e5", 2)]
        assert {(row["_shard"], row["_position"]) for row in shop.rows()} == {(r.shard, r.position) for r in originals}
        kept = list(read_audit(shop.catalog, shop.files, "sale"))
        assert [(one.shard, one.position, one.original, one.edited) for one in kept] == [
            (record.shard, record.position, record.raw, _mended(record)) for record in originals
        ]
        assert all(one.outcome == "delivered" and one.time >= max(r.arrived for r in originals) for one in kept)
        assert [record for record in shop.quarantine() if record.reason == "wrong_type"] == originals
        shop.check()

    def test_a_record_that_cannot_be_edited_stays(self, lake: Callable[..., WriterLake]) -> None:
        def fails(record: Rejected) -> bytes:
            raise Misfit("not_an_object", "nothing to edit")

        shop = self._bad(lake)
        done = replay(shop.catalog, shop.files, "shop", shop.lake_table, _transform(shop), edit=fails)
        assert dict(done.reasons) == {"not_an_object": 6}
        shop.check()

    def test_what_is_discarded_counts_as_dropped_and_its_note_is_kept(self, lake: Callable[..., WriterLake]) -> None:
        shop = self._bad(lake)
        wanted = Filter(reason="invalid_json")
        with ThreadPoolExecutor(3) as pool:
            done = list(pool.map(lambda note: discard(shop.catalog, shop.files, "shop", shop.lake_table, wanted, note), "abc"))
        assert sum(done) == 3
        kept = list(read_audit(shop.catalog, shop.files, "sale"))
        assert len(kept) == 3 and {(one.outcome, one.edited) for one in kept} == {("discarded", None)}
        assert sorted(one.original for one in kept) == [b"oops 0", b"oops 2", b"oops 4"]
        assert all(one.note in "abc" for one in kept)
        assert [one.reason for one in count(shop.catalog, shop.files, "sale")] == ["wrong_type"]
        shop.check()

    def test_a_line_of_an_import_keeps_how_it_is_to_be_read(self, lake: Callable[..., WriterLake]) -> None:
        shop = lake(shards=1)
        line = encode_rejected("x-1", 7, "wrong_type", "bad.csv, row 1", b"1,two\n", Layout("csv", ("id", "count"), "de_DE"))
        shop.append([(b"a", line), (b"b", encode_rejected("x-2", 8, "wrong_type", "of the first version", b"1,two\n"))])
        shop.append([(b"c", b'{"op":"rejected","why":1}')])
        shop.writer().flush()
        new, old, broken = waiting(shop.catalog, shop.files, "sale")
        assert (new.raw, new.origin) == (b"1,two\n", read_origin(line)) and "de_DE" in new.origin
        assert (old.raw, old.origin, broken.origin) == (b"1,two\n", "", "")


def _by(name: str) -> By:
    return name  # type: ignore[return-value]
