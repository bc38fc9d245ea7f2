"""Matrix factorisation for implicit feedback: for catalogues too large for an item-item matrix.

Hu, Koren, Volinsky (ICDM 2008), trained by the library implicit. A shopper's factors are solved from the history that
comes with the question (fold-in), so a shopper who came after training is served as well as any other.
"""

from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from threadpoolctl import threadpool_limits

from caudal.errors import DataError
from caudal.learn.dataset import Codes, History, Interactions, check_orientation
from caudal.learn.models import artifact
from caudal.learn.models.options import Amount, Count, Days, Options, Positive, choose
from caudal.learn.models.port import Model, Scores

Factors = npt.NDArray[np.float32]


class AlsOptions(Options, frozen=True):
    """Settings of `als`; the defaults were chosen on the validation window of UCI Online Retail."""

    factors: Count = 64
    regularization: Positive = 10.0
    iterations: Count = 15
    alpha: Positive = 2.0
    """Confidence in an interaction of strength 1; what was not taken has 1."""
    train_half_life_days: Days = 60.0
    half_life_days: Days = 60.0
    """Of an interaction in the shopper's history."""
    prior: Amount = 0.03
    """Weight of log popularity."""
    min_buyers: Count = 3
    max_items: Count = 200_000


class AlsModel(Model):
    """score = item factors x the shopper's factors + prior x log(1 + popularity)."""

    name: ClassVar[str] = "als"

    def __init__(
        self, items: pa.StringArray, popularity: npt.NDArray[np.floating[Any]], prior: float,
        half_life_days: float, alpha: float, regularization: float, factors: Factors,
    ) -> None:
        super().__init__(items, popularity, prior)
        self.half_life_days, self.alpha, self.regularization = half_life_days, alpha, regularization
        self.factors = factors
        """Items x factors."""
        gram = factors.T.astype(np.float64) @ factors
        self._gram = gram + regularization * np.eye(len(gram))

    @classmethod
    def fit(cls, interactions: Interactions, *, now_us: int, seed: int, **options: Any) -> Self:
        from implicit.als import AlternatingLeastSquares  # half a second to import: only training needs it

        chosen = choose(AlsOptions, options)
        known = interactions.until(now_us).restrict(chosen.min_buyers, chosen.max_items)
        if not len(known):
            raise DataError("empty: there are no interactions to learn from")
        matrix = known.matrix(now_us, chosen.train_half_life_days)
        check_orientation(matrix, len(known.users), len(known.items))
        with threadpool_limits(1):
            solver = AlternatingLeastSquares(
                factors=chosen.factors, regularization=chosen.regularization, alpha=chosen.alpha,
                iterations=chosen.iterations, num_threads=1, random_state=seed,
            )
            solver.fit(matrix, show_progress=False)
        return cls(
            known.items, known.popularity(now_us), chosen.prior, chosen.half_life_days,
            chosen.alpha, chosen.regularization, np.asarray(solver.item_factors, np.float32),
        )

    def contributions(self, history: History, now_us: int) -> Scores:
        _, parts = self._parts(history, now_us)
        scores: Scores = (self.factors @ parts.sum(axis=0)).astype(np.float32)
        return scores

    def explain(self, history: History, item_code: int, now_us: int) -> list[tuple[int, float]]:
        self.check(np.array([item_code]))
        codes, parts = self._parts(history, now_us)
        values = parts @ self.factors[item_code]
        found = [(int(code), float(value)) for code, value in zip(codes, values, strict=True)]
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))

    def similar(self, item_code: int) -> Scores:
        """Cosine of the factors."""
        self.check(np.array([item_code]))
        size = np.maximum(np.linalg.norm(self.factors, axis=1), np.float32(1e-12))
        scores = self.factors @ self.factors[item_code] / (size * size[item_code])
        scores[item_code] = scores.min() - 1
        return np.asarray(scores, np.float32)

    def save(self) -> bytes:
        settings = {
            "prior": self.prior, "half_life_days": self.half_life_days,
            "alpha": self.alpha, "regularization": self.regularization,
        }
        return artifact.pack(
            self.name, self.items, settings, {"popularity": self.popularity, "factors": self.factors}
        )

    @classmethod
    def load(cls, data: bytes) -> Self:
        stored = artifact.unpack(cls.name, data)
        return cls(stored.items, stored.arrays["popularity"], factors=stored.arrays["factors"], **stored.settings)

    def _parts(self, history: History, now_us: int) -> tuple[Codes, npt.NDArray[np.float64]]:
        """(item codes, what each puts into the shopper's factors: shape (codes, factors)); their sum is the factors.

        Minimises, as training does, c (1 - x'y)^2 over what was taken, with confidence c = alpha x strength, plus
        (x'y)^2 over the rest, plus regularization x'x. The solution is a sum over the history (the paper's section 5).
        """
        self.check(history.item_codes)
        codes, strengths = history.strengths(now_us, self.half_life_days)
        mine: npt.NDArray[np.float64] = self.factors[codes].astype(np.float64)
        confidence = self.alpha * strengths
        system = self._gram + (mine.T * (confidence - 1)) @ mine
        parts = np.linalg.solve(system, (mine * confidence[:, None]).T).T.astype(np.float64)
        return codes, parts
