"""From a shop's operational database to live recommendations, with SQL on the way."""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = [
    "Delivery", "Digits", "ErrorBudget", "Pipeline", "day", "hour", "identity", "lambda_handler", "month", "per_batch",
    "personal", "renamed", "ttl", "year",
]

if TYPE_CHECKING:
    from caudal.budget import ErrorBudget
    from caudal.contract import (
        Delivery,
        Digits,
        day,
        hour,
        identity,
        lambda_handler,
        month,
        per_batch,
        personal,
        renamed,
        ttl,
        year,
    )
    from caudal.pipeline import Pipeline
else:
    def __getattr__(name: str) -> object:
        """Imported when first used: `caudal --help` need not wait for Arrow."""
        if name not in __all__:
            raise AttributeError(f"module 'caudal' has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module("caudal.pipeline" if name == "Pipeline" else "caudal.contract"), name)
