"""The training script: which products are bought by the same households, from the CSV that Firehose delivered."""

import argparse
import csv
import json
import os
from pathlib import Path

import numpy as np

COLUMNS = ("household_id", "basket_id", "product_id", "title", "quantity", "amount", "sold_at")


def read(folder):
    """The purchases in a folder of CSV files, a line that was delivered twice once."""
    lines = {}
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                for purchase in csv.DictReader(file, COLUMNS, quoting=csv.QUOTE_NONE, escapechar="\\"):
                    lines[purchase["basket_id"], purchase["product_id"]] = purchase
    return list(lines.values())


def train(purchases, shrink):
    """What each household bought, and how alike two products are: cosine of who bought them, shrunk where few did."""
    households = sorted({purchase["household_id"] for purchase in purchases})
    products = sorted({purchase["product_id"] for purchase in purchases})
    bought = np.zeros((len(households), len(products)))
    row, column = ({name: n for n, name in enumerate(names)} for names in (households, products))
    for purchase in purchases:
        bought[row[purchase["household_id"]], column[purchase["product_id"]]] = 1
    together = bought.T @ bought
    counts = np.diag(together)
    alike = together / np.sqrt(np.outer(counts, counts)) * together / (together + shrink)
    np.fill_diagonal(alike, 0)
    titles = {purchase["product_id"]: purchase["title"] for purchase in purchases}
    return bought, alike, {"households": households, "products": products, "titles": titles}


def main():
    """Train as SageMaker asks in its environment."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--shrink", type=float, default=5.0)
    shrink = parser.parse_known_args()[0].shrink
    purchases = read(os.environ["SM_CHANNEL_TRAIN"])
    bought, alike, names = train(purchases, shrink)
    model = Path(os.environ["SM_MODEL_DIR"])
    np.savez_compressed(model / "model.npz", bought=bought, alike=alike)
    (model / "names.json").write_text(json.dumps(names))
    print(f"purchases={len(purchases)}; households={len(names['households'])}; products={len(names['products'])};")


if __name__ == "__main__":
    main()
