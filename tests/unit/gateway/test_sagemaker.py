"""SageMaker as boto3 sees it: real training processes, real endpoints."""

import io
import json
import tarfile
import threading
import time

import pytest
from botocore.exceptions import ClientError

from caudal.gateway.sagemaker.hosting import Fleet, Reply, Variant
from caudal.hurry import Later, at_once
from tests.unit.gateway.conftest import endpoint

pytestmark = pytest.mark.slow

ROLE = "arn:aws:iam::000000000000:role/shop"
TRAIN = """
import argparse, json, os, sys, time
parser = argparse.ArgumentParser()
parser.add_argument("--how", default="well")
parser.add_argument("--factor", type=float, default=1)
args = parser.parse_args()
if args.how == "badly":
    raise RuntimeError("no gradient")
if args.how == "says":
    open(os.environ["SM_OUTPUT_DIR"] + "/failure", "w").write("the data is empty")
    sys.exit(1)
while args.how == "forever":
    time.sleep(0.1)
folder = os.environ["SM_CHANNEL_TRAIN"]
total = sum(float(line) for name in sorted(os.listdir(folder)) for line in open(os.path.join(folder, name)))
print(f"loss={total};")
json.dump({"total": total * args.factor}, open(os.environ["SM_MODEL_DIR"] + "/model.json", "w"))
open(os.environ["SM_OUTPUT_DATA_DIR"] + "/report.txt", "w").write("done")
"""
INFER = """
import json, os
def model_fn(folder):
    return json.load(open(folder + "/model.json"))
def predict_fn(data, model):
    if data.get("fail"):
        raise ValueError("cannot")
    return {"answer": data["x"] * model["total"], "version": model.get("version", 1)}
"""


def tarred(**files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name.replace("__", "/") )
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


class Studio:
    def __init__(self, aws):
        self.maker, self.runtime, self.s3 = aws.client("sagemaker"), aws.client("sagemaker-runtime"), aws.client("s3")
        self.s3.create_bucket(Bucket="models")
        self.s3.put_object(Bucket="models", Key="code.tar.gz", Body=tarred(**{"train.py": TRAIN}))
        for n, text in enumerate(("1\n2\n", "3\n")):
            self.s3.put_object(Bucket="models", Key=f"data/{n}.csv", Body=text)

    def train(self, name, **hyper):
        self.maker.create_training_job(
            TrainingJobName=name, RoleArn=ROLE, ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            AlgorithmSpecification={"TrainingImage": "python", "TrainingInputMode": "File", "MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*?);"}]},
            HyperParameters={"sagemaker_program": '"train.py"', "sagemaker_submit_directory": '"s3://models/code.tar.gz"', **hyper},
            InputDataConfig=[{"ChannelName": "train", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://models/data/"}}}],
            OutputDataConfig={"S3OutputPath": "s3://models/out"}, StoppingCondition={"MaxRuntimeInSeconds": 60},
        )

    def wait_job(self, name, *, until="Completed"):
        end = time.monotonic() + 30
        while (job := self.maker.describe_training_job(TrainingJobName=name))["TrainingJobStatus"] in ("InProgress", "Stopping"):
            assert time.monotonic() < end, job
            time.sleep(0.05)
        assert job["TrainingJobStatus"] == until, job
        return job

    def model(self, name, total=10, version=1, infer=INFER):
        data = tarred(**{"model.json": json.dumps({"total": total, "version": version}), "code/inference.py": infer})
        self.s3.put_object(Bucket="models", Key=f"{name}.tar.gz", Body=data)
        self.maker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "python", "ModelDataUrl": f"s3://models/{name}.tar.gz"})
        self.maker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[
            {"VariantName": "all", "ModelName": name, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}])

    def wait_endpoint(self, name, *, until="InService"):
        end = time.monotonic() + 40
        while (found := self.maker.describe_endpoint(EndpointName=name))["EndpointStatus"] in ("Creating", "Updating"):
            assert time.monotonic() < end
            time.sleep(0.05)
        assert found["EndpointStatus"] == until, found
        return found

    def ask(self, name, **body):
        answer = self.runtime.invoke_endpoint(EndpointName=name, ContentType="application/json", Body=json.dumps(body))
        return json.loads(answer["Body"].read())


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    with endpoint(tmp_path_factory.mktemp("sagemaker")) as aws:
        yield Studio(aws)


