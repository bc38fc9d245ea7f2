"""The Lambda function: DynamoDB's change records, as Kinesis carries them, to lines of CSV."""

import base64
import csv
import io
import json

COLUMNS = ("household_id", "basket_id", "product_id", "title", "quantity", "amount", "sold_at")


def handler(event, context):
    """Answers each record by Firehose's contract: a line of CSV, dropped, or failed."""
    return {"records": [convert(record) for record in event["records"]]}


def convert(record):
    """One record of Firehose's request to one of its answer."""
    answer = {"recordId": record["recordId"], "data": record["data"]}
    try:
        change = json.loads(base64.b64decode(record["data"]))
        if change["eventName"] == "REMOVE":
            return {**answer, "result": "Dropped"}
        # Attributes come as {"S": "text"} or {"N": "1.5"}; numbers are texts, so none is rounded.
        item = {name: next(iter(value.values())) for name, value in change["dynamodb"]["NewImage"].items()}
        line = io.StringIO()
        # What Athena's ROW FORMAT DELIMITED … ESCAPED BY '\\' reads.
        csv.writer(line, quoting=csv.QUOTE_NONE, escapechar="\\", lineterminator="\n").writerow(item[name] for name in COLUMNS)
        return {**answer, "result": "Ok", "data": base64.b64encode(line.getvalue().encode()).decode()}
    except (ValueError, KeyError):
        return {**answer, "result": "ProcessingFailed"}
