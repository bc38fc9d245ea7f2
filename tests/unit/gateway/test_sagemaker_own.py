"""caudal's own trainer and recommender behind SageMaker's API: the image `caudal`."""

import io
import json
import os
import tarfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from caudal.gateway.sagemaker.hosting import OwnModel
from caudal.hurry import hurries
from caudal.loader import load_pipeline
from tests.unit.gateway.conftest import endpoint
from tests.unit.gateway.test_sagemaker import ROLE, Studio

pytestmark = pytest.mark.slow  # a training process starts as a whole Python with its libraries

PIPELINE = '''
from datetime import datetime

from caudal import Pipeline

shop = Pipeline("corner")


@shop.table(key=("basket_id", "product_id"))
class Sale:
    basket_id: str
    product_id: str
    user: str
    sold_at: datetime


shop.recommender("for_you", interactions="SELECT user, product_id AS item, sold_at AS time FROM sale", options={"min_buyers": 2})
'''


class Own(Studio):
    """A studio whose pipeline has purchases: everybody buys bread with butter, and half of them jam."""

    def __init__(self, aws):
        super().__init__(aws)
        start = datetime.now(UTC) - timedelta(days=60)
        for n in range(40):
            for product in ("bread", "butter", "jam") if n % 2 else ("bread", "butter"):
                aws.stages.store.put("sale", {"basket_id": f"b{n}", "product_id": product, "user": f"u{n}", "sold_at": start + timedelta(days=n)})
        aws.stages.store.put("sale", {"basket_id": "ann", "product_id": "bread", "user": "ann", "sold_at": start + timedelta(days=50)})
        aws.stages.writer("sale").flush()

    def train_own(self, name, image="caudal", **hyper):
        self.maker.create_training_job(
            TrainingJobName=name, RoleArn=ROLE, ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            AlgorithmSpecification={"TrainingImage": image, "TrainingInputMode": "File"}, HyperParameters=hyper,
            OutputDataConfig={"S3OutputPath": "s3://models/own"}, StoppingCondition={"MaxRuntimeInSeconds": 60},
        )

    def deploy_own(self, name, **environment):
        self.maker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "caudal", "Environment": environment})
        self.maker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[
            {"VariantName": "all", "ModelName": name, "InitialInstanceCount": 2, "InstanceType": "ml.m5.large"}])
        self.maker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        return self.wait_endpoint(name)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    (folder / "pipeline.py").write_text(PIPELINE)
    pipeline, config = load_pipeline(folder / "pipeline.py")
    with endpoint(Path(config.folder), pipeline) as aws:
        yield Own(aws)


def test_caudals_own_trainer_is_a_training_job(own):
    own.train_own("first", recommender="for_you", seed="7")
    artifacts = own.wait_job("first")["ModelArtifacts"]["S3ModelArtifacts"]
    assert artifacts == "s3://models/own/first/output/model.tar.gz"
    packed = own.s3.get_object(Bucket="models", Key="own/first/output/model.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        card = json.load(archive.extractfile("card.json"))
        assert archive.extractfile("model.bin").read()
    assert (card["recommender"], card["seed"], list(card["snapshot"])) == ("for_you", 7, ["sale"])


def test_an_endpoint_of_it_recommends_and_follows_the_shop(own):
    own.train_own("second")
    own.wait_job("second")
    own.deploy_own("shop", RECOMMENDER="for_you")
    answer = own.ask("shop", user="ann", n=2)
    assert (answer["user"], answer["recommender"]) == ("ann", "for_you")
    assert answer["model"] >= 1
    assert [each["item"] for each in answer["items"]] == ["butter", "jam"]


def test_one_client_alone_is_answered_in_the_event_loop(own, monkeypatch):
    hurried = []

    def invoke(model, body, headers, really=OwnModel.invoke):
        hurried.append(hurries())
        return really(model, body, headers)

    monkeypatch.setattr(OwnModel, "invoke", invoke)
    own.deploy_own("alone")
    until = time.monotonic() + 30
    while True not in hurried:  # not while the client that deployed has just asked, nor after an answer that took long
        assert len(own.ask("alone", user="ann", n=2)["items"]) == 2
        assert time.monotonic() < until


@pytest.mark.parametrize("body", [b"no json", b'{"n": 3}', b'{"user": "ann", "slot": "odd"}', b'{"user": "ann", "recommender": "odd"}'])
def test_a_question_that_is_none_is_a_model_error(own, body):
    if "asked" not in [found["EndpointName"] for found in own.maker.list_endpoints()["Endpoints"]]:
        own.deploy_own("asked")
    with pytest.raises(ClientError) as refused:
        own.runtime.invoke_endpoint(EndpointName="asked", ContentType="application/json", Body=body)
    error = refused.value.response
    assert (error["Error"]["Code"], error["OriginalStatusCode"]) == ("ModelError", 400)


@pytest.mark.parametrize(("hyper", "reason"), [({"recommender": "odd"}, "no recommender 'odd': there is for_you"), ({"seed": "x"}, "the hyperparameter seed is 'x'")])
def test_a_job_that_asks_for_what_is_not_there_says_so(own, hyper, reason):
    own.train_own(f"odd-{os.urandom(3).hex()}", **hyper)
    name = own.maker.list_training_jobs(NameContains="odd-", MaxResults=1)["TrainingJobSummaries"][0]["TrainingJobName"]
    assert reason in own.wait_job(name, until="Failed")["FailureReason"]
