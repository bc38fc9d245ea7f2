"""Where a shopper may buy again: the model's scores with the shopper's own habit on top."""

from typing import Any

import numpy as np
import numpy.typing as npt

from caudal.learn.dataset import History, decay
from caudal.learn.models.port import Model, Scores

HABIT_WEIGHT = 16.0
HABIT_HALF_LIFE_DAYS = 180.0
POPULARITY_WEIGHT = 2.0


def score_with_habit(
    model: Model, history: History, now_us: int, popularity: npt.NDArray[np.floating[Any]] | None = None
) -> Scores:
    """z(model's score) + 2 z(log popularity) + 16 log(1 + how often, faded, the shopper took the item): shape (items,).

    z is standardised over items. The habit fades with a half-life of 180 days, and things returned do not count.
    Evaluation of repeats and serving of "for you" and "buy again" call this one function. The weights were chosen on
    the validation window of UCI Online Retail. Errors are those of `Model.score`.
    """
    scores = _standardised(model.score(history, now_us, popularity))
    scores += np.float32(POPULARITY_WEIGHT) * _standardised(model.log_popularity(popularity))
    codes, often = habit(history, now_us)
    scores[codes] += (HABIT_WEIGHT * np.log1p(often)).astype(np.float32)
    return scores


def habit(history: History, now_us: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    """(item codes, how often the shopper took each, faded with age), each item once."""
    faded = history.weights * decay(history.times, now_us, HABIT_HALF_LIFE_DAYS)
    codes, place = np.unique(history.item_codes, return_inverse=True)
    kept = np.isin(codes, history.net[0])
    return codes[kept], np.maximum(np.bincount(place, faded, len(codes)), 0.0)[kept]


def _standardised(scores: Scores) -> Scores:
    spread = scores.std()
    shifted: Scores = (scores - scores.mean()) / (spread if spread > 0 else np.float32(1))
    return shifted
