"""Reads a CSV or Parquet file through Spark's API, without Java, and prints its rows as JSON: `python sail_reads.py csv|parquet PATH`.

A process of its own: an engine brings threads, settings and warnings that are its affair.
"""

import json
import sys
from pathlib import Path

from pysail.spark import SparkConnectServer
from pyspark.sql import SparkSession

sys.path.insert(0, str(Path(__file__).parent / "iceberg"))

from iceberg_engines import plainly

COLUMNS = (
    "text STRING, whole LONG, exact DECIMAL(38, 6), float DOUBLE, truth BOOLEAN, day DATE, moment TIMESTAMP, raw STRING, nested STRING,"
    " _op STRING, _reason STRING, _event_time TIMESTAMP, _event_id STRING, _shard INT, _position LONG"
)


def read(spark, kind, path):
    if kind == "parquet":
        return spark.read.parquet(path)
    return spark.read.options(header=True, multiLine=True, quote='"', escape='"', nullValue="").schema(COLUMNS).csv(path)


if __name__ == "__main__":
    server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    spark = SparkSession.builder.remote(f"sc://127.0.0.1:{server.listening_address[1]}").getOrCreate()
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    print(json.dumps(plainly([row.asDict() for row in read(spark, *sys.argv[1:]).collect()])))
    spark.stop()
    server.stop()
