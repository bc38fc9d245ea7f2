"""The SageMaker API: training jobs, models, endpoint configurations and endpoints."""

import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from caudal.errors import AlreadyExists, CaudalError
from caudal.gateway.cloud import Cloud, Service, refuse
from caudal.gateway.documents import Document
from caudal.gateway.faults import AwsError
from caudal.gateway.pages import page
from caudal.gateway.sagemaker.hosting import OWN, START_SECONDS, Fleet, Model, OwnModel, Reply, ScriptModel, Variant
from caudal.gateway.sagemaker.training import KIND as TRAINING
from caudal.gateway.sagemaker.training import Job
from caudal.gateway.tags import Tags, read_tags

Answer = dict[str, Any]

MODEL, CONFIG, ENDPOINT = "sagemaker.model", "sagemaker.config", "sagemaker.endpoint"
BAD = "ValidationException"
TIMES = ("CreationTime", "LastModifiedTime", "TrainingStartTime", "TrainingEndTime", "StartTime", "EndTime", "Timestamp")
PROCESSES = 4
"""Processes of one variant at most, however many instances it asks for."""
TRAINED_WITH = {
    "HyperParameters", "AlgorithmSpecification", "RoleArn", "InputDataConfig", "OutputDataConfig", "ResourceConfig",
    "StoppingCondition", "Environment", "EnableNetworkIsolation", "EnableInterContainerTrafficEncryption", "RetryStrategy",
    "EnableManagedSpotTraining", "ExperimentConfig", "ProfilerConfig", "DebugHookConfig", "VpcConfig",
}


