"""Writes."""
from caudal.errors import QueryError
from caudal.gateway.cloud import Cloud


class Writing:
    def __init__(self, cloud: Cloud, query) -> None:
        self._cloud, self._query = cloud, query

    def run(self, sql, sub, database, execution, stopped):
        raise QueryError("NOT_SUPPORTED: writes", hint="")
