"""A shop on AWS, from its purchases to recommendations, in one script: `python shop.py`.

DynamoDB → Kinesis → Firehose with a Lambda function → S3 → Glue and Athena → SageMaker. It speaks to AWS, or to whatever
AWS_ENDPOINT_URL names.
"""

import argparse
import csv
import io
import json
import tarfile
import time
import uuid
import zipfile
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import boto3

HERE = Path(__file__).parent
ROLE = "arn:aws:iam::000000000000:role/shop"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
COLUMNS = {
    "household_id": "string", "basket_id": "string", "product_id": "string", "title": "string", "quantity": "int",
    "amount": "decimal(10,2)", "sold_at": "timestamp",
}
# Firehose and DynamoDB's stream may deliver a change twice: DISTINCT takes it once.
QUESTION = """
    SELECT title, sum(quantity) AS units, sum(amount) AS revenue
    FROM (SELECT DISTINCT * FROM purchase)
    GROUP BY title ORDER BY units DESC, title LIMIT 3
"""


class Shop:
    """The shop's resources, each named after `name`, and what happens with them."""

    def __init__(self, name, bucket, role, image, region):
        self.name, self.bucket, self.role, self.image = name, bucket, role, image
        self.database = name.replace("-", "_")
        self.session = boto3.Session(region_name=region)
        self.region = region

    def client(self, service):
        """A client of an AWS service."""
        return self.session.client(service)

    def create_bucket(self):
        """The bucket, with the code of training and inference in it."""
        s3 = self.client("s3")
        where = {} if self.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": self.region}}
        s3.create_bucket(Bucket=self.bucket, **where)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for script in ("train.py", "inference.py"):
                archive.add(HERE / script, script)
        s3.put_object(Bucket=self.bucket, Key="code/code.tar.gz", Body=packed.getvalue())
        return f"s3://{self.bucket}"

    def create_table(self):
        """The table of purchases, whose changes go to a Kinesis stream."""
        kinesis, dynamodb = self.client("kinesis"), self.client("dynamodb")
        kinesis.create_stream(StreamName=self.name, ShardCount=2)
        dynamodb.create_table(
            TableName=self.name, BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "basket_id", "KeyType": "HASH"}, {"AttributeName": "product_id", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("basket_id", "product_id")],
        )
        kinesis.get_waiter("stream_exists").wait(StreamName=self.name)
        dynamodb.get_waiter("table_exists").wait(TableName=self.name)
        stream = self.stream_arn()
        dynamodb.enable_kinesis_streaming_destination(TableName=self.name, StreamArn=stream)

        def state():
            found = dynamodb.describe_kinesis_streaming_destination(TableName=self.name)
            return found["KinesisDataStreamDestinations"][0]["DestinationStatus"]

        wait_for("the streaming destination", state, done=("ACTIVE",), going=("ENABLING",))
        return f"table and stream {self.name}"

    def stream_arn(self):
        """The Kinesis stream's ARN."""
        return self.client("kinesis").describe_stream_summary(StreamName=self.name)["StreamDescriptionSummary"]["StreamARN"]

    def create_delivery(self):
        """Firehose, from the stream through a Lambda function to CSV in the bucket."""
        functions, firehose = self.client("lambda"), self.client("firehose")
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(HERE / "to_csv.py", "to_csv.py")
        function = functions.create_function(
            FunctionName=self.name, Runtime="python3.12", Role=self.role, Handler="to_csv.handler", Timeout=60, MemorySize=512,
            Code={"ZipFile": packed.getvalue()},
        )["FunctionArn"]
        functions.get_waiter("function_active_v2").wait(FunctionName=self.name)
        firehose.create_delivery_stream(
            DeliveryStreamName=self.name, DeliveryStreamType="KinesisStreamAsSource",
            KinesisStreamSourceConfiguration={"KinesisStreamARN": self.stream_arn(), "RoleARN": self.role},
            ExtendedS3DestinationConfiguration={
                "RoleARN": self.role, "BucketARN": f"arn:aws:s3:::{self.bucket}",
                "Prefix": "purchase/", "ErrorOutputPrefix": "failed/",
                "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 1},
                "ProcessingConfiguration": {"Enabled": True, "Processors": [
                    {"Type": "Lambda", "Parameters": [{"ParameterName": "LambdaArn", "ParameterValue": f"{function}:$LATEST"}]},
                ]},
            },
        )

        def state():
            found = firehose.describe_delivery_stream(DeliveryStreamName=self.name)
            return found["DeliveryStreamDescription"]["DeliveryStreamStatus"]

        wait_for("the delivery stream", state, done=("ACTIVE",), going=("CREATING",))
        return f"Firehose {self.name} with a Lambda function"

    def create_schema(self):
        """The Glue table that says what the CSV means."""
        glue = self.client("glue")
        glue.create_database(DatabaseInput={"Name": self.database})
        glue.create_table(DatabaseName=self.database, TableInput={
            "Name": "purchase", "TableType": "EXTERNAL_TABLE", "Parameters": {"classification": "csv", "EXTERNAL": "TRUE"},
            "StorageDescriptor": {
                "Columns": [{"Name": name, "Type": kind} for name, kind in COLUMNS.items()],
                "Location": f"s3://{self.bucket}/purchase/", "InputFormat": "org.apache.hadoop.mapred.TextInputFormat",
                "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
                "SerdeInfo": {
                    "SerializationLibrary": "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
                    "Parameters": {"field.delim": ",", "escape.delim": "\\", "serialization.format": ","},
                },
            },
        })
        return f"Glue {self.database}.purchase"

    def buy(self, purchases):
        """Write purchases to the table, as the shop's application does."""
        table = self.session.resource("dynamodb").Table(self.name)
        with table.batch_writer() as batch:
            for purchase in purchases:
                numbers = {"quantity": int(purchase["quantity"]), "amount": Decimal(purchase["amount"])}
                batch.put_item(Item={**purchase, **numbers})
        return f"{len(purchases)} purchases written"

    def wait_delivered(self, count):
        """Until so many different purchases are in S3."""
        s3 = self.client("s3")
        lines, seen = set(), set()

        def state():
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket):
                for key in {found["Key"] for found in page.get("Contents", [])} - seen:
                    if key.startswith(("failed/", "purchase/")):
                        data = s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
                        if key.startswith("failed/"):
                            raise SystemExit(f"Firehose could not deliver: {data[:500].decode()}")
                        lines.update(data.splitlines())
                    seen.add(key)
            return "there" if len(lines) == count else "waiting"

        wait_for("the purchases in S3", state, done=("there",), going=("waiting",), seconds=600)
        files = sum(key.startswith("purchase/") for key in seen)
        return f"{len(lines)} purchases in {files} files of s3://{self.bucket}/purchase/"

    def ask_athena(self):
        """The three products that sold most."""
        athena = self.client("athena")
        query = athena.start_query_execution(
            QueryString=QUESTION, QueryExecutionContext={"Database": self.database},
            ResultConfiguration={"OutputLocation": f"s3://{self.bucket}/athena/"},
        )["QueryExecutionId"]

        def state():
            found = athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"]
            return found["State"], found.get("StateChangeReason", "")

        wait_for("Athena", state, done=("SUCCEEDED",), going=("QUEUED", "RUNNING"))
        rows = [[cell.get("VarCharValue") for cell in row["Data"]]
                for row in athena.get_query_results(QueryExecutionId=query)["ResultSet"]["Rows"]]
        return "; ".join(f"{title}: {units} sold for {revenue}" for title, units, revenue in rows[1:])

    def train(self):
        """Train on the delivered CSV, in script mode."""
        sagemaker = self.client("sagemaker")
        sagemaker.create_training_job(
            TrainingJobName=self.name, RoleArn=self.role, OutputDataConfig={"S3OutputPath": f"s3://{self.bucket}/models"},
            AlgorithmSpecification={"TrainingImage": self.image, "TrainingInputMode": "File", "MetricDefinitions": [
                {"Name": what, "Regex": f"{what}=([0-9]+);"} for what in ("purchases", "households", "products")
            ]},
            HyperParameters={
                "sagemaker_program": json.dumps("train.py"), "shrink": "5.0",
                "sagemaker_submit_directory": json.dumps(f"s3://{self.bucket}/code/code.tar.gz"),
            },
            InputDataConfig=[{"ChannelName": "train", "DataSource": {"S3DataSource": {
                "S3DataType": "S3Prefix", "S3Uri": f"s3://{self.bucket}/purchase/", "S3DataDistributionType": "FullyReplicated",
            }}}],
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
            StoppingCondition={"MaxRuntimeInSeconds": 600},
        )

        def state():
            found = sagemaker.describe_training_job(TrainingJobName=self.name)
            return found["TrainingJobStatus"], found.get("FailureReason", "")

        wait_for("the training job", state, done=("Completed",), going=("InProgress",), seconds=900)
        job = sagemaker.describe_training_job(TrainingJobName=self.name)
        metrics = {metric["MetricName"]: int(metric["Value"]) for metric in job["FinalMetricDataList"]}
        return "trained on " + ", ".join(f"{count} {what}" for what, count in sorted(metrics.items()))

    def deploy(self):
        """Deploy the model that was trained, behind an endpoint."""
        sagemaker = self.client("sagemaker")
        artifacts = sagemaker.describe_training_job(TrainingJobName=self.name)["ModelArtifacts"]["S3ModelArtifacts"]
        sagemaker.create_model(ModelName=self.name, ExecutionRoleArn=self.role, PrimaryContainer={
            "Image": self.image, "ModelDataUrl": artifacts, "Environment": {
                "SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": f"s3://{self.bucket}/code/code.tar.gz",
            },
        })
        sagemaker.create_endpoint_config(EndpointConfigName=self.name, ProductionVariants=[{
            "VariantName": "all", "ModelName": self.name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1,
        }])
        sagemaker.create_endpoint(EndpointName=self.name, EndpointConfigName=self.name)

        def state():
            found = sagemaker.describe_endpoint(EndpointName=self.name)
            return found["EndpointStatus"], found.get("FailureReason", "")

        wait_for("the endpoint", state, done=("InService",), going=("Creating",), seconds=900)
        return f"endpoint {self.name} in service"

    def recommend(self, household):
        """Five products for a household."""
        answer = self.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=self.name, ContentType="application/json", Accept="application/json",
            Body=json.dumps({"household": household, "n": 5}),
        )
        found = json.loads(answer["Body"].read())
        return f"for household {household}: " + ", ".join(f"{each['title']} ({each['product_id']})" for each in found)


