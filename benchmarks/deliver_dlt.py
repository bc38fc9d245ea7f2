"""The peer dlt of deliver.py, run by an interpreter that has it: JSON lines to CSV files, extract, normalize and load.

Prints the seconds that `pipeline.run` took. Every core normalizes; files are plain, as caudal's are.
"""

import os
import sys
import time
from pathlib import Path

folder = Path(sys.argv[1])
os.environ |= {
    "NORMALIZE__WORKERS": str(os.cpu_count()), "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true",
    "DATA_WRITER__FILE_MAX_ITEMS": "50000",  # one file a worker at least: a file is what dlt shares out
    "RUNTIME__DLTHUB_TELEMETRY": "false", "DLT_DATA_DIR": str(folder / "home"),
}

import dlt  # noqa: E402 - reads its settings from the environment
from dlt.sources.filesystem import filesystem, read_jsonl  # noqa: E402


def main() -> None:
    pipeline = dlt.pipeline("sale", pipelines_dir=str(folder / "state"), dataset_name="shop",
                            destination=dlt.destinations.filesystem(f"file://{folder}/out"))
    lines = filesystem(bucket_url=f"file://{folder}/in", file_glob="*.jsonl") | read_jsonl(chunksize=5000)
    sales = lines.with_name("sale").apply_hints(columns={"amount": {"data_type": "decimal", "precision": 12, "scale": 2}})
    started = time.perf_counter()
    pipeline.run(sales, loader_file_format="csv", write_disposition="append")
    print(time.perf_counter() - started)


if __name__ == "__main__":
    main()
