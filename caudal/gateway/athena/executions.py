"""Executions: queued, run by a few threads, remembered; their results in S3."""

import hashlib
import json
import logging
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pyarrow as pa

from caudal.background import Background
from caudal.errors import AlreadyExists, CaudalError, NotFound, tellable
from caudal.gateway.athena.errors import failure
from caudal.gateway.athena.hive import column_info
from caudal.gateway.athena.results import as_texts, from_csv, from_lines, to_csv, to_lines
from caudal.gateway.athena.statements import kind_of
from caudal.gateway.documents import Document, Documents, Place
from caudal.gateway.faults import AwsError
from caudal.gateway.pages import page_after
from caudal.gateway.s3.objects import Objects, split_url
from caudal.lake.query.cancel import Cancel

LIVE, DONE, TOKEN, REUSE = "athena.live", "athena.execution", "athena.token", "athena.reuse"
LISTED, AGING = "athena.listed", "athena.aging"
"""Executions by workgroup, the newest first; and by when they began, each with what goes when it does."""
THREADS = 8
"""Statements that run at once; a further one is queued."""
ACTIVE = {"DML": 200, "DDL": 20, "UTILITY": 20}
"""Statements of a kind that may be queued or running, where AWS's limits are on."""
KEPT_SECONDS = 45 * 86400
"""How long an execution is known, as AWS has it."""
EXPIRE_SECONDS, EXPIRED = 60.0, 200
"""How often it is looked for older ones, and how many go in one transaction."""
KEPT_BYTES = 64 << 20
"""Results that are kept in memory for GetQueryResults, in all."""

TOO_MANY = ("You have exceeded the limit for the number of queries you can run concurrently. Please reduce the number of "
            "concurrent queries submitted by this account.")

_FAR = 10**17 - 1
OPEN_PARTITIONS = 100
"""Partitions that one statement may write, as Athena has it."""
NOTHING = pa.table({})
"""The rows of a statement that answers with none."""
log = logging.getLogger("caudal.gateway")


class Outcome(NamedTuple):
    """What a statement came to."""

    table: pa.Table
    scanned: int = 0
    """Bytes read."""
    written: list[str] | None = None
    """URLs of the objects that it wrote, if it writes any."""
    rows: int | None = None
    """Rows that it wrote."""
    digits: int = 3
    """Of a second's part, in its times."""


Run = Callable[[Document, Callable[[], bool]], Outcome]
"""Runs an execution's statement; the second argument says whether it was stopped meanwhile."""


