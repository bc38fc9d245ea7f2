"""The Lambda processor: batches of records to the user's function, and its answers, by Firehose's contract."""

import base64
import binascii
import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from caudal.errors import CaudalError
from caudal.gateway.faults import AwsError
from caudal.gateway.firehose.records import Failed, Record
from caudal.gateway.functions.pool import Outcome

RETRY_SECONDS = 0.2
"""Wait before a call that failed is made again; doubled each time."""
AT_ONCE = 2
"""Calls in flight."""


class _Metadata(msgspec.Struct):
    partition_keys: dict[str, str | int | float | bool] = msgspec.field(name="partitionKeys", default_factory=dict)
    table: dict[str, str | None] = msgspec.field(name="otfMetadata", default_factory=dict)

    @property
    def keys(self) -> tuple[tuple[str, str], ...]:
        """All that it says of its record."""
        found = {**self.partition_keys, **self.table}
        return tuple((name, _text(value)) for name, value in found.items() if value is not None)


class _Answered(msgspec.Struct):
    record_id: str = msgspec.field(name="recordId")
    result: str
    data: str | None = None
    metadata: _Metadata | None = None


class _Answer(msgspec.Struct):
    records: list[_Answered]


class Processor:
    """Calls one function for one delivery stream."""

    def __init__(
        self, run: Callable[[str, bytes], Outcome], function: str, arn: str, region: str, retries: int, batch_bytes: int
    ) -> None:
        self._run, self._function, self._retries, self._batch_bytes = run, function, retries, batch_bytes
        self._head = json.dumps({"deliveryStreamArn": arn, "region": region})[1:-1]
        self._decode = msgspec.json.Decoder(_Answer)
        self._threads = ThreadPoolExecutor(AT_ONCE, "firehose-lambda")

    def process(self, records: Sequence[Record]) -> tuple[list[Record], list[Failed]]:
        """The records as the function made them, in their order, those that it dropped left out; and what failed."""
        made: list[Record] = []
        failed: list[Failed] = []
        for good, bad in self._threads.map(self._batch, list(self._batches(records))):
            made += good
            failed += bad
        return made, failed

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False)

    def _batches(self, records: Sequence[Record]) -> Iterator[list[Record]]:
        batch: list[Record] = []
        size = 0
        for record in records:
            if batch and size + len(record.data) > self._batch_bytes:
                yield batch
                batch, size = [], 0
            batch.append(record)
            size += len(record.data)
        if batch:
            yield batch

    def _batch(self, batch: list[Record]) -> tuple[list[Record], list[Failed]]:
        records = ",".join([
            f'{{"recordId":"{r.id}","approximateArrivalTimestamp":{int(1000 * r.arrived)},'
            f'"data":"{base64.b64encode(r.data).decode()}"}}' for r in batch
        ])
        payload = f'{{"invocationId":"{uuid.uuid4()}",{self._head},"records":[{records}]}}'.encode()
        code, told, attempts = "", "", 0
        while attempts <= self._retries:
            if attempts:
                time.sleep(RETRY_SECONDS * 2 ** (attempts - 1))
            attempts += 1
            try:
                outcome = self._run(self._function, payload)
            except AwsError as error:
                code, told = "Lambda.InvokeAccessDenied" if error.status == 403 else "Lambda.FunctionNotFound", str(error)
                continue
            except CaudalError as error:
                code, told = "Lambda.InternalServerError", str(error)
                continue
            if outcome.failed:
                code = "Lambda.FunctionError"
                told = f"The Lambda function was successfully invoked but it returned an error result: {_error(outcome)}"
                continue
            try:
                return self._matched(batch, self._decode.decode(outcome.payload).records, attempts)
            except msgspec.DecodeError as error:
                code, told = "Lambda.JsonProcessingException", f"the function's answer is not what Firehose expects: {error}"
        return [], [Failed(record, "processing-failed", code, told, attempts) for record in batch]

    @staticmethod
    def _matched(batch: list[Record], answers: list[_Answered], attempts: int) -> tuple[list[Record], list[Failed]]:
        by_id: dict[str, _Answered] = {}
        doubled = set()
        for answer in answers:
            if answer.record_id in by_id:
                doubled.add(answer.record_id)
            by_id[answer.record_id] = answer
        made, failed = [], []
        for record in batch:
            found = by_id.get(record.id)
            problem = _problem(found, record.id in doubled)
            if problem is not None:
                failed.append(Failed(record, "processing-failed", *problem, attempts))
            elif found is not None and found.result == "Ok":
                try:
                    data = base64.b64decode(found.data or "", validate=True)
                except binascii.Error:
                    told = "the function's data is not base64"
                    failed.append(Failed(record, "processing-failed", "Lambda.DataDecodingFailed", told, attempts))
                    continue
                made.append(record._replace(data=data, keys=found.metadata.keys if found.metadata is not None else ()))
        return made, failed


def _problem(answer: _Answered | None, doubled: bool) -> tuple[str, str] | None:
    if answer is None:
        return "Lambda.MissingRecordId", "The function did not return this recordId."
    if doubled:
        return "Lambda.DuplicatedRecordId", "The function returned this recordId more than once."
    if answer.result == "ProcessingFailed":
        return "Lambda.ProcessingFailedStatus", "ProcessingFailed status set for record"
    if answer.result not in ("Ok", "Dropped"):
        return "Lambda.UnknownResult", "The function returned a result that is not Ok, Dropped or ProcessingFailed."
    return None


def _text(value: str | int | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _error(outcome: Outcome) -> str:
    try:
        return str(json.loads(outcome.payload).get("errorMessage", ""))[:200]
    except (ValueError, AttributeError):
        return ""
