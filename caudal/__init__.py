"""From a shop's operational database to live recommendations, with SQL on the way."""

from caudal.contract import Delivery, Digits, personal, renamed, ttl
from caudal.contract import day, hour, identity, month, year
from caudal.pipeline import Pipeline

__version__ = "0.1.0"

__all__ = [
    "Delivery", "Digits", "Pipeline", "day", "hour", "identity", "month", "personal", "renamed", "ttl", "year",
]