def wait_for(what, state, done, going, seconds=300.0):
    """Until `state()` is one of `done`; ends the script if it is neither that nor one of `going`, or takes too long."""
    until, pause = time.monotonic() + seconds, 0.05
    while True:
        now = state()
        name, reason = now if isinstance(now, tuple) else (now, "")
        if name in done:
            return
        if name not in going or time.monotonic() > until:
            raise SystemExit(f"{what}: {name} {reason}".rstrip())
        time.sleep(pause)
        pause = min(5.0, 1.5 * pause)


def step(work, *arguments):
    """Do one step, and say what came of it and how long it took."""
    start = time.monotonic()
    told = work(*arguments)
    print(f"{work.__name__:>16} {time.monotonic() - start:7.2f} s  {told}", flush=True)


def main():
    """Everything, from an empty account to recommendations."""
    unique = datetime.now(UTC).strftime("%Y%m%d%H%M%S") + uuid.uuid4().hex[:6]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default=f"shop-{unique}", help="what table, stream, function, job and endpoint are called")
    parser.add_argument("--bucket", help="the bucket that is made; by default named as the rest")
    parser.add_argument("--role", default=ROLE, help="ARN of a role that Firehose, Lambda and SageMaker may take")
    parser.add_argument("--image", default=IMAGE, help="SageMaker's container for scikit-learn in the region")
    parser.add_argument("--region", default="us-east-1")
    given = parser.parse_args()
    with (HERE / "purchases.csv").open(newline="", encoding="utf-8") as file:
        purchases = list(csv.DictReader(file))
    shop = Shop(given.name, given.bucket or given.name, given.role, given.image, given.region)
    for create in (shop.create_bucket, shop.create_table, shop.create_delivery, shop.create_schema):
        step(create)
    step(shop.buy, purchases)
    step(shop.wait_delivered, len(purchases))
    step(shop.ask_athena)
    step(shop.train)
    step(shop.deploy)
    (household, _), = Counter(purchase["household_id"] for purchase in purchases).most_common(1)
    step(shop.recommend, household)


if __name__ == "__main__":
    main()
