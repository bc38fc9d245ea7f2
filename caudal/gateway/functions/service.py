"""The Lambda API, whole: functions, and event source mappings, which feed them the records of a stream."""

import time
import uuid
from datetime import UTC, datetime
from typing import Any

from caudal.background import close_all
from caudal.gateway.cloud import Cloud, refuse
from caudal.gateway.documents import Document
from caudal.gateway.faults import AwsError
from caudal.gateway.functions.api import BAD, Functions
from caudal.gateway.functions.poller import KIND, Poller
from caudal.gateway.pages import page_after

Answer = dict[str, Any]

DEFAULTS: Answer = {
    "BatchSize": 100, "MaximumBatchingWindowInSeconds": 0, "MaximumRetryAttempts": -1, "MaximumRecordAgeInSeconds": -1,
    "BisectBatchOnFunctionError": False, "FunctionResponseTypes": [], "ParallelizationFactor": 1, "Enabled": True,
}


class Lambda(Functions):
    """Python handlers from zip files, run in warm worker processes of their own, under their limits of time and memory."""

    name = "lambda"

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self._pollers: dict[str, Poller] = {}

    def start(self) -> None:
        super().start()
        for document in self.cloud.documents.all(KIND).values():
            self._poll(document)

    def close(self) -> None:
        close_all(self._pollers.values())
        super().close()

    def create_event_source_mapping(
        self, *, FunctionName: str, EventSourceArn: str = "", StartingPosition: str = "",
        StartingPositionTimestamp: datetime | None = None, **given: Any,
    ) -> Answer:
        refuse({name: value for name, value in given.items() if name not in DEFAULTS and value not in ([], {})}, BAD)
        if ":kinesis:" not in EventSourceArn and ":dynamodb:" not in EventSourceArn:
            raise AwsError(BAD, "EventSourceArn is of no stream of Kinesis or DynamoDB")
        if StartingPosition not in ("TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"):
            raise AwsError(BAD, "StartingPosition is TRIM_HORIZON, LATEST or AT_TIMESTAMP")
        if StartingPosition == "AT_TIMESTAMP" and StartingPositionTimestamp is None:
            raise AwsError(BAD, "StartingPositionTimestamp is needed with AT_TIMESTAMP")
        if given.get("ParallelizationFactor", 1) != 1:
            raise AwsError(BAD, "caudal calls a function for one batch of a shard at a time: ParallelizationFactor is 1")
        name = self.named(FunctionName)
        self.get_function_configuration(FunctionName=name)
        id = str(uuid.uuid4())
        at = StartingPositionTimestamp.timestamp() if StartingPositionTimestamp is not None else None
        document = {
            **DEFAULTS, **given, "UUID": id, "EventSourceArn": EventSourceArn, "Function": name,
            "StartingPosition": StartingPosition, "At": at, "LastModified": time.time(),
        }
        self.cloud.documents.create(KIND, id, document)
        self._poll(document)
        return self._mapping(document)

    def get_event_source_mapping(self, *, UUID: str) -> Answer:
        return self._mapping(self._find_mapping(UUID))

    def list_event_source_mappings(
        self, *, EventSourceArn: str = "", FunctionName: str = "", Marker: str = "", MaxItems: int = 100
    ) -> Answer:
        name = self.named(FunctionName) if FunctionName else ""
        wanted = (
            (id, document) for id, document in self.cloud.documents.all(KIND, after=Marker).items()
            if EventSourceArn in ("", document["EventSourceArn"]) and name in ("", document["Function"])
        )
        found, more = page_after(wanted, Marker, MaxItems)
        return {"EventSourceMappings": [self._mapping(document) for document in found], "NextMarker": more}

    def update_event_source_mapping(self, *, UUID: str, FunctionName: str = "", **given: Any) -> Answer:
        refuse({name: value for name, value in given.items() if name not in DEFAULTS and value not in ([], {})}, BAD)
        self._find_mapping(UUID)
        function = {"Function": self.named(FunctionName)} if FunctionName else {}
        changes = {**given, **function, "LastModified": time.time()}
        document = self.cloud.documents.change(KIND, UUID, lambda old: {**old, **changes})
        self._pollers.pop(UUID).close()
        self._poll(document)
        return self._mapping(document)

    def delete_event_source_mapping(self, *, UUID: str) -> Answer:
        document = self._find_mapping(UUID)
        self._pollers.pop(UUID).close()
        self.cloud.documents.remove(KIND, UUID)
        Poller.forget(self.cloud.documents, UUID)
        return {**self._mapping(document), "State": "Deleting"}

    def _poll(self, document: Document) -> None:
        poller = Poller(self.cloud, document, self.run)
        self._pollers[document["UUID"]] = poller
        if document["Enabled"]:
            poller.start()

    def _find_mapping(self, id: str) -> Document:
        document = self.cloud.documents.get(KIND, id)
        if document is None:
            raise AwsError("ResourceNotFoundException", "The resource you requested does not exist.", status=404)
        return document

    def _mapping(self, document: Document) -> Answer:
        shown = {name: value for name, value in document.items() if name not in ("Function", "At", "Enabled")}
        at = document["At"]
        poller = self._pollers.get(document["UUID"])
        return {
            **shown, "FunctionArn": self.cloud.arn("lambda", f"function:{document['Function']}"),
            "State": "Enabled" if document["Enabled"] else "Disabled", "StateTransitionReason": "User action",
            "LastModified": datetime.fromtimestamp(document["LastModified"], UTC),
            "StartingPositionTimestamp": datetime.fromtimestamp(at, UTC) if at is not None else None,
            "LastProcessingResult": poller.last_result if poller is not None else "No records processed",
        }
