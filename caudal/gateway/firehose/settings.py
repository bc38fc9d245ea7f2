"""What a delivery stream is to do, read from its destination's configuration; what is not served is refused by name."""

from typing import Any

import jq
import msgspec

from caudal.gateway.faults import AwsError
from caudal.gateway.firehose.prefixes import KEYS, check_prefix, keys_in, zone

Answer = dict[str, Any]

MIB = 1 << 20
KNOWN = {
    "RoleARN", "BucketARN", "Prefix", "ErrorOutputPrefix", "BufferingHints", "CompressionFormat", "EncryptionConfiguration",
    "CloudWatchLoggingOptions", "ProcessingConfiguration", "S3BackupMode", "S3BackupConfiguration", "S3BackupUpdate",
    "DataFormatConversionConfiguration", "DynamicPartitioningConfiguration", "FileExtension", "CustomTimeZone",
}
KNOWN_OF_ICEBERG = {
    "RoleARN", "CatalogConfiguration", "DestinationTableConfigurationList", "S3Configuration", "BufferingHints", "AppendOnly",
    "CloudWatchLoggingOptions", "ProcessingConfiguration", "S3BackupMode", "RetryOptions", "SchemaEvolutionConfiguration",
    "TableCreationConfiguration",
}


class Target(msgspec.Struct, frozen=True):
    """An Iceberg table of the Data Catalog."""

    database: str
    name: str
    key: tuple[str, ...] = ()
    """Columns that tell rows apart; those that the table itself names, if there are none here."""
    error_prefix: str | None = None


class Settings(msgspec.Struct, frozen=True):
    """One destination. Of Iceberg tables bucket and prefixes are those of what cannot be delivered."""

    bucket: str
    prefix: str
    error_prefix: str
    buffer_bytes: int
    buffer_seconds: float
    compression: str
    extension: str
    time_zone: str
    function: str = ""
    """The Lambda function that processes records; "" for none."""
    retries: int = 3
    batch_bytes: int = MIB
    query: str = ""
    """The jq expression whose object has the partition keys; "" for none."""
    deaggregate: str = ""
    """JSON or DELIMITED: a record holds several; "" if not."""
    separator: str = ""
    """What stands between the records of one that holds several, where they are DELIMITED."""
    delimiter: str = ""
    """What is appended to each record."""
    dynamic: bool = False
    """Whether records are spread by partition keys."""
    table: tuple[str, str] | None = None
    """Database and table in Glue by whose columns records become Parquet."""
    backup: "Settings | None" = None
    """Where records go as they came, besides."""
    targets: tuple[Target, ...] | None = None
    """The Iceberg tables that are known; None if the destination is S3."""
    retry_seconds: float = 300.0
    """How long a table is tried that cannot be written to."""


def read_settings(given: Answer) -> Settings:
    """The settings of a destination. Raises AwsError."""
    return _iceberg(given) if "CatalogConfiguration" in given else _s3(given)


def _iceberg(given: Answer) -> Settings:
    for name in given.keys() - KNOWN_OF_ICEBERG:
        raise _bad(f"caudal does not serve {name} of an Iceberg destination")
    for name in ("SchemaEvolutionConfiguration", "TableCreationConfiguration"):
        if given.get(name, {}).get("Enabled"):
            raise _bad(f"caudal does not serve {name}: create the table, and its columns, in the Data Catalog")
    if given.get("S3BackupMode", "FailedDataOnly") != "FailedDataOnly":
        raise _bad("an Iceberg destination has the S3BackupMode FailedDataOnly")
    catalog = given["CatalogConfiguration"]
    if not catalog.get("CatalogARN", "").endswith(":catalog") or "WarehouseLocation" in catalog:
        raise _bad("CatalogConfiguration names the Data Catalog, arn:aws:glue:region:account-id:catalog, and nothing else")
    processing = {"ProcessingConfiguration": given.get("ProcessingConfiguration", {})}
    errors = {name: value for name, value in given["S3Configuration"].items() if name != "BufferingHints"}
    made = _s3({**errors, **processing, "BufferingHints": given.get("BufferingHints")})
    if made.delimiter:
        raise _bad("AppendDelimiterToRecord is for S3: a record becomes a row")
    targets = tuple(_target(each) for each in given.get("DestinationTableConfigurationList") or ())
    if len({(target.database, target.name) for target in targets}) < len(targets):
        raise _bad("DestinationTableConfigurationList names a table twice")
    seconds = given.get("RetryOptions", {}).get("DurationInSeconds", 300)
    return msgspec.structs.replace(made, targets=targets, retry_seconds=float(seconds))


def _target(given: Answer) -> Target:
    if "PartitionSpec" in given:
        raise _bad("caudal does not serve PartitionSpec: create the table in the Data Catalog")
    key = tuple(given.get("UniqueKeys") or ())
    return Target(
        given["DestinationDatabaseName"].lower(), given["DestinationTableName"].lower(), key, given.get("S3ErrorOutputPrefix"))