class Executions:
    """The executions of one endpoint."""

    def __init__(self, documents: Documents, objects: Objects, run: Run, limited: bool = False) -> None:
        self._documents, self._objects, self._run, self._limited = documents, objects, run, limited
        self._threads = ThreadPoolExecutor(THREADS, "athena")
        self._lock = threading.Lock()
        self._live: dict[str, Document] = {}
        self._cancels: dict[str, Cancel] = {}
        self._closing = False
        self._expiry = Background("athena-expiry", lambda: self.expire(time.time()), every=EXPIRE_SECONDS)
        self._kept: OrderedDict[str, pa.Table] = OrderedDict()

    def start(self) -> None:
        """What the last process did not end has failed."""
        for id, execution in self._documents.all(LIVE).items():
            if self._documents.get(DONE, id) is None:
                error = failure(RuntimeError())
                error |= {"Retryable": True, "ErrorMessage": "GENERIC_INTERNAL_ERROR: the endpoint was started anew meanwhile"}
                self._end(execution, "FAILED", error)
            self._documents.remove(LIVE, id)
        self._expiry.start()

    def close(self) -> None:
        """End what runs: the next start says so of it."""
        self._expiry.close()
        with self._lock:
            self._closing = True
            cancels = list(self._cancels.values())
        for cancel in cancels:
            cancel()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def expire(self, now: float) -> None:
        """Forget the executions that are too old; what they wrote to S3 stays."""
        while True:
            oldest = self._documents.all(AGING, limit=EXPIRED)
            gone = {name: what for name, what in oldest.items() if what["Submitted"] < now - KEPT_SECONDS}
            if not gone:
                return
            places = [tuple(place) for what in gone.values() for place in what["Places"]]
            for what in gone.values():
                if (self._documents.get(REUSE, what["Digest"]) or {}).get("id") == what["Id"]:
                    places.append((REUSE, what["Digest"]))
            self._documents.write(remove=[*places, *((AGING, name) for name in gone)])

    def submit(self, token: str, asked: Document, reuse_seconds: float | None) -> str:
        """Start a statement; the same token again gives the same execution. Raises AwsError."""
        id = str(uuid.uuid4())
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        if token and (known := self._documents.get(TOKEN, token)) is not None:
            return _same_token(known, digest)
        statement, sub, suffix = kind_of(asked["Query"])
        folder = asked["OutputLocation"].rstrip("/")
        execution = {**asked, "Id": id, "State": "QUEUED", "Submitted": time.time(), "StatementType": statement,
                     "SubstatementType": sub, "Folder": folder, "Output": f"{folder}/{id}{suffix}", "Digest": _same(asked)}
        with self._lock:
            active = sum(one["StatementType"] == statement and "Ended" not in one for one in self._live.values())
            if self._limited and active >= ACTIVE[statement]:
                raise AwsError("TooManyRequestsException", TOO_MANY, Reason="CONCURRENT_QUERY_LIMIT_EXCEEDED")
            self._live[id], self._cancels[id] = execution, Cancel()
        try:
            self._begin(execution, {(TOKEN, token): {"id": id, "digest": digest}} if token else {})
        except AlreadyExists:  # another request with this token was faster
            self._forget(id)
            return _same_token(self._documents.get(TOKEN, token) or {}, digest)
        except BaseException:
            self._forget(id)
            raise
        try:
            earlier = self._reusable(execution, reuse_seconds) if reuse_seconds is not None else None
            if earlier is not None:
                execution |= {name: earlier[name] for name in ("Output", "Columns")} | {"Reused": True}
                self._end(execution, "SUCCEEDED", None)
            else:
                self._threads.submit(self._work, id)
        except Exception as error:  # it is written down: who asks for it is told
            self._end(execution, "FAILED", failure(error))
            raise
        return id

    def _begin(self, execution: Document, token: dict[Place, Document]) -> None:
        """Write down that it is there, where it is listed, and what goes when it is too old."""
        id, micros = execution["Id"], round(1e6 * execution["Submitted"])
        listed = LISTED, f"{execution['WorkGroup']}/{_FAR - micros:017}-{id}"
        places = [(DONE, id), listed, *token]
        aging = {"Id": id, "Submitted": execution["Submitted"], "Digest": execution["Digest"], "Places": places}
        self._documents.write({(LIVE, id): execution, listed: {}, (AGING, f"{micros:017}-{id}"): aging}, create=token)

    def _reusable(self, execution: Document, seconds: float) -> Document | None:
        known = self._documents.get(REUSE, execution["Digest"])
        if known is None or execution["SubstatementType"] != "SELECT" or known["at"] < time.time() - seconds:
            return None
        return self._documents.get(DONE, known["id"])

    def get(self, id: str) -> Document:
        """An execution. Raises AwsError."""
        found = self._live.get(id) or self._documents.get(DONE, id)
        if found is None:
            raise AwsError("InvalidRequestException", f"QueryExecution {id} was not found")
        return found

    def ids(self, workgroup: str, token: str, size: int) -> tuple[list[str], str | None]:
        """At most `size` of a workgroup past `token`, the newest first; and the next token."""
        prefix = f"{workgroup}/"
        found = self._documents.all(LISTED, after=prefix + token, prefix=prefix, limit=size + 1)
        names, last = page_after(((name.removeprefix(prefix), name) for name in found), token, size)
        return [name.partition("-")[2] for name in names], last

    def stop(self, id: str) -> None:
        """Cancel one, if it has not ended: its statement is interrupted, and writes nothing any more. Raises AwsError."""
        self.get(id)
        with self._lock:
            execution = self._live.get(id)
            if execution is None or execution["State"] not in ("QUEUED", "RUNNING"):
                return
            execution["State"] = "CANCELLED"
            cancel = self._cancels[id]
        self._end(execution, "CANCELLED", None)
        cancel()

    def _work(self, id: str) -> None:
        with self._lock:
            execution = self._live.get(id)
            if execution is None or execution["State"] != "QUEUED":
                return
            execution |= {"State": "RUNNING", "Started": time.time()}
            cancel = self._cancels[id]
        try:
            with cancel.active():
                outcome = self._run(execution, lambda: execution["State"] == "CANCELLED" or self._closing)
            if execution["State"] == "CANCELLED":
                return
            ended = time.time()
            execution["EngineMillis"] = round((ended - execution["Started"]) * 1000)
            self._keep(execution, outcome)
            error = None
        except Exception as raised:
            if not isinstance(raised, CaudalError):
                log.error("athena: %s", tellable(raised))
            error = failure(raised)
        with self._lock:
            if execution["State"] == "CANCELLED" or (error and self._closing):
                return
            execution["State"] = "ENDING"  # from here on nobody stops it
        self._end(execution, "FAILED" if error else "SUCCEEDED", error)

    def _keep(self, execution: Document, outcome: Outcome) -> None:
        """Write the results where the client asked for them."""
        texts = as_texts(outcome.table, outcome.digits)
        execution |= {"Columns": [column_info(field) for field in outcome.table.schema], "Scanned": outcome.scanned}
        bucket, key = split_url(execution["Output"])
        query = execution["SubstatementType"] == "SELECT"
        try:
            if outcome.written is not None:
                execution |= {"Manifest": f"{execution['Folder']}/{execution['Id']}-manifest.csv", "Rows": outcome.rows}
                _, manifest = split_url(execution["Manifest"])
                self._objects.put(bucket, manifest, "".join(f"{url}\n" for url in outcome.written).encode())
            if query or outcome.written is None:
                self._objects.put(bucket, key, to_csv(texts) if query else to_lines(texts))
            described = json.dumps({"ColumnInfo": execution["Columns"]}).encode()
            self._objects.put(bucket, f"{key}.metadata", described)
        except NotFound:
            raise AwsError("InvalidRequestException", f"Unable to verify/create output bucket {bucket}") from None
        self._remember(execution["Id"], texts)

    def _end(self, execution: Document, state: str, error: dict[str, Any] | None) -> None:
        ended = {**execution, "State": state, "Ended": time.time(), "Error": error}
        written = {(DONE, execution["Id"]): ended}
        if state == "SUCCEEDED" and execution["SubstatementType"] == "SELECT" and not execution.get("Reused"):
            written[REUSE, execution["Digest"]] = {"id": execution["Id"], "at": ended["Ended"]}
        try:
            self._documents.write(written, remove=[(LIVE, execution["Id"])])
        except CaudalError as unwritten:  # how it ended is known until we end ourselves
            log.error("athena: the end of %s cannot be written: %s", execution["Id"], tellable(unwritten))
            with self._lock:
                self._live[execution["Id"]] = ended
            return
        self._forget(execution["Id"])

    def _forget(self, id: str) -> None:
        with self._lock:
            self._live.pop(id, None)
            self._cancels.pop(id, None)

    def _remember(self, id: str, texts: pa.Table) -> None:
        with self._lock:
            self._kept[id] = texts
            while sum(table.nbytes for table in self._kept.values()) > KEPT_BYTES:
                self._kept.popitem(last=False)

    def results(self, execution: Document) -> pa.Table:
        """The rows of one that succeeded, as text: from S3, unless they are still known. Raises AwsError."""
        if (known := self._kept.get(execution["Id"])) is not None:
            return known
        names = [column["Name"] for column in execution["Columns"]]
        if execution.get("Manifest") or not names:
            return pa.table({})
        try:
            data = self._objects.get(*split_url(execution["Output"]))
        except NotFound:
            raise AwsError("InvalidRequestException", f"Could not find results at {execution['Output']}") from None
        texts = from_csv(data) if execution["SubstatementType"] == "SELECT" else from_lines(data, names)
        self._remember(execution["Id"], texts)
        return texts


