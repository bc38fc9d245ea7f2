"""How good recommendations are: NDCG@10 on a real shop, beside peers, in one run.

    python benchmarks/quality.py

UCI Online Retail, split by global time: trained on what came before 2011-11-10, judged by the 30 days after it, every
item ranked (definitions: caudal.learn.evaluate). *new* hides what a shopper has, *all* allows repeats. All subjects
answer the same shoppers with the same candidates. Peers run as their users run them, with settings tuned on the
30 days before the test window, as ours were: implicit's ALS (64 factors, regularization 10) and BPR (64 factors, 50
iterations) on the users x items matrix of ones, popularity of the last 7 days, and for *all* a shopper's own frequency.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from report import Report
from threadpoolctl import threadpool_limits

from caudal.learn.dataset import FOREVER, History, Interactions
from caudal.learn.evaluate import Flavour, Scorer, evaluate, evaluate_scorer, recent_sales
from caudal.learn.models import DEFAULT, open_model_class

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "online_retail.csv.gz"
SEED = 7
FLAVOURS: tuple[Flavour, ...] = ("new", "all")


def main() -> None:
    """Measure, print, and write results/quality.json."""
    if not DATA.exists():
        sys.exit(
            f"{DATA} is not there: this benchmark needs UCI Online Retail (doi 10.1057/dbm.2012.17) as a gzipped CSV "
            "with its original columns; put it there, or measure your own shop with caudal.learn.evaluate"
        )
    train, test, cut = split(read(DATA))
    model = open_model_class(DEFAULT).fit(train, now_us=cut, seed=SEED)
    with Report("quality") as report:
        for flavour in FLAVOURS:
            measure = f"online retail {flavour} ndcg@10"
            ours = evaluate(model, train, test, now_us=cut, flavour=flavour)
            report.add(measure, "caudal", ours.metrics["ndcg@10"])
            for subject, scorer in peers(train, model.items, cut, flavour).items():
                judged = evaluate_scorer(scorer, model.items, train, test, now_us=cut, flavour=flavour)
                report.add(measure, subject, judged.metrics["ndcg@10"])


def read(path: Path) -> pa.Table:
    """Order lines as interactions: known customers, real articles, no cancellations, no free gifts."""
    texts = dict.fromkeys(("InvoiceNo", "StockCode", "CustomerID"), pl.String)
    lines = pl.read_csv(path, schema_overrides=texts)
    return lines.filter(
        pl.col("CustomerID").is_not_null() & ~pl.col("InvoiceNo").str.starts_with("C")
        & (pl.col("Quantity") > 0) & (pl.col("UnitPrice") > 0) & pl.col("StockCode").str.contains(r"^\d{5}")
    ).select(
        user=pl.col("CustomerID").str.strip_suffix(".0"), item="StockCode",
        time=pl.col("InvoiceDate").str.to_datetime(time_unit="us", time_zone="UTC"),
    ).to_arrow()


def split(table: pa.Table) -> tuple[Interactions, Interactions, int]:
    """(training, test, the cut in microseconds since 1970), items with at least 3 buyers before the cut."""
    cut = int(datetime(2011, 11, 10, tzinfo=UTC).timestamp() * 1_000_000)
    train, test = Interactions.from_arrow(table).split(cut)
    return train.restrict(min_buyers=3, max_items=len(train.items)), test, cut


def peers(train: Interactions, items: pa.StringArray, cut: int, flavour: Flavour) -> dict[str, Scorer]:
    """What a shop would use instead."""
    from implicit.als import AlternatingLeastSquares
    from implicit.bpr import BayesianPersonalizedRanking

    sales = recent_sales(train, items, cut)
    with threadpool_limits(1):
        found = {
            "implicit als": factorised(AlternatingLeastSquares(
                factors=64, regularization=10.0, alpha=1.0, iterations=15, num_threads=1, random_state=SEED,
            ), train, cut),
            "implicit bpr": factorised(BayesianPersonalizedRanking(
                factors=64, iterations=50, num_threads=1, random_state=SEED,
            ), train, cut),
            "popular 7 days": lambda user, history: sales,
        }
    if flavour == "all":
        month = recent_sales(train, items, cut, days=30.0)
        found["own frequency"] = frequency(month / (1 + month.max()))
    return found


def factorised(solver: Any, train: Interactions, cut: int) -> Scorer:
    """A scorer by factors of users and items."""
    solver.fit(train.matrix(cut, FOREVER), show_progress=False)
    users, factors = np.asarray(solver.user_factors), np.asarray(solver.item_factors)
    return lambda user, history: factors @ users[user]


def frequency(tie_break: np.ndarray) -> Scorer:
    """A scorer by how often the shopper took each item; `tie_break` is below 1."""

    def score(user: int, history: History) -> np.ndarray:
        scores = tie_break.copy()
        np.add.at(scores, history.item_codes, history.weights.astype(np.float32))
        return scores

    return score


if __name__ == "__main__":
    main()
