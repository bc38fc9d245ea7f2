"""What every writer must do when more records do not fit than the delivery allows."""

from collections.abc import Callable

import pytest

from caudal.budget import ErrorBudget
from caudal.contract import Delivery
from caudal.errors import Paused
from caudal.testing.writer_lake import WriterLake, insist


def _delivery(fraction: float = 0.1, of_last: int = 100, at_least: int = 3) -> Delivery:
    return Delivery(buffer_seconds=0, error_budget=ErrorBudget(fraction, of_last, at_least))


class WriterBudget:
    """Part of `WriterSuite`."""

    def test_a_table_whose_error_budget_is_spent_pauses_and_moves_no_position(self, lake: Callable[..., WriterLake]) -> None:
        shop = lake(_delivery(0.05), shards=1)
        writer = shop.writer()
        shop.put(*range(20))
        shop.append([(b"x", b"oops")] * 2)
        assert writer.flush() == 22
        shop.append([(b"x", b'{"op":"put","note":"secret')])
        shop.put(*range(20, 30))
        before = shop.catalog.snapshot("sale")
        for _ in range(2):
            with pytest.raises(Paused, match=r"paused: 3 of the last 33 records .* invalid_json 1, first at .* position 22"):
                insist(writer.flush)
            with pytest.raises(Paused):
                writer.step(0.01)
        assert shop.catalog.snapshot("sale") == before
        assert len(shop.quarantine()) == 2 and "secret" not in shop.catalog.flow("sale").paused
        shop.check()

    def test_a_pause_survives_restarts_until_it_is_resumed(self, lake: Callable[..., WriterLake]) -> None:
        shop = lake(_delivery())
        shop.put(*range(5))
        shop.append([(b"x", b"oops")] * 3)
        with pytest.raises(Paused):
            shop.writer().flush()
        shop.close()
        shop = lake(_delivery())
        writer = shop.writer()
        with pytest.raises(Paused):
            writer.step(0.01)
        shop.catalog.resume("sale", shop.stream.now("sale"))
        assert insist(writer.flush) == 8
        assert (shop.ids(), len(shop.quarantine())) == ([0, 1, 2, 3, 4], 3)
        shop.check()
        shop.put(*range(5, 8))
        assert writer.flush() == 3
        shop.append([(b"x", b"oops")] * 3)
        with pytest.raises(Paused, match="3 of the last 6 records"):
            writer.flush()

    def test_few_errors_are_few_whatever_their_share(self, lake: Callable[..., WriterLake]) -> None:
        shop = lake(_delivery(0.0, at_least=4))
        shop.append([(b"x", b"oops")] * 3)
        writer = shop.writer()
        assert writer.flush() == 3
        shop.append([(b"x", b"oops")])
        with pytest.raises(Paused):
            writer.flush()

    def test_errors_of_long_ago_are_forgotten(self, lake: Callable[..., WriterLake]) -> None:
        shop = lake(_delivery(0.1, of_last=20), shards=1)
        writer = shop.writer()
        for n in range(10):
            shop.put(*range(20 * n, 20 * n + 19))
            shop.append([(b"x", b"oops")])
            assert writer.flush() == 20
        shop.append([(b"x", b"oops")] * 2)
        with pytest.raises(Paused, match="3 of the last 22 records"):
            writer.flush()

    def test_without_a_budget_every_record_may_go_to_quarantine(self, lake: Callable[..., WriterLake]) -> None:
        shop = lake()
        shop.append([(b"x", b"oops")] * 200)
        assert shop.writer().flush() == 200
        assert shop.catalog.flow("sale").paused == ""