class SageMaker(Service):
    """Training and hosting in processes of this machine: caudal's own trainer and recommender, or the user's scripts."""

    name = "sagemaker"

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self._jobs: dict[str, Job] = {}
        self._fleets: dict[str, Fleet] = {}
        self._threads: list[threading.Thread] = []
        self._tags = Tags(cloud.documents, "sagemaker")
        self._count = 0

    def start(self) -> None:
        for name, job in self.cloud.documents.all(TRAINING).items():
            if job["TrainingJobStatus"] in ("InProgress", "Stopping"):
                self._begin(name)
        for name, endpoint in self.cloud.documents.all(ENDPOINT).items():
            if endpoint["EndpointStatus"] != "Failed":
                self._deploy(name, endpoint["EndpointConfigName"])

    def close(self) -> None:
        for job in self._jobs.values():
            job.close()
        for thread in self._threads:
            thread.join()
        for fleet in self._fleets.values():
            fleet.replace([])

    def create_training_job(self, *, TrainingJobName: str, Tags: list[Answer] | None = None, **given: Any) -> Answer:
        refuse({name: value for name, value in given.items() if name not in TRAINED_WITH}, BAD)
        algorithm = given.get("AlgorithmSpecification") or {}
        _check_training(given, algorithm)
        arn, now = self.cloud.arn("sagemaker", f"training-job/{TrainingJobName.lower()}"), time.time()
        first = {"Status": "Starting", "StartTime": now, "StatusMessage": "Launching requested ML instances"}
        document = {
            "StoppingCondition": {"MaxRuntimeInSeconds": 86400}, **given, "TrainingJobName": TrainingJobName,
            "TrainingJobArn": arn, "TrainingJobStatus": "InProgress", "SecondaryStatus": "Starting", "CreationTime": now,
            "LastModifiedTime": now, "SecondaryStatusTransitions": [first], "ModelArtifacts": {"S3ModelArtifacts": ""},
        }
        self._create(TRAINING, TrainingJobName, document, "Training job names must be unique within an AWS account and region")
        self._tags.set(arn, read_tags(Tags))
        self._begin(TrainingJobName)
        return {"TrainingJobArn": arn}

    def _begin(self, name: str) -> None:
        job = Job(self.cloud, name, self.cloud.folder / "training" / name)
        self._jobs[name] = job
        job.thread.start()

    def describe_training_job(self, *, TrainingJobName: str) -> Answer:
        found = self.cloud.documents.get(TRAINING, TrainingJobName)
        if found is None:
            raise AwsError(BAD, "Requested resource not found.")
        return _shown(found)

    def list_training_jobs(
        self, *, NameContains: str = "", StatusEquals: str = "", MaxResults: int = 10, NextToken: str = "",
        SortBy: str = "CreationTime", SortOrder: str = "Descending", CreationTimeAfter: datetime | None = None,
        CreationTimeBefore: datetime | None = None, **other: Any,
    ) -> Answer:
        refuse(other, BAD)
        jobs = [
            job for job in self.cloud.documents.all(TRAINING).values()
            if NameContains in job["TrainingJobName"] and StatusEquals in ("", job["TrainingJobStatus"])
            and (CreationTimeAfter is None or job["CreationTime"] > CreationTimeAfter.timestamp())
            and (CreationTimeBefore is None or job["CreationTime"] < CreationTimeBefore.timestamp())
        ]
        key = {"Name": "TrainingJobName", "Status": "TrainingJobStatus", "CreationTime": "CreationTime"}[SortBy]
        jobs.sort(key=lambda job: job[key], reverse=SortOrder == "Descending")
        members = "TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingEndTime", "LastModifiedTime", "TrainingJobStatus"
        found, token = page([_only(job, *members) for job in jobs], NextToken, MaxResults)
        return {"TrainingJobSummaries": [_shown(job) for job in found], "NextToken": token}

    def stop_training_job(self, *, TrainingJobName: str) -> None:
        status = self.describe_training_job(TrainingJobName=TrainingJobName)["TrainingJobStatus"]
        if status not in ("InProgress", "Stopping"):
            told = f"The request was rejected because the training job is in status {status}."
            raise AwsError(BAD, told)
        stopping = {"TrainingJobStatus": "Stopping", "SecondaryStatus": "Stopping"}
        self.cloud.documents.change(
            TRAINING, TrainingJobName, lambda old: {**old, **(stopping if old["TrainingJobStatus"] == "InProgress" else {})}
        )
        self._jobs[TrainingJobName].stop()

    def create_model(
        self, *, ModelName: str, PrimaryContainer: Answer | None = None, Containers: list[Answer] | None = None,
        ExecutionRoleArn: str = "", Tags: list[Answer] | None = None, EnableNetworkIsolation: bool = False, **other: Any,
    ) -> Answer:
        refuse(other, BAD)
        container = PrimaryContainer or (Containers[0] if Containers and len(Containers) == 1 else None)
        if container is None:
            raise AwsError(BAD, "caudal serves models of one container: give PrimaryContainer")
        _check_container(container)
        arn = self.cloud.arn("sagemaker", f"model/{ModelName.lower()}")
        document = {"ModelName": ModelName, "PrimaryContainer": container, "ExecutionRoleArn": ExecutionRoleArn, "ModelArn": arn,
                    "CreationTime": time.time(), "EnableNetworkIsolation": EnableNetworkIsolation}
        self._create(MODEL, ModelName, document, f"Cannot create already existing model \"{arn}\".")
        self._tags.set(arn, read_tags(Tags))
        return {"ModelArn": arn}

    def describe_model(self, *, ModelName: str) -> Answer:
        return _shown(self._get(MODEL, ModelName, "model"))

    def list_models(self, *, NameContains: str = "", MaxResults: int = 10, NextToken: str = "", **other: Any) -> Answer:
        refuse({name: value for name, value in other.items() if name not in ("SortBy", "SortOrder")}, BAD)
        models = [model for name, model in self.cloud.documents.all(MODEL).items() if NameContains in name]
        found, token = page([_only(model, "ModelName", "ModelArn", "CreationTime") for model in models], NextToken, MaxResults)
        return {"Models": [_shown(model) for model in found], "NextToken": token}

    def delete_model(self, *, ModelName: str) -> None:
        self._get(MODEL, ModelName, "model")
        self.cloud.documents.remove(MODEL, ModelName)

    def create_endpoint_config(
        self, *, EndpointConfigName: str, ProductionVariants: list[Answer], Tags: list[Answer] | None = None, **other: Any
    ) -> Answer:
        refuse(other, BAD)
        for variant in ProductionVariants:
            if "ModelName" not in variant:
                raise AwsError(BAD, "a production variant names its model")
            self._get(MODEL, variant["ModelName"], "model")
        arn = self.cloud.arn("sagemaker", f"endpoint-config/{EndpointConfigName.lower()}")
        document = {"EndpointConfigName": EndpointConfigName, "EndpointConfigArn": arn, "ProductionVariants": ProductionVariants,
                    "CreationTime": time.time()}
        self._create(CONFIG, EndpointConfigName, document, f"Cannot create already existing endpoint configuration \"{arn}\".")
        self._tags.set(arn, read_tags(Tags))
        return {"EndpointConfigArn": arn}

    def describe_endpoint_config(self, *, EndpointConfigName: str) -> Answer:
        return _shown(self._get(CONFIG, EndpointConfigName, "endpoint configuration"))

    def delete_endpoint_config(self, *, EndpointConfigName: str) -> None:
        self._get(CONFIG, EndpointConfigName, "endpoint configuration")
        self.cloud.documents.remove(CONFIG, EndpointConfigName)

    def create_endpoint(
        self, *, EndpointName: str, EndpointConfigName: str, Tags: list[Answer] | None = None, **other: Any
    ) -> Answer:
        refuse(other, BAD)
        self._get(CONFIG, EndpointConfigName, "endpoint configuration")
        arn, now = self.cloud.arn("sagemaker", f"endpoint/{EndpointName.lower()}"), time.time()
        document = {"EndpointName": EndpointName, "EndpointArn": arn, "EndpointConfigName": EndpointConfigName,
                    "EndpointStatus": "Creating", "CreationTime": now, "LastModifiedTime": now}
        self._create(ENDPOINT, EndpointName, document, f"Cannot create already existing endpoint \"{arn}\".")
        self._tags.set(arn, read_tags(Tags))
        self._deploy(EndpointName, EndpointConfigName)
        return {"EndpointArn": arn}

    def update_endpoint(self, *, EndpointName: str, EndpointConfigName: str, **other: Any) -> Answer:
        refuse({name: value for name, value in other.items() if name != "DeploymentConfig"}, BAD)
        endpoint = self._get(ENDPOINT, EndpointName, "endpoint")
        self._get(CONFIG, EndpointConfigName, "endpoint configuration")
        if endpoint["EndpointStatus"] in ("Creating", "Updating"):
            raise AwsError(BAD, f"Cannot update in-progress endpoint \"{endpoint['EndpointArn']}\".")
        self._set(EndpointName, EndpointStatus="Updating")
        self._deploy(EndpointName, EndpointConfigName)
        return {"EndpointArn": endpoint["EndpointArn"]}

    def describe_endpoint(self, *, EndpointName: str) -> Answer:
        endpoint = self._get(ENDPOINT, EndpointName, "endpoint")
        fleet = self._fleets.get(EndpointName)
        variants = [{"VariantName": v.name, "CurrentWeight": v.weight, "DesiredWeight": v.weight, "CurrentInstanceCount": 1,
                     "DesiredInstanceCount": 1} for v in (fleet.variants if fleet is not None else [])]
        return {**_shown(endpoint), "ProductionVariants": variants or None}

    def list_endpoints(
        self, *, NameContains: str = "", StatusEquals: str = "", MaxResults: int = 10, NextToken: str = "", **other: Any
    ) -> Answer:
        refuse({name: value for name, value in other.items() if name not in ("SortBy", "SortOrder")}, BAD)
        members = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")
        endpoints = [
            _only(e, *members) for name, e in self.cloud.documents.all(ENDPOINT).items()
            if NameContains in name and StatusEquals in ("", e["EndpointStatus"])
        ]
        found, token = page(endpoints, NextToken, MaxResults)
        return {"Endpoints": [_shown(endpoint) for endpoint in found], "NextToken": token}

    def delete_endpoint(self, *, EndpointName: str) -> None:
        self._get(ENDPOINT, EndpointName, "endpoint")
        self.cloud.documents.remove(ENDPOINT, EndpointName)
        fleet = self._fleets.pop(EndpointName, None)
        if fleet is not None:
            fleet.replace([])

    def add_tags(self, *, ResourceArn: str, Tags: list[Answer]) -> Answer:
        self._tags.add(ResourceArn, read_tags(Tags))
        return {"Tags": self._tags.shown(ResourceArn)}

    def delete_tags(self, *, ResourceArn: str, TagKeys: list[str]) -> None:
        self._tags.remove(ResourceArn, TagKeys)

    def list_tags(self, *, ResourceArn: str, NextToken: str = "", MaxResults: int = 50) -> Answer:
        return {"Tags": self._tags.shown(ResourceArn)}

    def invoke(self, endpoint: str, body: bytes, headers: Mapping[str, str], variant: str) -> tuple[str, Reply]:
        """The variant of an endpoint that answered, and its answer. Raises AwsError."""
        fleet = self._fleets.get(endpoint)
        if fleet is None or not fleet.variants:
            told = f"Endpoint {endpoint} of account 000000000000 not found."
            raise AwsError("ValidationError", told)
        return fleet.invoke(body, headers, variant)

    def _deploy(self, name: str, config: str) -> None:
        """Start what the configuration says in the background, and let it take over once it answers."""
        thread = threading.Thread(target=self._take_over, args=(name, config), name=f"deploy-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _take_over(self, name: str, config: str) -> None:
        fleet = self._fleets.setdefault(name, Fleet())
        started: list[Variant] = []
        try:
            for given in self._get(CONFIG, config, "endpoint configuration")["ProductionVariants"]:
                variant = self._variant(given)
                variant.start()
                started.append(variant)
        except (CaudalError, OSError) as error:
            for variant in started:
                variant.close()
            # One that was updated goes on as it was, as on AWS.
            status = "InService" if fleet.variants else "Failed"
            self._set(name, EndpointStatus=status, FailureReason=str(error))
            return
        fleet.replace(started)
        self._set(name, EndpointStatus="InService", EndpointConfigName=config, FailureReason=None)

    def _variant(self, given: Answer) -> Variant:
        container = self._get(MODEL, given["ModelName"], "model")["PrimaryContainer"]
        models: list[Model] = []
        for _ in range(min(PROCESSES, given.get("InitialInstanceCount", 1) or 1)):
            if container.get("Image", "").rpartition("/")[2].partition(":")[0] == OWN:
                models = [OwnModel(self.cloud, container.get("Environment", {}))]
                break
            self._count += 1
            root = self.cloud.folder / "endpoints" / f"{time.time_ns()}-{self._count}"
            seconds = float(given.get("ContainerStartupHealthCheckTimeoutInSeconds", START_SECONDS))
            models.append(ScriptModel(self.cloud, container, root, seconds))
        return Variant(given["VariantName"], float(given.get("InitialVariantWeight", 1.0)), models)

    def _set(self, endpoint: str, **members: Any) -> None:
        if self.cloud.documents.get(ENDPOINT, endpoint) is not None:
            self.cloud.documents.change(ENDPOINT, endpoint, lambda old: {**old, **members, "LastModifiedTime": time.time()})

    def _create(self, kind: str, name: str, document: Document, told: str) -> None:
        try:
            self.cloud.documents.create(kind, name, document)
        except AlreadyExists:
            raise AwsError("ResourceInUse" if kind == TRAINING else BAD, told) from None

    def _get(self, kind: str, name: str, what: str) -> Document:
        found = self.cloud.documents.get(kind, name)
        if found is None:
            arn = self.cloud.arn("sagemaker", f"{what.replace('endpoint configuration', 'endpoint-config')}/{name.lower()}")
            raise AwsError(BAD, f"Could not find {what} \"{arn}\".")
        return found


def _check_training(given: Answer, algorithm: Answer) -> None:
    """Raises AwsError for what is not served."""
    image = algorithm.get("TrainingImage", "")
    hyper = given.get("HyperParameters") or {}
    own = image.rpartition("/")[2].partition(":")[0] == OWN
    script = {"sagemaker_program", "sagemaker_submit_directory"} <= hyper.keys()
    if not own and not script and "ContainerEntrypoint" not in algorithm:
        told = "caudal runs no container image: the image caudal is its own trainer; of any other it runs the script that the " \
               "hyperparameters sagemaker_program and sagemaker_submit_directory name, or ContainerEntrypoint"
        raise AwsError(BAD, told)
    if algorithm.get("TrainingInputMode", "File") != "File":
        raise AwsError(BAD, "caudal serves TrainingInputMode File")
    for channel in given.get("InputDataConfig") or []:
        source = channel["DataSource"].get("S3DataSource", {})
        if source.get("S3DataType") != "S3Prefix" or channel.get("InputMode", "File") != "File":
            raise AwsError(BAD, f"the channel {channel['ChannelName']} is of no S3Prefix in mode File: caudal serves that")
    if (given.get("ResourceConfig") or {}).get("InstanceCount", 1) != 1:
        raise AwsError(BAD, "caudal trains on one instance")


def _check_container(container: Answer) -> None:
    known = {"ContainerHostname", "Image", "Mode", "ModelDataUrl", "Environment"}
    refuse({name: value for name, value in container.items() if name not in known}, BAD)
    if container.get("Mode", "SingleModel") != "SingleModel":
        raise AwsError(BAD, "caudal serves containers of one model")


def _only(document: Document, *names: str) -> Document:
    return {name: document[name] for name in names if name in document}


def _shown(document: Document) -> Answer:
    """A document as an answer has it: times as times."""
    return {name: _value(name, value) for name, value in document.items()}


def _value(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_value(name, each) for each in value]
    if isinstance(value, dict):
        return _shown(value)
    return datetime.fromtimestamp(value, UTC) if name in TIMES and isinstance(value, int | float) else value
