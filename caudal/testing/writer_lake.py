"""A lake of one table to test writers on: its stream, files and catalog, and a look at what came of them."""

import io
import time
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from caudal.config import Config, WriterConfig
from caudal.contract import Delivery, Digits, Partition
from caudal.errors import Unavailable
from caudal.ingest.changes import encode_put
from caudal.ingest.stream import open_stream
from caudal.ingest.writer import Writer, open_writer
from caudal.ingest.writer.quarantine import from_bytes
from caudal.lake.catalog import open_catalog
from caudal.lake.files import open_files
from caudal.records import Item, Rejected
from caudal.tables import declare_table
from caudal.testing.faults import Faulty
from caudal.verify import verify

TIME = 1_767_225_661_573_241


class _Sale:
    sale_id: str
    count: int
    cost: Annotated[Decimal, Digits(12, 2)]
    channel: Literal["web", "shop"]
    note: str | None
    sold_at: datetime


class WriterLake:
    """One keyed table, `sale`, in a folder; its back ends may be told to fail."""

    def __init__(
        self, folder: Path, url: str, delivery: Delivery | None = None, *, cls: type = _Sale,
        partition: Partition | Sequence[Partition] | None = None, shards: int = 2, lease_seconds: float = 10.0,
    ) -> None:
        self.config = Config(folder=str(folder), writer=WriterConfig(url=url, lease_seconds=lease_seconds))
        self.table = declare_table({}, cls, "sale", ["sale_id"], partition, [delivery or Delivery(buffer_seconds=0)])
        self.lake_table = self.table.lake["sale"]
        self.stream = open_stream(self.config.url("stream"))
        self.stream.create("sale", shards)
        self.files: Any = Faulty(open_files(self.config.url("files")))
        self.catalog: Any = Faulty(open_catalog(self.config.url("catalog"), "shop"))
        self.catalog.declare(self.lake_table)

    def writer(self) -> Writer:
        """One more writer of the table."""
        return open_writer(self.config, "shop", self.table.contract, self.table.deliveries["sale"], self.lake_table,
                           self.stream, self.files, self.catalog)

    def close(self) -> None:
        """Close what was opened."""
        self.catalog.close()
        self.stream.close()

    def put(self, *ids: int, **more: Any) -> None:
        """Append a put of each sale to the stream."""
        self.append([(b"%d" % n, encode_put(f"e{n}", TIME + n, msgspec.json.encode(a_sale(n, **more)), None)) for n in ids])

    def append(self, records: Sequence[tuple[bytes, bytes]]) -> None:
        """Append raw records."""
        self.stream.append("sale", records)

    def rows(self) -> list[Item]:
        """Every row of the lake, in the order of event ids."""
        found: list[Item] = []
        for file in self.catalog.snapshot("sale").files:
            found += self._read(self.files.get(file.path)).to_pylist()
        return sorted(found, key=lambda row: int(row["_event_id"][1:]))

    def _read(self, data: bytes) -> pa.Table:
        schema = self.lake_table.contract.row_schema
        if self.lake_table.format == "parquet":
            return pq.read_table(io.BytesIO(data)).cast(schema)
        source: Any = pa.BufferReader(data)
        if self.lake_table.compression:
            source = pa.CompressedInputStream(source, self.lake_table.compression)
        return pacsv.read_csv(
            source, parse_options=pacsv.ParseOptions(newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(
                column_types=schema, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False,
            ),
        ).cast(schema)

    def ids(self) -> list[int]:
        """The sales in the lake, as often as they are in it."""
        return [row["count"] for row in self.rows()]

    def quarantine(self) -> list[Rejected]:
        """Every record in quarantine."""
        return [record for file in self.catalog.quarantine("sale") for record in from_bytes(self.files.get(file.path))]

    def check(self) -> None:
        """Recount the lake."""
        assert verify(self.catalog, self.files, None, "shop").problems == []


def a_sale(n: int, **more: Any) -> Item:
    """A sale that fits the contract."""
    return {
        "sale_id": f"s{n}", "count": n, "cost": Decimal("1.50"), "channel": "web", "note": None,
        "sold_at": f"2026-01-{n % 28 + 1:02d}T12:00:00.000001Z", **more,
    }


def insist(work: Any) -> Any:
    """Do the work, and again while it says that trying again may help."""
    until = time.monotonic() + 30
    while True:
        try:
            return work()
        except Unavailable:
            if time.monotonic() > until:
                raise
            time.sleep(0.005)
