"""Runs one statement: a query by the pipeline's engine, DDL by the Data Catalog, writes to S3 and then to both."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pyarrow as pa

from caudal.errors import QueryError
from caudal.gateway.athena.ddl import Ddl, name_of
from caudal.gateway.athena.executions import NOTHING, Outcome
from caudal.gateway.athena.names import Resolver
from caudal.gateway.athena.showing import Showing
from caudal.gateway.athena.statements import bare, kind_of
from caudal.gateway.athena.workgroups import PREPARED
from caudal.gateway.athena.writing import Writing
from caudal.gateway.cloud import Cloud
from caudal.gateway.documents import Document
from caudal.gateway.faults import AwsError
from caudal.gateway.glue.entries import is_iceberg
from caudal.lake.query.commands import Command, command_of
from caudal.lake.query.parameters import values_of, with_parameters

DEFAULT = "default"


class Engine:
    """The statements of one endpoint."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._resolver = Resolver(cloud)
        self._showing = Showing(cloud)
        self._ddl = Ddl(cloud)
        self._writing = Writing(cloud, self.query)

    def run(self, execution: Document, stopped: Callable[[], bool]) -> Outcome:
        """What a statement comes to. Raises QueryError, AwsError."""
        sql, parameters = execution["Query"], execution["Parameters"]
        database, cutoff = execution["Database"] or DEFAULT, execution["Cutoff"]
        if (shown := self._showing.properties(bare(sql), database)) is not None:
            return Outcome(shown)
        if execution["SubstatementType"] in ("SHOW", "DESCRIBE", "PREPARE", "EXPLAIN") or bare(sql)[:7].upper() == "EXECUTE":
            command = command_of(sql)
            if command is None:
                raise QueryError("NOT_SUPPORTED: this statement is not served", hint="docs/aws.md lists what is")
            if command.kind != "execute":
                return self._command(command, execution, database)
            sql = self._prepared(command, execution["WorkGroup"])
            parameters = [*values_of(command.sql), *parameters]
        if parameters:
            sql = with_parameters(sql, parameters)
        sub = kind_of(sql)[1]
        if sub in ("CREATE_TABLE_AS_SELECT", "INSERT", "UNLOAD"):
            return self._writing.run(bare(sql), sub, database, execution, stopped)
        if sub in ("UPDATE", "DELETE", "MERGE"):
            from caudal.gateway.athena.iceberg.changing import change

            return change(self._cloud, bare(sql), sub, partial(self._place, database), database, self._ask, stopped)
        if sub in ("OPTIMIZE", "VACUUM"):
            from caudal.gateway.athena.iceberg.upkeep import run

            return run(self._cloud, bare(sql), sub, partial(self._place, database))
        if sub not in ("SELECT", ""):
            self._ddl.run(bare(sql), database)
            return Outcome(NOTHING)
        return self.query(sql, database, cutoff)

    def _place(self, database: str, name: tuple[str, ...]) -> Document:
        """The Iceberg table that a statement changes. Raises QueryError."""
        schema, table = name_of(list(name), database)
        glue = self._cloud.service("glue")
        try:
            glue._refuse_declared(schema)
            document: Document = glue.table(schema, table)
        except AwsError as error:
            if error.code != "EntityNotFoundException":
                raise QueryError(f"FAILED: {error}", hint="the pipeline file changes them") from None
            raise QueryError(f"no table awsdatacatalog.{schema}.{table}", hint="see SHOW TABLES") from None
        if not is_iceberg(document):
            raise QueryError(f"NOT_SUPPORTED: Modifying Hive table rows is not supported: {schema}.{table}",
                             hint="make it an Iceberg table")
        return document

    def _ask(
        self, sql: str, database: str, given: Mapping[str, pa.Table], pinned: Mapping[tuple[str, str], Any]
    ) -> Outcome:
        reading = self._resolver.resolve(sql, database, given, pinned)
        return Outcome(self._cloud.stages.query.execute(reading.sql, tables=reading.tables()), reading.size())

    def query(self, sql: str, database: str, cutoff: int | None = None) -> Outcome:
        """The result of a SELECT. Raises QueryError."""
        reading = self._resolver.resolve(sql, database)
        if cutoff is not None and reading.size() > cutoff:
            told = f"EXCEEDED_BYTES_SCANNED: the query would read {reading.size()} bytes, and its workgroup allows {cutoff}"
            raise QueryError(told, hint=reading.advice())
        rows = self._cloud.stages.query.execute(reading.sql, tables=reading.tables())
        return Outcome(rows, reading.size(), digits=reading.digits())

    def _command(self, command: Command, execution: Document, database: str) -> Outcome:
        if command.kind == "explain":
            reading = self._resolver.resolve(command.sql, database)
            return Outcome(self._cloud.stages.query.execute(f"EXPLAIN {reading.sql}", tables=reading.tables()))
        if command.kind in ("prepare", "deallocate"):
            return self._prepare(command, execution["WorkGroup"])
        return Outcome(self._showing.answer(command, database))

    def _prepare(self, command: Command, workgroup: str) -> Outcome:
        service: Any = self._cloud.service("athena")
        if command.kind == "deallocate":
            service.delete_prepared_statement(StatementName=command.name, WorkGroup=workgroup)
            return Outcome(NOTHING)
        service.create_prepared_statement(StatementName=command.name, WorkGroup=workgroup, QueryStatement=command.sql)
        return Outcome(NOTHING)

    def _prepared(self, command: Command, workgroup: str) -> str:
        found = self._cloud.documents.get(PREPARED, f"{workgroup}/{command.name}")
        if found is None:
            raise QueryError(f"NOT_FOUND: Prepared statement not found: {command.name}", hint="PREPARE it in this workgroup")
        return str(found["QueryStatement"])
