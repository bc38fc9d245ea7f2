"""AWS's APIs: caudal's endpoint, MiniStack and moto, asked by one boto3 client in the same run.

    python benchmarks/aws.py

The peers are installed in `.venv-peers` when the benchmark is first run. caudal's answers are durable; the peers keep their
state in memory. A peer that refuses something, or delivers nothing, counts 0 where more is better, and has no row where less is;
an answer that it did not compute is named as canned, and not counted either.

    start ms, idle MiB                  the endpoint's process and all that it started, until it answers, and a second later
    put item/s                          PutItem by one client, one after the other; with DynamoDB's stream, and with a Kinesis
                                        destination, in turn in the same run. The subject `nothing` is a socket that answers
                                        without a look: what boto3 itself takes, which no endpoint can go below (it answers
                                        PutRecords too)
    put records/s                       records by PutRecords, 500 at once
    firehose lambda records/s           from the first PutRecords to the last line in S3, through a plain Python handler that
                                        turns each record from JSON to CSV
    dynamodb changes in lake of 10000   10,000 puts of 1,000 items through a Kinesis destination and Firehose to S3: how many
                                        changes arrive once, each item's in order; and how long after the first put
    athena query ms                     a sum over 1,000 lines of CSV in S3, from StartQueryExecution to GetQueryResults
    invoke endpoint p50 ms              a household's recommendations from the endpoint of a model that was trained by a training
                                        job on a grocer's 5,000 real purchases, which came by BatchWriteItem
"""

import time
from collections.abc import Callable, Mapping
from statistics import median

from aws_lake import athena, changes, firehose
from aws_models import invoke
from aws_subjects import SUBJECTS, Endpoint, NotDone, item, put_arguments, record, served
from botocore.exceptions import BotoCoreError, ClientError
from report import Report

RUNS = 3
ITEMS = 500
RECORDS = 100_000


def rates(works: Mapping[str, Callable[[int], object]], n: int) -> dict[str, float]:
    """How often a second each can be done: the median of some runs, in turn, so that all have the same machine."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for run in range(RUNS):
        for name, work in works.items():
            started = time.perf_counter()
            for i in range(n):
                work(run * n + i)
            found[name].append(n / (time.perf_counter() - started))
    return {name: median(each) for name, each in found.items()}


def puts(endpoint: Endpoint, report: Report) -> None:
    dynamodb = endpoint.client("dynamodb")
    streamed = {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}}
    tables = {"put item/s": {}, "put item with stream/s": streamed, "put item with destination/s": {}}
    works: dict[str, Callable[[int], object]] = {}
    for number, (measure, more) in enumerate(tables.items()):
        name = f"table{number}"
        works[measure] = lambda n, name=name: dynamodb.put_item(TableName=name, Item=item(n))  # type: ignore[misc]
        try:
            dynamodb.create_table(**put_arguments(name), **more)
            if "destination" in measure:
                arn = endpoint.stream("put-changes")
                dynamodb.enable_kinesis_streaming_destination(TableName=name, StreamArn=arn)
        except (BotoCoreError, ClientError) as error:
            endpoint.refuses(report, measure, error)
            del works[measure]
    for measure, rate in rates(works, ITEMS).items():
        report.add(measure, endpoint.subject, rate, "/s")


def puts_of_nothing(report: Report) -> None:
    """What boto3 itself takes."""
    with served("nothing") as endpoint:
        dynamodb = endpoint.client("dynamodb")
        made = rates({"put item/s": lambda n: dynamodb.put_item(TableName="table", Item=item(n))}, ITEMS)
        report.add("put item/s", "nothing", made["put item/s"], "/s")
        put_records(endpoint, report)


def put_records(endpoint: Endpoint, report: Report) -> None:
    kinesis = endpoint.client("kinesis")
    if endpoint.subject != "nothing":
        endpoint.stream("clicks")
    batches = [[record(n) for n in range(start, start + 500)] for start in range(0, RECORDS // RUNS, 500)]
    work = {"put": lambda n: kinesis.put_records(StreamName="clicks", Records=batches[n % len(batches)])}
    report.add("put records/s", endpoint.subject, 500 * rates(work, len(batches))["put"], "/s")


MEASURES: dict[str, tuple[Callable[[Endpoint, Report], None], str]] = {
    "put item/s": (puts, "/s"), "put records/s": (put_records, "/s"), "firehose lambda records/s": (firehose, "/s"),
    "dynamodb changes in lake of 10000": (changes, ""), "athena query ms": (athena, "ms"), "invoke endpoint p50 ms": (invoke, "ms"),
}


def main() -> None:
    with Report("aws") as report:
        puts_of_nothing(report)
        for subject in SUBJECTS:
            with served(subject, report) as endpoint:
                time.sleep(1)
                report.add("idle MiB", subject, endpoint.mib(), "MiB")
                for measure, (work, unit) in MEASURES.items():
                    print(f"{subject}: {measure}", flush=True)
                    try:
                        work(endpoint, report)
                    except (BotoCoreError, ClientError, TimeoutError, NotDone) as error:
                        endpoint.refuses(report, measure, error, unit)


if __name__ == "__main__":
    main()