def test_a_script_trains_on_s3_and_leaves_its_model_there(studio):
    studio.train("good", factor="2")
    job = studio.wait_job("good")
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == "s3://models/out/good/output/model.tar.gz"
    packed = studio.s3.get_object(Bucket="models", Key="out/good/output/model.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert json.load(archive.extractfile("model.json")) == {"total": 12.0}
    assert studio.s3.head_object(Bucket="models", Key="out/good/output/output.tar.gz")
    assert [(m["MetricName"], m["Value"]) for m in job["FinalMetricDataList"]] == [("loss", 6.0)]
    assert [t["Status"] for t in job["SecondaryStatusTransitions"]] == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert job["TrainingEndTime"] >= job["TrainingStartTime"]


@pytest.mark.parametrize(("how", "reason"), [("badly", "RuntimeError: no gradient"), ("says", "AlgorithmError: the data is empty")])
def test_a_job_that_fails_says_why(studio, how, reason):
    studio.train(f"fails-{how}", how=how)
    assert reason in studio.wait_job(f"fails-{how}", until="Failed")["FailureReason"]


def test_a_job_is_stopped(studio):
    studio.train("long", how="forever")
    while studio.maker.describe_training_job(TrainingJobName="long")["SecondaryStatus"] != "Training":
        time.sleep(0.05)
    studio.maker.stop_training_job(TrainingJobName="long")
    assert studio.wait_job("long", until="Stopped")["SecondaryStatus"] == "Stopped"
    with pytest.raises(ClientError):
        studio.maker.stop_training_job(TrainingJobName="long")
    assert "long" in [job["TrainingJobName"] for job in studio.maker.list_training_jobs(StatusEquals="Stopped")["TrainingJobSummaries"]]


def test_an_endpoint_answers_with_the_users_script(studio):
    studio.model("ten")
    studio.maker.create_endpoint(EndpointName="answers", EndpointConfigName="ten")
    found = studio.wait_endpoint("answers")
    assert found["ProductionVariants"][0]["VariantName"] == "all"
    assert studio.ask("answers", x=3) == {"answer": 30, "version": 1}
    with pytest.raises(ClientError) as refused:
        studio.ask("answers", fail=True)
    error = refused.value.response
    assert (error["Error"]["Code"], error["OriginalStatusCode"], error["OriginalMessage"]) == ("ModelError", 500, "ValueError: cannot")
    studio.maker.delete_endpoint(EndpointName="answers")
    with pytest.raises(ClientError) as refused:
        studio.ask("answers", x=1)
    assert refused.value.response["Error"]["Code"] == "ValidationError"


def test_instances_are_asked_in_turn_also_where_the_event_loop_has_to_leave_them_to_a_thread():
    class Counted:
        waits, asked = True, 0

        def invoke(self, body, headers):
            self.asked += 1
            return Reply(200, b"", "text/plain")

    models, fleet = [Counted(), Counted()], Fleet()
    fleet.variants = [Variant("all", 1, models)]
    for _ in range(4):
        with pytest.raises(Later), at_once():
            fleet.invoke(b"", {}, "")
        fleet.invoke(b"", {}, "")
    assert [model.asked for model in models] == [2, 2]


@pytest.mark.slow
def test_an_update_fails_no_request(studio):
    studio.model("old", version=1)
    studio.model("new", version=2)
    studio.maker.create_endpoint(EndpointName="moving", EndpointConfigName="old")
    studio.wait_endpoint("moving")
    seen, stop = [], threading.Event()

    def asking():
        while not stop.is_set():
            seen.append(studio.ask("moving", x=1)["version"])

    thread = threading.Thread(target=asking)
    thread.start()
    studio.maker.update_endpoint(EndpointName="moving", EndpointConfigName="new")
    studio.wait_endpoint("moving")
    while seen[-1] != 2:
        assert thread.is_alive()
    stop.set()
    thread.join()
    assert sorted(seen) == seen
    assert seen[0] == 1
    assert studio.maker.describe_endpoint(EndpointName="moving")["EndpointConfigName"] == "new"
    studio.maker.delete_endpoint(EndpointName="moving")


def test_a_model_that_cannot_start_fails_its_endpoint_with_a_reason(studio):
    studio.model("broken", infer="raise ImportError('no such library')\n")
    studio.maker.create_endpoint(EndpointName="broken", EndpointConfigName="broken")
    assert "no such library" in studio.wait_endpoint("broken", until="Failed")["FailureReason"]


@pytest.mark.parametrize("changes", [
    {"AlgorithmSpecification": {"TrainingImage": "some.dkr.ecr.us-east-1.amazonaws.com/xgboost:1", "TrainingInputMode": "File"}, "HyperParameters": {}},
    {"AlgorithmSpecification": {"TrainingImage": "python", "TrainingInputMode": "Pipe"}},
    {"ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1}},
    {"CheckpointConfig": {"S3Uri": "s3://models/checkpoints"}},
])
def test_what_is_not_served_is_refused(studio, changes):
    asked = {
        "TrainingJobName": "odd", "RoleArn": ROLE, "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "AlgorithmSpecification": {"TrainingImage": "python", "TrainingInputMode": "File"}, "OutputDataConfig": {"S3OutputPath": "s3://models/out"},
        "HyperParameters": {"sagemaker_program": "train.py", "sagemaker_submit_directory": "s3://models/code.tar.gz"},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }
    with pytest.raises(ClientError) as refused:
        studio.maker.create_training_job(**asked | changes)
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_an_archive_that_leads_out_of_its_folder_fails_the_job(studio):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        info = tarfile.TarInfo("../../escaped")
        info.size = 1
        archive.addfile(info, io.BytesIO(b"x"))
    studio.s3.put_object(Bucket="models", Key="evil.tar.gz", Body=out.getvalue())
    studio.train("evil", sagemaker_submit_directory="s3://models/evil.tar.gz")
    assert "evil.tar.gz is no tar.gz" in studio.wait_job("evil", until="Failed")["FailureReason"]
