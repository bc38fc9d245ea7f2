"""What writers that meet must do: one of them delivers, and whoever lost the lease cannot commit."""

import io
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pyarrow.parquet as pq
import pytest

from caudal.contract import Column, Delivery
from caudal.errors import Fenced, Unavailable
from caudal.testing.writer_lake import WriterLake, insist


class WriterLeases:
    """Part of `WriterSuite`."""

    def test_while_one_writes_another_waits(self, lake: Callable[..., WriterLake]) -> None:
        shop = lake()
        shop.put(1)
        first, second = shop.writer(), shop.writer()
        first.flush()
        shop.put(2)
        with pytest.raises(Unavailable):
            second.step(0)
        with pytest.raises(Unavailable):
            second.flush()
        first.close()
        assert second.flush() == 1
        assert shop.ids() == [1, 2]

    def test_an_old_writer_that_wakes_cannot_commit(self, lake: Callable[..., WriterLake]) -> None:
        shop = lake(lease_seconds=0.1)
        old, new = shop.writer(), shop.writer()
        shop.put(1)
        old.flush()
        shop.put(2)

        def take_over() -> None:
            time.sleep(0.15)
            assert new.flush() == 1

        shop.catalog.on("commit", "before", take_over)
        with pytest.raises((Fenced, Unavailable)):
            old.flush()
        with pytest.raises((Fenced, Unavailable)):
            old.flush()
        assert shop.ids() == [1, 2]
        new.close()
        shop.put(3)
        assert old.flush() == 1
        assert shop.ids() == [1, 2, 3]
        shop.check()

    def test_a_function_that_takes_longer_than_the_lease_does_not_cost_it(self, lake: Callable[..., WriterLake]) -> None:
        def slow(item: dict[str, Any]) -> dict[str, Any]:
            time.sleep(0.5)
            return item

        shop = lake(Delivery(buffer_seconds=0, transform=slow), lease_seconds=0.2)
        first, second = shop.writer(), shop.writer()
        first.flush()
        shop.put(1, 2)
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(first.flush)
            while not running.done():
                with suppress(Unavailable):
                    second.flush()
                time.sleep(0.02)
            assert running.result() == 2
        assert shop.ids() == [1, 2]
        shop.check()

    def test_two_writers_at_once_deliver_each_record_once(self, lake: Callable[..., WriterLake]) -> None:
        shop, stop = lake(lease_seconds=0.05), threading.Event()

        def deliver() -> None:
            writer = shop.writer()
            while not stop.is_set():
                try:
                    writer.step(0.01)
                except (Unavailable, Fenced):
                    time.sleep(0.03)

        with ThreadPoolExecutor(2) as pool:
            running = [pool.submit(deliver) for _ in range(2)]
            for n in range(150):
                shop.put(n)
            until = time.monotonic() + 20
            while len(shop.ids()) < 150 and time.monotonic() < until:
                time.sleep(0.02)
            stop.set()
            for each in running:
                each.result()
        assert shop.ids() == list(range(150))
        shop.check()

    def test_l05_32_small_writers_lose_nothing(self, lake: Callable[..., WriterLake]) -> None:
        shop = lake()

        def write(n: int) -> None:
            shop.put(n)
            writer = shop.writer()
            insist(writer.flush)
            writer.close()

        with ThreadPoolExecutor(32) as pool:
            assert list(pool.map(write, range(32))) == [None] * 32
        assert shop.ids() == list(range(32))
        shop.check()

    def test_a_writer_from_before_a_change_of_its_table_leaves_the_records_to_one_from_after(
        self, lake: Callable[..., WriterLake]
    ) -> None:
        shop = lake()
        old = shop.writer()
        shop.put(1)
        assert old.flush() == 1
        contract = replace(shop.table.contract, columns=(*shop.table.contract.columns, Column("coupon", "string", nullable=True)))
        shop.lake_table = replace(shop.lake_table, contract=contract)
        shop.table = replace(shop.table, contract=contract)
        shop.catalog.declare(shop.lake_table)
        shop.put(2, coupon="X")
        for _ in range(2):
            with pytest.raises(Fenced):
                old.flush()
        assert shop.writer().flush() == 1
        assert sum(shop.catalog.snapshot("sale").positions.values()) == 2
        newest = shop.files.get(shop.catalog.snapshot("sale").files[1].path)
        assert pq.read_table(io.BytesIO(newest))["coupon"].to_pylist() == ["X"]
        shop.check()