def _same_token(known: Document, digest: str) -> str:
    """The execution that a token stands for. Raises AwsError if it was of another request."""
    if known.get("digest") != digest:
        raise AwsError("InvalidRequestException", "Idempotent parameters do not match")
    return str(known["id"])


def _same(asked: Document) -> str:
    """Equal for statements whose result may be used again."""
    parts = [asked[name] for name in ("Query", "WorkGroup", "Database", "Parameters")]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def shown(execution: Document) -> dict[str, Any]:
    """An execution as the API has it."""
    status: dict[str, Any] = {"State": "RUNNING" if execution["State"] == "ENDING" else execution["State"],
                              "SubmissionDateTime": datetime.fromtimestamp(execution["Submitted"], UTC)}
    ended = execution.get("Ended")
    if ended is not None:
        status["CompletionDateTime"] = datetime.fromtimestamp(ended, UTC)
    if execution.get("Error"):
        status |= {"AthenaError": execution["Error"], "StateChangeReason": execution["Error"]["ErrorMessage"]}
    if execution["State"] == "CANCELLED":
        status["StateChangeReason"] = "Query cancelled by user"
    started = execution.get("Started", execution["Submitted"])
    statistics = {
        "EngineExecutionTimeInMillis": execution.get("EngineMillis", 0), "DataScannedInBytes": execution.get("Scanned", 0),
        "TotalExecutionTimeInMillis": round(((ended or time.time()) - execution["Submitted"]) * 1000),
        "QueryQueueTimeInMillis": round((started - execution["Submitted"]) * 1000),
        "ServiceProcessingTimeInMillis": 0,
        "ResultReuseInformation": {"ReusedPreviousResult": bool(execution.get("Reused"))},
    }
    if execution.get("Manifest"):
        statistics["DataManifestLocation"] = execution["Manifest"]
    context = {"Database": execution["Database"], "Catalog": execution["Catalog"]}
    return {
        "QueryExecutionId": execution["Id"], "Query": execution["Query"], "StatementType": execution["StatementType"],
        "SubstatementType": execution["SubstatementType"], "ResultConfiguration": {"OutputLocation": execution["Output"]},
        "QueryExecutionContext": {name: value for name, value in context.items() if value}, "Status": status,
        "Statistics": statistics, "WorkGroup": execution["WorkGroup"],
        "EngineVersion": {"SelectedEngineVersion": "AUTO", "EffectiveEngineVersion": "Athena engine version 3"},
        **({"ExecutionParameters": execution["Parameters"]} if execution["Parameters"] else {}),
    }
