"""One training job, from its inputs in S3 to its model there."""

import json
import shutil
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from caudal.errors import tellable
from caudal.gateway.cloud import Cloud
from caudal.gateway.documents import Document
from caudal.gateway.faults import AwsError
from caudal.gateway.s3.objects import split_url
from caudal.gateway.sagemaker.container import Folder, download_prefix, end, fetch, pack, program_of

KIND = "sagemaker.training"
STOP_SECONDS = 120.0
REASON_CHARACTERS = 1024
HOST = "algo-1"

class Stopped(Exception):
    """The job was told to stop, or ran too long."""


class Job:
    """Runs one job in a thread of its own; its states are in its document."""

    def __init__(self, cloud: Cloud, name: str, folder: Path) -> None:
        self._cloud, self._name, self._root = cloud, name, folder
        self._wanted = ""
        self._closing = False
        self._process: subprocess.Popen[bytes] | None = None
        self.thread = threading.Thread(target=self._run, name=f"training-{name}", daemon=True)

    def stop(self) -> None:
        """End the job, as its user wishes."""
        self._wanted = "Stopped"

    def close(self) -> None:
        """End the process; the next start of the endpoint begins the job again."""
        self._closing = True
        if self.thread.ident is not None:
            self.thread.join()

    def _run(self) -> None:
        try:
            self._train(self._cloud.documents.get(KIND, self._name) or {})
        except Stopped as stopped:
            if not self._closing:
                self._end("Stopped", str(stopped))
        except Exception as error:  # whatever it is, nobody waits for this job for ever
            told = str(error) if isinstance(error, OSError) else str(tellable(error))
            self._end("Failed", "Failed", told[:REASON_CHARACTERS])

    def _train(self, job: Document) -> None:
        shutil.rmtree(self._root, ignore_errors=True)  # of a run that a restart cut short
        folder = Folder(self._root)
        self._tell("Downloading", "Downloading input data")
        self._lay_out(job, folder)
        self._tell("Training", "Training image download completed. Training in progress.")
        began = time.time()
        self._set(TrainingStartTime=began)
        code = self._execute(job, folder)
        if code:
            raise AwsError("AlgorithmError", self._reason(folder, code))
        self._tell("Uploading", "Uploading generated training model")
        artifacts = self._upload(job, folder)
        self._set(ModelArtifacts={"S3ModelArtifacts": artifacts}, FinalMetricDataList=self._metrics(job))
        self._end("Completed", "Completed")

    def _lay_out(self, job: Document, folder: Folder) -> None:
        """Inputs, and the files of the training contract."""
        channels = job.get("InputDataConfig", [])
        for channel in channels:
            target = folder.root / "input/data" / channel["ChannelName"]
            target.mkdir(parents=True, exist_ok=True, mode=0o700)
            source = channel["DataSource"]["S3DataSource"]["S3Uri"]
            if not download_prefix(self._cloud.objects, source, target):
                told = f"ClientError: No S3 objects found under S3 URL {source} given in input data source."
                raise AwsError("ClientError", told)
        hyper = job.get("HyperParameters", {})
        if "sagemaker_submit_directory" in hyper:
            fetch(self._cloud.objects, plain(hyper["sagemaker_submit_directory"]), folder.root / "code")
        by_file = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated"}
        config = {
            "hyperparameters": hyper, "inputdataconfig": {channel["ChannelName"]: by_file for channel in channels},
            "resourceconfig": {"current_host": HOST, "hosts": [HOST], "network_interface_name": "lo"},
        }
        for name, value in config.items():
            (folder.root / f"input/config/{name}.json").write_text(json.dumps(value))

    def _execute(self, job: Document, folder: Folder) -> int:
        self._process = folder.run(self._program(job, folder), self._environment(job, folder), self._root / "log.txt")
        until = time.monotonic() + job["StoppingCondition"].get("MaxRuntimeInSeconds", 86400)
        while (code := self._process.poll()) is None:
            if self._closing or self._wanted or time.monotonic() > until:
                end(self._process, 1.0 if self._closing else STOP_SECONDS)
                raise Stopped("Stopped" if self._wanted or self._closing else "MaxRuntimeExceeded")
            time.sleep(0.02)
        return code

    def _program(self, job: Document, folder: Folder) -> list[str]:
        """The command that trains: the container's entry point, the script of script mode, or caudal's own trainer."""
        algorithm, hyper = job["AlgorithmSpecification"], job.get("HyperParameters", {})
        if "ContainerEntrypoint" in algorithm:
            return [*algorithm["ContainerEntrypoint"], *algorithm.get("ContainerArguments", [])]
        if "sagemaker_program" in hyper:
            own = {key: plain(value) for key, value in hyper.items() if not key.startswith("sagemaker_")}
            return [*program_of(folder.root / "code", plain(hyper["sagemaker_program"])),
                    *(word for key, value in own.items() for word in (f"--{key}", value))]
        pipeline = self._cloud.pipeline_file
        if pipeline is None:
            told = "ClientError: caudal's own trainer needs a pipeline file, and this endpoint runs without one"
            raise AwsError("ClientError", told)
        return ["python", "-m", "caudal.gateway.sagemaker.own", str(pipeline), str(folder.root)]

    def _environment(self, job: Document, folder: Folder) -> dict[str, str]:
        root, hyper = folder.root, {key: plain(value) for key, value in job.get("HyperParameters", {}).items()}
        channels = [channel["ChannelName"] for channel in job.get("InputDataConfig", [])]
        inputs = {f"SM_CHANNEL_{name.upper()}": str(root / "input/data" / name) for name in channels}
        fixed = {
            "TRAINING_JOB_NAME": self._name, "TRAINING_JOB_ARN": job["TrainingJobArn"], "SM_MODEL_DIR": str(root / "model"),
            "SM_OUTPUT_DATA_DIR": str(root / "output/data"), "SM_OUTPUT_DIR": str(root / "output"),
            "SM_INPUT_DIR": str(root / "input"), "SM_INPUT_CONFIG_DIR": str(root / "input/config"),
            "SM_CHANNELS": json.dumps(channels), "SM_HPS": json.dumps(hyper),
            "SM_CURRENT_HOST": HOST, "SM_HOSTS": json.dumps([HOST]), "SM_NUM_GPUS": "0", "SM_MODULE_DIR": str(root / "code"),
            "AWS_REGION": self._cloud.region, "AWS_DEFAULT_REGION": self._cloud.region, "AWS_ENDPOINT_URL": self._cloud.address,
            **self._cloud.credentials(),
        }
        given = {name: folder.path(value) for name, value in job.get("Environment", {}).items()}
        return {**inputs, **{f"SM_HP_{key.upper()}": value for key, value in hyper.items()}, **fixed, **given}

    def _reason(self, folder: Folder, code: int) -> str:
        """Why the program failed: what it says itself, or the end of what it printed."""
        failure = folder.root / "output/failure"
        if failure.is_file():
            return f"AlgorithmError: {failure.read_text('utf-8', 'replace')}"
        printed = (self._root / "log.txt").read_text("utf-8", "replace").strip()
        last = printed.splitlines()[-1] if printed else ""
        return f"AlgorithmError: ExecuteUserScriptError:\nExitCode {code}\nErrorMessage \"{last}\""

    def _upload(self, job: Document, folder: Folder) -> str:
        bucket, prefix = split_url(job["OutputDataConfig"]["S3OutputPath"])
        base = f"{prefix.rstrip('/')}/{self._name}/output".lstrip("/")
        for name, source in (("output", folder.root / "output/data"), ("model", folder.root / "model")):
            if name == "output" and not any(source.iterdir()):
                continue
            packed = self._root / f"{name}.tar.gz"
            pack(source, packed)
            self._cloud.objects.upload(bucket, f"{base}/{name}.tar.gz", packed)
            packed.unlink()
        return f"s3://{bucket}/{base}/model.tar.gz"

    def _metrics(self, job: Document) -> list[dict[str, Any]]:
        """The last value of each metric that the job defines, as it was printed. Raises QueryError for a wrong expression."""
        log = pa.table({"printed": [(self._root / "log.txt").read_text("utf-8", "replace")]})
        found = []
        for metric in job["AlgorithmSpecification"].get("MetricDefinitions", []):
            # The query engine's expressions, unlike Python's, cannot hold the job for ever.
            form = metric["Regex"].replace("'", "''")
            sql = f"SELECT regexp_extract_all(printed, '{form}', {1 if '(' in form else 0}) AS found FROM log"
            values = self._cloud.stages.query.execute(sql, tables={"log": log})["found"][0].as_py()
            with suppress(IndexError, ValueError):  # it was never printed, or is no number
                found.append({"MetricName": metric["Name"], "Value": float(values[-1]), "Timestamp": time.time()})
        return found

    def _tell(self, secondary: str, message: str) -> None:
        """The job has got further; who wants it to stop is heard here too."""
        if self._wanted or self._closing:
            raise Stopped("Stopped")
        self._transition(secondary, message)

    def _end(self, status: str, secondary: str, reason: str = "") -> None:
        now = time.time()
        self._transition(secondary, reason or f"Training job {status.lower()}", now)
        started = (self._cloud.documents.get(KIND, self._name) or {}).get("TrainingStartTime")
        seconds = max(1, round(now - started)) if started is not None else None
        self._set(TrainingJobStatus=status, TrainingEndTime=now, TrainingTimeInSeconds=seconds, BillableTimeInSeconds=seconds,
                  **({"FailureReason": reason} if reason else {}))

    def _transition(self, secondary: str, message: str, end_at: float | None = None) -> None:
        now = time.time()

        def change(old: Document) -> Document:
            before = old["SecondaryStatusTransitions"]
            if before and "EndTime" not in before[-1]:
                before[-1]["EndTime"] = now
            one = {"Status": secondary, "StartTime": now, "StatusMessage": message}
            return {**old, "SecondaryStatus": secondary, "LastModifiedTime": now,
                    "SecondaryStatusTransitions": [*before, one if end_at is None else {**one, "EndTime": end_at}]}

        self._cloud.documents.change(KIND, self._name, change)

    def _set(self, **members: Any) -> None:
        self._cloud.documents.change(KIND, self._name, lambda old: {**old, **members})


def plain(text: str) -> str:
    """A hyperparameter's text: the SageMaker SDK gives texts as JSON, other clients as they are."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, str) else text