def _s3(given: Answer) -> Settings:
    for name in given.keys() - KNOWN:
        raise _bad(f"caudal does not serve {name} of an S3 destination")
    if "KMSEncryptionConfig" in given.get("EncryptionConfiguration", {}):
        raise _bad("caudal does not serve KMS encryption")
    dynamic = bool(given.get("DynamicPartitioningConfiguration", {}).get("Enabled"))
    conversion = given.get("DataFormatConversionConfiguration", {})
    converts = bool(conversion) and conversion.get("Enabled", True)
    hints = given.get("BufferingHints") or {"SizeInMBs": 128 if converts else 5, "IntervalInSeconds": 300}
    if len(hints) != 2:
        raise _bad("BufferingHints has SizeInMBs and IntervalInSeconds, both or neither")
    prefix, error_prefix = given.get("Prefix", ""), given.get("ErrorOutputPrefix", "")
    check_prefix(prefix, error=False, dynamic=dynamic)
    check_prefix(error_prefix, error=True, dynamic=dynamic)
    if dynamic and (not keys_in(prefix) or not error_prefix):
        raise _bad("dynamic partitioning needs a Prefix with partition keys, and an ErrorOutputPrefix")
    if dynamic and hints["IntervalInSeconds"] == 0:
        raise _bad("dynamic partitioning cannot have a buffer interval of 0")
    if "!{" in prefix and not error_prefix:
        raise _bad("ErrorOutputPrefix is needed where the Prefix has expressions")
    compression = given.get("CompressionFormat", "UNCOMPRESSED")
    if compression == "Snappy":
        raise _bad("caudal does not serve the compression Snappy: GZIP, ZIP and HADOOP_SNAPPY are")
    if converts and compression != "UNCOMPRESSED":
        raise _bad("CompressionFormat is UNCOMPRESSED where the data format is converted")
    return Settings(
        given["BucketARN"].rpartition(":")[2], prefix, error_prefix, hints["SizeInMBs"] * MIB, float(hints["IntervalInSeconds"]),
        compression, given.get("FileExtension", ""), _zone(given.get("CustomTimeZone", "UTC")), dynamic=dynamic,
        table=_table(conversion) if converts else None, backup=_backup(given), **_processing(given, dynamic, prefix),
    )


def _zone(name: str) -> str:
    zone(name)
    return name


def _backup(given: Answer) -> Settings | None:
    if given.get("S3BackupMode", "Disabled") != "Enabled":
        return None
    backup = given.get("S3BackupConfiguration") or given.get("S3BackupUpdate")
    if backup is None:
        raise _bad("S3BackupConfiguration is needed with S3BackupMode Enabled")
    return read_settings(backup)


def _table(conversion: Answer) -> tuple[str, str]:
    schema = conversion.get("SchemaConfiguration", {})
    output = conversion.get("OutputFormatConfiguration", {}).get("Serializer", {})
    if "DatabaseName" not in schema or "TableName" not in schema:
        raise _bad("SchemaConfiguration names a DatabaseName and a TableName of Glue")
    if "OrcSerDe" in output:
        raise _bad("caudal does not serve ORC: Parquet is")
    return schema["DatabaseName"], schema["TableName"]


def _processing(given: Answer, dynamic: bool, prefix: str) -> Answer:
    """Settings of the processors, in the one order that Firehose has. Raises AwsError."""
    processing = given.get("ProcessingConfiguration") or {}
    made: Answer = {}
    for processor in processing.get("Processors", []) if processing.get("Enabled", True) else []:
        values = {p["ParameterName"]: p["ParameterValue"] for p in processor.get("Parameters", [])}
        if processor["Type"] == "Lambda":
            if "LambdaArn" not in values:
                raise _bad("the Lambda processor needs LambdaArn")
            retries, size = _number(values, "NumberOfRetries", 3, 0, 300), _number(values, "BufferSizeInMBs", 1, 0.2, 3)
            made |= {"function": values["LambdaArn"], "retries": int(retries), "batch_bytes": int(size * MIB)}
        elif processor["Type"] == "MetadataExtraction":
            made["query"] = _query(values)
        elif processor["Type"] == "RecordDeAggregation":
            made |= {"deaggregate": values.get("SubRecordType", "JSON"), "separator": _unescaped(values.get("Delimiter", ""))}
        elif processor["Type"] == "AppendDelimiterToRecord":
            made["delimiter"] = _unescaped(values.get("Delimiter", "\n"))
        else:
            raise _bad(f"caudal does not serve the processor {processor['Type']}")
    needed = {namespace for namespace, _ in keys_in(prefix)}
    if dynamic and KEYS[0] in needed and "query" not in made:
        raise _bad("partitionKeyFromQuery needs the processor MetadataExtraction")
    if dynamic and KEYS[1] in needed and "function" not in made:
        raise _bad("partitionKeyFromLambda needs the processor Lambda")
    return made


def _number(values: Answer, name: str, otherwise: float, least: float, most: float) -> float:
    """A processor's parameter. Raises AwsError."""
    try:
        value = float(values.get(name, otherwise))
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        raise _bad(f"{name} is a number from {least} to {most}")
    return value


def _query(values: Answer) -> str:
    text: str = values.get("MetadataExtractionQuery", "")
    try:
        jq.compile(text)
    except ValueError as error:
        raise _bad(f"MetadataExtractionQuery is no jq expression: {error}") from None
    return text


def _unescaped(text: str) -> str:
    return text.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r")


def _bad(told: str) -> AwsError:
    return AwsError("InvalidArgumentException", told)
