"""What every catalog must do with quarantined records that are dealt with, and with tables that are paused."""

import time

import pytest

from caudal.errors import Conflict, NotFound
from caudal.lake.catalog import Catalog, Flow, Replay
from caudal.records import Commit, DataFile


def _file(name: str) -> DataFile:
    return DataFile(f"quarantine/{name}.parquet", (), 5, 100, "cd" * 16)


class CatalogQuarantine:
    """Part of `CatalogSuite`."""

    @staticmethod
    def _quarantined(catalog: Catalog) -> None:
        epoch, _ = catalog.lease("orders", "me", 60)
        catalog.commit("orders", Commit(epoch, {}, {0: 9}, [], [_file("bad")], 9, 0, 0, 9, 0))

    @pytest.mark.parametrize("outcome", ["delivered", "dropped", "imported", "discarded"])
    def test_how_a_record_was_dealt_with_is_shown_with_its_files(self, catalog: Catalog, outcome: str) -> None:
        self._quarantined(catalog)
        assert catalog.audit("orders") == []
        catalog.replay("orders", [Replay(0, 4, outcome)], [], 0, [_file("audit-1")])  # type: ignore[arg-type]
        catalog.replay("orders", [Replay(0, 5, "dropped")], [], 0, [_file("audit-2")])
        assert catalog.audit("orders") == [_file("audit-1"), _file("audit-2")]
        assert catalog.replayed("orders") == {(0, 4): outcome, (0, 5): "dropped"}
        assert catalog.snapshot("orders").files == ()
        assert catalog.quarantine("orders") == [_file("bad")]

    def test_what_was_dealt_with_is_told_of_some_records_and_counted(self, catalog: Catalog) -> None:
        self._quarantined(catalog)
        assert (catalog.replayed("orders", [(0, 4)]), catalog.replays("orders")) == ({}, {})
        marks = [Replay(0, n, "delivered") for n in range(3)] + [Replay(1, 1 << 40, "dropped"), Replay(0, 8, "dropped")]
        catalog.replay("orders", marks, [], 0)
        asked = [(0, 1), (1, 1 << 40), (1, 1), (0, 7), (0, 1)]
        assert catalog.replayed("orders", asked) == {(0, 1): "delivered", (1, 1 << 40): "dropped"}
        assert catalog.replayed("orders", []) == {}
        assert catalog.replays("orders") == {(0, "delivered"): 3, (0, "dropped"): 1, (1, "dropped"): 1}

    def test_a_replay_that_is_refused_leaves_no_audit(self, catalog: Catalog) -> None:
        self._quarantined(catalog)
        catalog.replay("orders", [Replay(0, 4, "dropped")], [], 0)
        with pytest.raises(Conflict):
            catalog.replay("orders", [Replay(0, 3, "discarded"), Replay(0, 4, "discarded")], [], 0, [_file("audit")])
        assert catalog.audit("orders") == []
        assert catalog.replayed("orders") == {(0, 4): "dropped"}

    def test_a_pause_stands_until_it_is_resumed_and_moves_no_position(self, catalog: Catalog) -> None:
        self._quarantined(catalog)
        before = catalog.snapshot("orders"), catalog.commits("orders")
        assert catalog.flow("orders") == Flow("", 0, {})
        start = time.time_ns() // 1000 - 5_000_000
        catalog.pause("orders", "too many")
        catalog.pause("orders", "and more")
        paused = catalog.flow("orders")
        assert (paused.paused, paused.accepted) == ("too many", {})
        assert start <= paused.since <= time.time_ns() // 1000 + 5_000_000
        catalog.resume("orders", {0: 12, 1: 3})
        assert catalog.flow("orders") == Flow("", 0, {0: 12, 1: 3})
        catalog.pause("orders", "again")
        assert catalog.flow("orders")._replace(since=0) == Flow("again", 0, {0: 12, 1: 3})
        assert (catalog.snapshot("orders"), catalog.commits("orders")) == before

    def test_an_unknown_table_is_neither_paused_nor_audited(self, catalog: Catalog) -> None:
        for call in (
            lambda: catalog.audit("no"), lambda: catalog.pause("no", "why"), lambda: catalog.resume("no", {}),
            lambda: catalog.flow("no"),
        ):
            with pytest.raises(NotFound):
                call()
