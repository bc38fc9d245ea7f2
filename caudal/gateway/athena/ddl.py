"""DDL."""
from caudal.errors import QueryError
from caudal.gateway.cloud import Cloud


class Ddl:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def run(self, sql: str, database: str) -> None:
        raise QueryError("NOT_SUPPORTED: DDL", hint="")
