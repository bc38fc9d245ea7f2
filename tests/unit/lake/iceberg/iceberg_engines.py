"""Reads an Iceberg table with one engine and prints its rows as JSON: `python iceberg_engines.py sail|duckdb LOCATION`.

A process of its own: an engine brings threads, settings and warnings that are its affair.
"""

import base64
import json
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path


def read_sail(location):
    """By the folder of the table, as Spark without a catalog does."""
    from pysail.spark import SparkConnectServer
    from pyspark.sql import SparkSession

    server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    spark = SparkSession.builder.remote(f"sc://127.0.0.1:{server.listening_address[1]}").getOrCreate()
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    found = [row.asDict() for row in spark.read.format("iceberg").load(location.partition("/metadata/")[0]).collect()]
    spark.stop()
    server.stop()
    return found


def read_duckdb(location):
    """By the metadata file, with the extension that PyPI has for DuckDB 1.5."""
    import duckdb

    db = duckdb.connect()
    for name in ("avro", "iceberg"):
        folder = Path(find_spec(f"duckdb_extension_{name}").submodule_search_locations[0])
        db.execute(f"LOAD '{next(folder.rglob('*.duckdb_extension'))}'")
    db.execute("SET TimeZone = 'UTC'")
    cursor = db.execute(f"SELECT * FROM iceberg_scan('{location}')")
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def plain(value):
    """A value as JSON holds it exactly."""
    if isinstance(value, bytes | bytearray):
        return "bytes " + base64.b64encode(value).decode()
    if isinstance(value, Decimal):
        return f"decimal {value}"
    if isinstance(value, datetime):
        return "time " + (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)).isoformat()
    return f"date {value}" if isinstance(value, date) else value


def plainly(rows):
    """Rows with plain values, in the order of their text."""
    return sorted(({name: plain(value) for name, value in row.items()} for row in rows), key=json.dumps)


if __name__ == "__main__":
    read = {"sail": read_sail, "duckdb": read_duckdb}[sys.argv[1]]
    print(json.dumps(plainly(read(sys.argv[2]))))
