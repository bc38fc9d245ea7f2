"""Of benchmarks/aws.py: a model that a training job makes, behind an endpoint."""

import json
import subprocess
import sys
import time
from datetime import UTC
from statistics import median
from typing import Any

from aws_subjects import ROLE, Endpoint, NotDone, wait
from report import Report

from caudal.demo.data import sales

PURCHASES = 5_000
CALLS = 500


def purchases() -> list[dict[str, Any]]:
    """A grocer's last purchases, as DynamoDB's items."""
    rows = {(row["basket_id"], row["product_id"]): row for block in sales(PURCHASES)[1] for row in block}
    return [
        {
            "basket_id": {"S": row["basket_id"]}, "product_id": {"S": row["product_id"]}, "household_id": {"S": row["household_id"]},
            "sold_at": {"S": row["sold_at"].astimezone(UTC).isoformat()},
        }
        for row in rows.values()
    ]


def invoke(endpoint: Endpoint, report: Report) -> None:
    items = purchases()
    if endpoint.subject == "caudal":
        fill(endpoint, items)
    maker, runtime = endpoint.client("sagemaker"), endpoint.client("sagemaker-runtime")
    endpoint.client("s3").create_bucket(Bucket="models")
    maker.create_training_job(
        TrainingJobName="job", RoleArn=ROLE, ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        AlgorithmSpecification={"TrainingImage": "caudal", "TrainingInputMode": "File"}, HyperParameters={"recommender": "for_you"},
        OutputDataConfig={"S3OutputPath": "s3://models/own"}, StoppingCondition={"MaxRuntimeInSeconds": 600},
    )
    wait(lambda: maker.describe_training_job(TrainingJobName="job")["TrainingJobStatus"] != "InProgress", "the training job")
    job = maker.describe_training_job(TrainingJobName="job")
    if job["TrainingJobStatus"] != "Completed":
        raise NotDone(f"the training job {job['TrainingJobStatus']}: {job.get('FailureReason')}")
    maker.create_model(ModelName="shop", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "caudal", "Environment": {"RECOMMENDER": "for_you"}})
    variant = {"VariantName": "all", "ModelName": "shop", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    maker.create_endpoint_config(EndpointConfigName="shop", ProductionVariants=[variant])
    maker.create_endpoint(EndpointName="shop", EndpointConfigName="shop")
    wait(lambda: maker.describe_endpoint(EndpointName="shop")["EndpointStatus"] == "InService", "the endpoint")
    households = sorted({item["household_id"]["S"] for item in items})
    took = []
    for n in range(CALLS):
        asked = json.dumps({"user": households[n % len(households)], "n": 5})
        started = time.perf_counter()
        answer = runtime.invoke_endpoint(EndpointName="shop", ContentType="application/json", Body=asked)["Body"].read()
        took.append(1000 * (time.perf_counter() - started))
        if not is_computed(answer, households[n % len(households)]):
            raise NotDone(f"a canned answer: {answer[:60]!r}")
    report.add("invoke endpoint p50 ms", endpoint.subject, median(took), "ms")
    report.add("invoke endpoint p99 ms", endpoint.subject, sorted(took)[int(0.99 * CALLS)], "ms")


def fill(endpoint: Endpoint, items: list[dict[str, Any]]) -> None:
    """Have the shop's purchases in its table, and delivered: the endpoint alone delivers nothing, `caudal up` does."""
    dynamodb = endpoint.client("dynamodb")
    for start in range(0, len(items), 25):
        wanted = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
        dynamodb.batch_write_item(RequestItems={"sale": wanted})
    subprocess.run([sys.executable, "-m", "caudal.cli", "flush"], cwd=endpoint.folder, check=True, stdout=subprocess.DEVNULL)


def is_computed(answer: bytes, household: str) -> bool:
    """Whether it is five products for that household."""
    try:
        made = json.loads(answer)
        return bool(made["user"] == household and len({each["item"] for each in made["items"]}) == 5)
    except (ValueError, KeyError, TypeError):
        return False
