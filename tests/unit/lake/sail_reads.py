"""Reads a CSV or Parquet file through Spark's API, without Java, and prints its rows as JSON: `python sail_reads.py csv|parquet PATH COLUMNS`.

A process of its own: an engine brings threads, settings and warnings that are its affair.
"""

import json
import sys
from pathlib import Path

from pysail.spark import SparkConnectServer
from pyspark.sql import SparkSession

sys.path.insert(0, str(Path(__file__).parent / "iceberg"))

from iceberg_engines import plainly


def read(spark, kind, path, columns):
    if kind == "parquet":
        return spark.read.parquet(path)
    return spark.read.options(header=True, multiLine=True, quote='"', escape='"', nullValue="").schema(columns).csv(path)


if __name__ == "__main__":
    server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    spark = SparkSession.builder.remote(f"sc://127.0.0.1:{server.listening_address[1]}").getOrCreate()
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    print(json.dumps(plainly([row.asDict() for row in read(spark, *sys.argv[1:]).collect()])))
    spark.stop()
    server.stop()
