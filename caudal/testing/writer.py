"""What every writer must do."""

import random
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from caudal.contract import Delivery, day, identity
from caudal.errors import CaudalError, Unavailable
from caudal.ingest.transform import open_transform
from caudal.ingest.writer.replay import replay, waiting
from caudal.testing.writer_budget import WriterBudget
from caudal.testing.writer_lake import TIME, WriterLake, _Sale, a_sale, insist
from caudal.testing.writer_lease import WriterLeases
from caudal.testing.writer_quarantine import WriterQuarantine

FORMATS = [Delivery("csv"), Delivery("csv", compression="gzip"), Delivery("csv", compression="zstd"), Delivery("parquet")]
NAMES = ["csv", "csv gzip", "csv zstd", "parquet"]


def now(delivery: Delivery, **changes: Any) -> Delivery:
    """The delivery, without waiting for more."""
    return replace(delivery, **{"buffer_seconds": 0, **changes})


class WriterSuite(WriterLeases, WriterBudget, WriterQuarantine):
    """Subclass as `TestXWriter`, say its URL, and every promise is checked."""

    scheme: str

    @abstractmethod
    def url(self) -> str:
        """What delivers."""

    @pytest.fixture
    def lake(self, tmp_path: Path) -> Iterator[Callable[..., WriterLake]]:
        """Opens the lake in this test's folder, as often as it is asked to."""
        with ExitStack() as opened:
            yield lambda delivery=None, **more: opened.enter_context(closing(WriterLake(tmp_path, self.url(), delivery, **more)))

    @pytest.mark.parametrize("delivery", FORMATS, ids=NAMES)
    def test_a_record_becomes_a_row_of_the_same_values(self, lake: Callable[..., WriterLake], delivery: Delivery) -> None:
        shop = lake(now(delivery), partition=day("sold_at"))
        notes = [None, "", "a,b", 'say "x"', "two\nlines", " spaces ", "\\N", "NULL", "é😀", "\t", "-", "1"]
        for n, note in enumerate(notes):
            shop.put(n, note=note)
        assert shop.writer().flush() == len(notes)
        rows = shop.rows()
        assert [row["note"] for row in rows] == notes
        assert {str(row["cost"]) for row in rows} == {"1.50"}
        assert [row["sold_at"].isoformat() for row in rows][:1] == ["2026-01-01T12:00:00.000001+00:00"]
        assert [row["_event_id"] for row in rows] == [f"e{n}" for n in range(len(notes))]
        shop.check()

    def test_nothing_to_deliver_commits_nothing(self, lake: Callable[..., WriterLake]) -> None:
        shop = lake()
        writer = shop.writer()
        assert writer.flush() == 0
        assert writer.step(0.01) == 0
        assert shop.catalog.commits("sale") == []

    def test_a_writer_goes_on_where_another_stopped(self, lake: Callable[..., WriterLake]) -> None:
        for n in range(6):
            shop = lake()
            shop.put(n)
            writer = shop.writer()
            assert writer.flush() == 1
            writer.close()
            shop.close()
        shop = lake()
        assert shop.ids() == list(range(6))
        shop.check()

    @pytest.mark.parametrize("seed", range(6))
    def test_whatever_fails_each_record_is_there_once(self, lake: Callable[..., WriterLake], seed: int) -> None:
        shop, chance, count = lake(now(Delivery(), buffer_bytes=800)), random.Random(seed), 0
        writer = shop.writer()
        for _ in range(25):
            for _ in range(chance.randrange(4)):
                shop.put(count) if chance.random() < 0.8 else shop.append([(b"%d" % count, b"oops")])
                count += 1
            back_end, call = chance.choice([(shop.files, "put"), (shop.catalog, "commit"), (shop.catalog, "lease")])
            back_end.on(call, chance.choice(["before", "after"]))
            if chance.random() < 0.2:
                writer.close()
                writer = shop.writer()
            try:
                writer.step(0.001) if chance.random() < 0.5 else writer.flush()
            except Unavailable:
                shop.check()
        while True:
            try:
                writer.flush()
                break
            except Unavailable:
                pass
        found = shop.ids()
        assert len(found) == len(set(found))
        assert len(found) + len(shop.quarantine()) == count
        shop.check()

    def test_l10_an_answer_lost_after_the_commit_took_effect_doubles_nothing(self, lake: Callable[..., WriterLake]) -> None:
        shop = lake()
        shop.put(1, 2, 3)
        shop.catalog.on("commit", "after")
        writer = shop.writer()
        with pytest.raises(Unavailable):
            writer.flush()
        assert writer.flush() == 0
        assert shop.ids() == [1, 2, 3]
        assert len(shop.catalog.commits("sale")) == 1
        shop.check()

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_a_failed_write_shows_nothing_and_is_made_good(
        self, lake: Callable[..., WriterLake], when: Literal["before", "after"]
    ) -> None:
        shop = lake()
        shop.put(1)
        writer = shop.writer()
        for back_end, call in ((shop.files, "put"), (shop.catalog, "commit")):
            back_end.on(call, "before" if call == "commit" else when)
            with pytest.raises(Unavailable):
                writer.flush()
            assert shop.rows() == []
            shop.check()
        assert writer.flush() == 1
        assert shop.ids() == [1]

    def test_positions_are_in_the_catalog_and_nowhere_else(self, lake: Callable[..., WriterLake], tmp_path: Path) -> None:
        shop = lake()
        shop.put(1)
        writer = shop.writer()
        writer.flush()
        writer.close()
        shop.close()
        kept = (tmp_path / "catalog.db").read_bytes()
        shop = lake(lease_seconds=1)
        shop.put(2, 3)
        insist(shop.writer().flush)
        assert shop.ids() == [1, 2, 3]
        shop.close()
        (tmp_path / "catalog.db").write_bytes(kept)
        shop = lake(lease_seconds=1)
        assert shop.ids() == [1]
        insist(shop.writer().flush)
        assert shop.ids() == [1, 2, 3]
        shop.check()

    def test_a_batch_is_due_when_it_is_full(self, lake: Callable[..., WriterLake]) -> None:
        shop = lake(Delivery(buffer_seconds=600, buffer_bytes=30_000))
        writer = shop.writer()
        shop.put(*range(10))
        assert writer.step(0.05) == 0
        shop.put(*range(10, 300))
        done = 0
        while taken := writer.step(0.05):
            done += taken
        assert 100 <= done < 300
        assert writer.flush() == 300 - done
        assert shop.ids() == list(range(300))
        shop.check()

    def test_a_batch_is_due_when_it_is_old(self, lake: Callable[..., WriterLake]) -> None:
        shop = lake(Delivery(buffer_seconds=0.3))
        writer = shop.writer()
        shop.put(1)
        start = time.monotonic()
        assert writer.step(0.05) == 0
        assert writer.step(5) == 1
        assert 0.2 < time.monotonic() - start < 2

    def test_a_step_waits_for_the_first_record(self, lake: Callable[..., WriterLake]) -> None:
        shop = lake()
        writer = shop.writer()
        timer = threading.Timer(0.1, lambda: shop.put(1))
        timer.start()
        assert writer.step(5) == 1
        timer.join()

    def test_a_flush_that_was_asked_for_makes_a_batch_due(self, lake: Callable[..., WriterLake]) -> None:
        shop = lake(Delivery(buffer_seconds=600))
        writer = shop.writer()
        shop.put(1)
        assert writer.step(0.05) == 0
        shop.catalog.ask_flush("sale")
        assert writer.step(2) == 1
        shop.put(2)
        assert writer.step(0.05) == 0

    def test_quarantine_keeps_bytes_reason_place_and_time(self, lake: Callable[..., WriterLake]) -> None:
        shop = lake(shards=1)
        before = time.time_ns() // 1000
        shop.put(0)
        shop.append([(b"x", b"oops\xff\n"), (b"x", b"")])
        shop.put(3)
        assert shop.writer().flush() == 4
        assert shop.ids() == [0, 3]
        bad = shop.quarantine()
        assert [(r.shard, r.position, r.reason, r.raw) for r in bad] == [
            (0, 1, "invalid_utf8", b"oops\xff\n"), (0, 2, "invalid_json", b""),
        ]
        assert all(before <= r.arrived <= time.time_ns() // 1000 for r in bad)
        (commit,) = shop.catalog.commits("sale")
        assert (commit.records, commit.delivered, commit.dropped, commit.quarantined, commit.rows) == (4, 2, 0, 2, 2)
        shop.check()

    def test_dropped_records_are_counted_by_shard(self, lake: Callable[..., WriterLake]) -> None:
        def odd(item: dict[str, Any]) -> Any:
            return [item, item] if item["count"] % 2 else None

        shop = lake(now(Delivery(), transform=odd), shards=3)
        shop.put(*range(60))
        shop.writer().flush()
        (commit,) = shop.catalog.commits("sale")
        assert (commit.delivered, commit.dropped, commit.rows) == (30, 30, 60)
        assert sum(commit.dropped_by_shard.values()) == 30
        assert commit.dropped_by_shard.keys() <= {0, 1, 2}
        assert shop.ids() == sorted([*range(1, 60, 2)] * 2)
        shop.check()

    def test_every_record_may_be_bad(self, lake: Callable[..., WriterLake]) -> None:
        shop = lake()
        shop.append([(b"x", b"oops")] * 5)
        assert shop.writer().flush() == 5
        assert shop.rows() == []
        shop.check()

    def test_rows_lie_in_a_folder_for_each_value_of_the_partition(self, lake: Callable[..., WriterLake]) -> None:
        shop = lake(partition=[day("sold_at"), identity("channel")])
        for n in range(4):
            shop.put(n, sold_at=f"2026-01-{n // 2 + 1:02d}T23:59:59.999999Z", channel=["web", "shop"][n % 2])
        shop.writer().flush()
        folders = sorted("/".join(f"{k}={v}" for k, v in file.partition) for file in shop.catalog.snapshot("sale").files)
        assert folders == [f"sold_at_day=2026-01-0{d}/channel={c}" for d in (1, 2) for c in ("shop", "web")]
        assert all(f"/{folder}/" in file.path for file in shop.catalog.snapshot("sale").files
                   for folder in ["/".join(f"{k}={v}" for k, v in file.partition)])
        assert shop.ids() == [0, 1, 2, 3]

    def test_a_partition_value_can_be_any_text(self, lake: Callable[..., WriterLake]) -> None:
        class Visit:
            sale_id: str
            count: int
            place: str

        shop = lake(cls=Visit, partition=identity("place"))
        places = ["", ".", "..", "a/b", "../../etc", "ñ", "a=b", "%2F", "\x00", "\\0", "a\nb", "CON", "~"]
        places += ["x" * 400, "x" * 399 + "y", "é" * 300]
        for n, place in enumerate(places):
            shop.put(n, place=place)
        shop.writer().flush()
        assert [row["place"] for row in shop.rows()] == places
        assert len({file.partition for file in shop.catalog.snapshot("sale").files}) == len(places)
        shop.check()

    def test_replay_gives_a_record_its_old_place_and_twice_is_once(self, lake: Callable[..., WriterLake]) -> None:
        def fails(item: dict[str, Any]) -> Any:
            raise ValueError("not yet")

        shop = lake(now(Delivery(), transform=fails), shards=1)
        shop.put(1, 2)
        shop.append([(b"x", b"oops")])
        writer = shop.writer()
        writer.flush()
        writer.close()
        shop.close()

        class Wider(_Sale):
            gift: bool | None

        shop = lake(now(Delivery(), transform=lambda item: item if item["count"] == 1 else None), cls=Wider, shards=1)
        function = shop.table.deliveries["sale"].transform
        assert function is not None and not callable(function)
        transform = open_transform("inprocess:", shop.table.contract, shop.lake_table.contract, function)
        for expected in ((1, 1, 1), (0, 0, 1)):
            done = replay(shop.catalog, shop.files, "shop", shop.lake_table, transform)
            assert (done.delivered, done.dropped, done.still_rejected) == expected
            assert dict(done.reasons) == {"invalid_json": 1}
            (row,) = shop.rows()
            assert (row["_event_id"], row["_position"], row["gift"]) == ("e1", 0, None)
            shop.check()
        assert [record.raw for record in waiting(shop.catalog, shop.files, "sale")] == [b"oops"]
        shop.put(4)
        insist(shop.writer().flush)
        shop.check()

    def test_two_replays_at_once_are_as_one(self, lake: Callable[..., WriterLake]) -> None:
        shop = lake(now(Delivery(), transform=lambda item: 1 // 0))
        shop.put(*range(20))
        shop.writer().flush()
        transform = open_transform("inprocess:", shop.table.contract, shop.lake_table.contract, None)
        with ThreadPoolExecutor(4) as pool:
            done = list(pool.map(lambda _: replay(shop.catalog, shop.files, "shop", shop.lake_table, transform), range(4)))
        assert sum(each.delivered for each in done) == 20
        assert shop.ids() == list(range(20))
        shop.check()

    def test_the_newest_event_time_is_that_of_the_table(self, lake: Callable[..., WriterLake]) -> None:
        shop = lake()
        shop.put(5)
        writer = shop.writer()
        writer.flush()
        assert shop.catalog.snapshot("sale").newest == TIME + 5

    def test_a_writer_that_failed_gives_its_lease_up_too(self, lake: Callable[..., WriterLake]) -> None:
        shop = lake()
        shop.put(1)
        faults = [(shop.catalog, "commit", "before"), (shop.catalog, "lease", "after"), (shop.files, "put", "before")]
        for back_end, call, when in faults:
            writer = shop.writer()
            back_end.on(call, when)
            with pytest.raises(Unavailable):
                writer.flush()
            writer.close()
        assert shop.writer().flush() == 1

    def test_a_lease_is_given_up_once(self, lake: Callable[..., WriterLake]) -> None:
        shop = lake()
        first = shop.writer()
        shop.put(1)
        first.flush()
        first.close()
        second = shop.writer()
        second.flush()
        first.close()
        shop.put(2)
        assert second.flush() == 1

    def test_a_table_that_nobody_declared_is_an_error(self, lake: Callable[..., WriterLake]) -> None:
        shop = lake()
        shop.lake_table = replace(shop.lake_table, name="nobody")
        with pytest.raises(CaudalError):
            shop.writer().step(0)

    def test_items_may_carry_attributes_that_the_contract_does_not_know(self, lake: Callable[..., WriterLake]) -> None:
        shop = lake()
        shop.put(1, colour="red", size={"EU": 42})
        shop.writer().flush()
        assert shop.rows()[0].keys() & a_sale(1).keys() == a_sale(1).keys()
