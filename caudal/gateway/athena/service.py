"""The Athena API."""

import re
from typing import Any

from caudal.gateway.athena.engine import Engine
from caudal.gateway.athena.executions import Executions, shown
from caudal.gateway.athena.hive import hive_type
from caudal.gateway.athena.metadata import Metadata
from caudal.gateway.athena.workgroups import BAD, PRIMARY
from caudal.gateway.cloud import Cloud, refuse
from caudal.gateway.faults import AwsError

Answer = dict[str, Any]


class Athena(Metadata):
    """Queries, run by the pipeline's engine; their results in S3."""

    name = "athena"

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self._engine = Engine(cloud)
        self._executions = Executions(cloud.documents, cloud.objects, self._engine.run, cloud.stages.config.gateway.limits)

    def start(self) -> None:
        self._executions.start()

    def close(self) -> None:
        self._executions.close()

    def start_query_execution(
        self, *, QueryString: str, ClientRequestToken: str = "", QueryExecutionContext: Answer | None = None,
        ResultConfiguration: Answer | None = None, WorkGroup: str = PRIMARY, ExecutionParameters: list[str] | None = None,
        ResultReuseConfiguration: Answer | None = None, **other: Any,
    ) -> Answer:
        refuse(other, BAD)
        group, result, context = self.workgroup(WorkGroup), ResultConfiguration or {}, QueryExecutionContext or {}
        if group["State"] != "ENABLED":
            raise AwsError(BAD, f"WorkGroup {WorkGroup} is disabled.")
        refuse({name: value for name, value in result.items() if name != "OutputLocation"}, BAD)
        if context.get("Catalog", "awsdatacatalog").lower() != "awsdatacatalog":
            raise AwsError(BAD, f"Data catalog {context['Catalog']} is not found: caudal has AwsDataCatalog")
        settings = group["Configuration"]
        own = settings.get("ResultConfiguration", {}).get("OutputLocation", "")
        location = own or result.get("OutputLocation", "") if settings.get("EnforceWorkGroupConfiguration") else (
            result.get("OutputLocation", "") or own)
        if not location:
            told = ("No output location provided. An output location is required either through the Workgroup result "
                    "configuration setting or as an API input.")
            raise AwsError(BAD, told)
        if not re.match(r"s3://[^/]+", location):
            raise AwsError(BAD, "outputLocation is not a valid S3 path.")
        reuse = (ResultReuseConfiguration or {}).get("ResultReuseByAgeConfiguration", {})
        seconds = 60.0 * reuse.get("MaxAgeInMinutes", 60) if reuse.get("Enabled") else None
        database = context.get("Database", "").strip('`"').lower()
        asked = {"Query": QueryString, "Database": database, "Catalog": context.get("Catalog", ""),
                 "WorkGroup": WorkGroup, "Parameters": ExecutionParameters or [], "OutputLocation": location,
                 "Cutoff": settings.get("BytesScannedCutoffPerQuery")}
        return {"QueryExecutionId": self._executions.submit(ClientRequestToken, asked, seconds)}

    def columns(self, sql: str, database: str) -> list[tuple[str, str]]:
        """Name and type of each column of a query's result. Raises QueryError."""
        return [(field.name, hive_type(field.type)) for field in self._engine.query(sql, database).table.schema]

    def get_query_execution(self, *, QueryExecutionId: str) -> Answer:
        return {"QueryExecution": shown(self._executions.get(QueryExecutionId))}

    def batch_get_query_execution(self, *, QueryExecutionIds: list[str]) -> Answer:
        found, missing = [], []
        for id in QueryExecutionIds:
            try:
                found.append(shown(self._executions.get(id)))
            except AwsError as error:
                missing.append({"QueryExecutionId": id, "ErrorCode": error.code, "ErrorMessage": str(error)})
        return {"QueryExecutions": found, "UnprocessedQueryExecutionIds": missing}

    def list_query_executions(self, *, NextToken: str = "", MaxResults: int = 50, WorkGroup: str = PRIMARY) -> Answer:
        self.workgroup(WorkGroup)
        found, token = self._executions.ids(WorkGroup, NextToken, MaxResults)
        return {"QueryExecutionIds": found, "NextToken": token}

    def stop_query_execution(self, *, QueryExecutionId: str) -> None:
        self._executions.stop(QueryExecutionId)

    def get_query_results(
        self, *, QueryExecutionId: str, NextToken: str = "", MaxResults: int = 1000, QueryResultType: str = "DATA_ROWS",
    ) -> Answer:
        refuse({"QueryResultType": QueryResultType if QueryResultType != "DATA_ROWS" else None}, BAD)
        execution = self._executions.get(QueryExecutionId)
        if execution["State"] != "SUCCEEDED":
            state = shown(execution)["Status"]["State"]
            told = "Query did not finish successfully." if state in ("FAILED", "CANCELLED") else "Query has not yet finished."
            raise AwsError(BAD, f"{told} Final query state: {state}" if state == "FAILED" else f"{told} Current state: {state}")
        texts = self._executions.results(execution)
        header = 1 if execution["SubstatementType"] == "SELECT" else 0
        start = int(NextToken) if NextToken.isdigit() else 0
        rows = [{"Data": [{"VarCharValue": name} for name in texts.column_names]}] if header and start == 0 else []
        first = max(0, start - header)
        part = texts.slice(first, MaxResults - len(rows))
        columns = [column.to_pylist() for column in part.columns]
        cells = ([{} if value is None else {"VarCharValue": value} for value in column] for column in columns)
        rows += [{"Data": list(row)} for row in zip(*cells, strict=True)]
        done = first + part.num_rows
        return {
            "UpdateCount": execution.get("Rows") or 0, "NextToken": str(done + header) if done < texts.num_rows else None,
            "ResultSet": {"Rows": rows, "ResultSetMetadata": {"ColumnInfo": execution["Columns"]}},
        }
