"""The Data Firehose API."""

import threading
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from caudal.background import close_all
from caudal.errors import AlreadyExists, NotFound
from caudal.gateway.cloud import Cloud, Service, refuse
from caudal.gateway.documents import Document
from caudal.gateway.faults import AwsError
from caudal.gateway.firehose.delivery import PLACE, Delivery, forget
from caudal.gateway.firehose.settings import read_settings
from caudal.gateway.firehose.sources import DirectPut, KinesisSource, Source
from caudal.gateway.pages import page_after
from caudal.gateway.tags import Tags, read_tags

Answer = dict[str, Any]

KIND = "firehose.stream"
RECORD_BYTES, BATCH_BYTES = 1_024_000, 4 << 20
DESTINATION = "destinationId-000000000001"
HINTS = {"SizeInMBs": 5, "IntervalInSeconds": 300}
DEFAULTS = {"CompressionFormat": "UNCOMPRESSED", "EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"}}


class Firehose(Service):
    """Delivery streams to S3 and to Iceberg tables, from what is put to them or from Kinesis; each record is delivered once."""

    name = "firehose"

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self._deliveries: dict[str, Delivery] = {}
        self._puts: dict[str, DirectPut] = {}
        self._lock = threading.Lock()
        self._tags = Tags(cloud.documents, "firehose")

    def start(self) -> None:
        for document in self.cloud.documents.all(KIND).values():
            self._open(document)

    def close(self) -> None:
        with self._lock:
            deliveries = list(self._deliveries.values())
        close_all(deliveries)

    def create_delivery_stream(
        self, *, DeliveryStreamName: str, DeliveryStreamType: str = "DirectPut", Tags: list[Answer] | None = None,
        ExtendedS3DestinationConfiguration: Answer | None = None, S3DestinationConfiguration: Answer | None = None,
        IcebergDestinationConfiguration: Answer | None = None,
        KinesisStreamSourceConfiguration: Answer | None = None, DirectPutSourceConfiguration: Answer | None = None, **other: Any,
    ) -> Answer:
        refuse(other)
        given = [ExtendedS3DestinationConfiguration, S3DestinationConfiguration, IcebergDestinationConfiguration]
        destinations = [each for each in given if each is not None]
        if len(destinations) != 1:
            told = "caudal delivers to S3 and to Iceberg tables: give one of Extended S3 and Iceberg DestinationConfiguration"
            raise AwsError("InvalidArgumentException", told)
        (destination,) = destinations
        if (DeliveryStreamType == "KinesisStreamAsSource") != (KinesisStreamSourceConfiguration is not None):
            told = "KinesisStreamSourceConfiguration goes with DeliveryStreamType KinesisStreamAsSource"
            raise AwsError("InvalidArgumentException", told)
        settings = read_settings(destination)
        if settings.table is not None:
            self.cloud.service("glue").table(*settings.table)
        if settings.targets is not None:
            _ = self.cloud.iceberg  # which says so if its packages are missing
        document = {
            "name": DeliveryStreamName, "version": "1", "created": time.time(), "updated": None, "type": DeliveryStreamType,
            "source": KinesisStreamSourceConfiguration, "destination": destination,
            "log": f"firehose/{DeliveryStreamName}/{uuid.uuid4().hex[:8]}",
        }
        source = self._source(document)
        try:
            self.cloud.documents.create(KIND, DeliveryStreamName, document)
        except AlreadyExists:
            raise AwsError("ResourceInUseException", f"Firehose {DeliveryStreamName} already exists.") from None
        places = {str(shard): position for shard, position in source.now().items()}
        self.cloud.documents.put(PLACE, DeliveryStreamName, {"places": places})
        self._tags.set(DeliveryStreamName, read_tags(Tags))
        self._open(document)
        return {"DeliveryStreamARN": self._arn(DeliveryStreamName)}

    def describe_delivery_stream(self, *, DeliveryStreamName: str, **paging: Any) -> Answer:
        document = self._find(DeliveryStreamName)
        updated = document["updated"]
        source = document["source"]
        described: Answer = {
            "DeliveryStreamName": DeliveryStreamName, "DeliveryStreamARN": self._arn(DeliveryStreamName),
            "DeliveryStreamStatus": "ACTIVE",
            "DeliveryStreamType": document["type"], "VersionId": document["version"], "HasMoreDestinations": False,
            "CreateTimestamp": datetime.fromtimestamp(document["created"], UTC),
            "LastUpdateTimestamp": datetime.fromtimestamp(updated, UTC) if updated is not None else None,
            "Source": {"KinesisStreamSourceDescription": source} if source is not None else None,
            "Destinations": [_described(document["destination"])],
        }
        return {"DeliveryStreamDescription": described}

    def list_delivery_streams(
        self, *, Limit: int = 10, DeliveryStreamType: str = "", ExclusiveStartDeliveryStreamName: str = ""
    ) -> Answer:
        wanted = ((name, name) for name, document in self.cloud.documents.all(KIND).items()
                  if DeliveryStreamType in ("", document["type"]))
        found, more = page_after(wanted, ExclusiveStartDeliveryStreamName, Limit)
        return {"DeliveryStreamNames": found, "HasMoreDeliveryStreams": more is not None}

    def delete_delivery_stream(self, *, DeliveryStreamName: str, AllowForceDelete: bool = False) -> None:
        self._find(DeliveryStreamName)
        self._close(DeliveryStreamName)
        with self._lock:
            put = self._puts.pop(DeliveryStreamName, None)
        if put is not None:
            put.drop()
        self.cloud.documents.remove(KIND, DeliveryStreamName)
        forget(self.cloud, DeliveryStreamName)
        self._tags.drop(DeliveryStreamName)

    def update_destination(
        self, *, DeliveryStreamName: str, CurrentDeliveryStreamVersionId: str, DestinationId: str,
        ExtendedS3DestinationUpdate: Answer | None = None, S3DestinationUpdate: Answer | None = None,
        IcebergDestinationUpdate: Answer | None = None, **other: Any,
    ) -> None:
        refuse(other)
        to_s3 = ExtendedS3DestinationUpdate or S3DestinationUpdate
        changes = IcebergDestinationUpdate or to_s3 or {}

        def change(old: Document) -> Document:
            if old["version"] != CurrentDeliveryStreamVersionId:
                told = f"Cannot update Firehose {DeliveryStreamName} since the current version id: {old['version']} and"
                told = f"{told} specified version id: {CurrentDeliveryStreamVersionId} do not match"
                raise AwsError("ConcurrentModificationException", told)
            if changes and ("CatalogConfiguration" in old["destination"]) is (to_s3 is not None):
                told = f"The update is of another kind of destination than Firehose {DeliveryStreamName} has"
                raise AwsError("InvalidArgumentException", told)
            destination = {**old["destination"], **changes}
            read_settings(destination)
            return {**old, "destination": destination, "version": str(int(old["version"]) + 1), "updated": time.time()}

        self._find(DeliveryStreamName)
        try:
            document = self.cloud.documents.change(KIND, DeliveryStreamName, change)
        except NotFound:
            raise _missing(DeliveryStreamName) from None
        self._close(DeliveryStreamName)
        self._open(document)

    def put_record(self, *, DeliveryStreamName: str, Record: Answer) -> Answer:
        (id,) = self._put(DeliveryStreamName, [Record["Data"]])
        return {"RecordId": id, "Encrypted": False}

    def put_record_batch(self, *, DeliveryStreamName: str, Records: list[Answer]) -> Answer:
        ids = self._put(DeliveryStreamName, [record["Data"] for record in Records])
        return {"FailedPutCount": 0, "Encrypted": False, "RequestResponses": [{"RecordId": id} for id in ids]}

    def _put(self, name: str, records: list[bytes]) -> list[str]:
        put = self._puts.get(name)
        if put is None:
            if self._find(name)["type"] != "DirectPut":
                told = f"Firehose {name} is not configured as a Direct PUT stream: put to its Kinesis stream"
                raise AwsError("InvalidArgumentException", told)
            raise AwsError("ServiceUnavailableException", f"Firehose {name} is opening", status=503)
        if any(len(record) > RECORD_BYTES for record in records):
            raise AwsError("InvalidArgumentException", f"a record may have {RECORD_BYTES} bytes")
        if sum(map(len, records)) > BATCH_BYTES:
            raise AwsError("InvalidArgumentException", "Records size exceeds 4 MB limit")
        return put.put(records)

    def tag_delivery_stream(self, *, DeliveryStreamName: str, Tags: list[Answer]) -> None:
        self._find(DeliveryStreamName)
        self._tags.add(DeliveryStreamName, read_tags(Tags))

    def untag_delivery_stream(self, *, DeliveryStreamName: str, TagKeys: list[str]) -> None:
        self._find(DeliveryStreamName)
        self._tags.remove(DeliveryStreamName, TagKeys)

    def list_tags_for_delivery_stream(
        self, *, DeliveryStreamName: str, ExclusiveStartTagKey: str = "", Limit: int = 50
    ) -> Answer:
        self._find(DeliveryStreamName)
        return self._tags.page(DeliveryStreamName, ExclusiveStartTagKey, Limit)

    def _arn(self, name: str) -> str:
        return self.cloud.arn("firehose", f"deliverystream/{name}")

    def _find(self, name: str) -> Document:
        document = self.cloud.documents.get(KIND, name)
        if document is None:
            raise _missing(name)
        return document

    def _source(self, document: Document) -> Source:
        if document["source"] is not None:
            return KinesisSource(self.cloud, document["source"]["KinesisStreamARN"])
        put = DirectPut(self.cloud.stages.stream, document["log"])
        with self._lock:
            self._puts.setdefault(document["name"], put)
        return put

    def _open(self, document: Document) -> None:
        delivery = Delivery(self.cloud, document, read_settings(document["destination"]), self._source(document))
        with self._lock:
            self._deliveries[document["name"]] = delivery
        delivery.start()

    def _close(self, name: str) -> None:
        with self._lock:
            delivery = self._deliveries.pop(name, None)
        if delivery is not None:
            delivery.close()


def _missing(name: str) -> AwsError:
    return AwsError("ResourceNotFoundException", f"Firehose {name} under account 000000000000 not found.")


def _described(destination: Answer) -> Answer:
    if "CatalogConfiguration" in destination:
        shown = {"BufferingHints": HINTS, "S3BackupMode": "FailedDataOnly", "AppendOnly": False,
                 "RetryOptions": {"DurationInSeconds": 300}, **destination}
        shown["S3DestinationDescription"] = {"BufferingHints": HINTS, **DEFAULTS, **shown.pop("S3Configuration")}
        return {"DestinationId": DESTINATION, "IcebergDestinationDescription": shown}
    shown = {"BufferingHints": HINTS, **DEFAULTS, "S3BackupMode": "Disabled", **destination}
    for name in ("S3BackupConfiguration", "S3BackupUpdate"):
        if name in shown:
            shown["S3BackupDescription"] = shown.pop(name)
    plain = {"RoleARN", "BucketARN", "Prefix", "ErrorOutputPrefix", "BufferingHints", "CompressionFormat"}
    return {"DestinationId": DESTINATION, "ExtendedS3DestinationDescription": shown,
            "S3DestinationDescription": {name: value for name, value in shown.items() if name in plain}}
