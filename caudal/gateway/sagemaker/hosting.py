"""Endpoints: models in processes of their own, that answer until others have taken their place."""

import http.client
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from caudal.errors import CaudalError
from caudal.gateway.cloud import Cloud
from caudal.gateway.faults import AwsError
from caudal.gateway.sagemaker.container import Folder, end, fetch
from caudal.hurry import may_wait
from caudal.serve.live import LiveShop

ANSWER_SECONDS = 60
"""How long a model may take to answer, as AWS has it."""
START_SECONDS = 60.0
STOP_SECONDS = 30.0
OWN = "caudal"
"""The image that stands for caudal's own recommender."""


class Reply(NamedTuple):
    """What a model answered."""

    status: int
    body: bytes
    content_type: str


class Model(Protocol):
    """Something that answers invocations."""

    waits: bool
    """Whether it is asked somewhere else, and waited for."""

    def start(self) -> None:
        """Returns once it answers. Raises AwsError."""

    def invoke(self, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Its answer. Raises OSError if it cannot be reached."""

    def close(self) -> None:
        """End it."""


class _Question(msgspec.Struct):
    user: str
    n: int = 10
    slot: str = "new"
    item: str | None = None
    recommender: str | None = None


class OwnModel:
    """caudal's recommender, asked with `{"user": …, "n": 10, "slot": "new"}`; it follows the shop as the HTTP API does."""

    waits = False

    def __init__(self, cloud: Cloud, environment: Mapping[str, str]) -> None:
        self._live = LiveShop(cloud.stages.shop())
        self._recommender = environment.get("RECOMMENDER")

    def start(self) -> None:
        self._live.start()

    def invoke(self, body: bytes, headers: Mapping[str, str]) -> Reply:
        try:
            asked = msgspec.json.decode(body, type=_Question)
            made = self._live.recommend(asked.user, asked.n, asked.slot, asked.item, asked.recommender or self._recommender)
        except (msgspec.DecodeError, CaudalError) as error:
            return Reply(400, str(error).encode(), "text/plain")
        return Reply(200, msgspec.json.encode(made), "application/json")

    def close(self) -> None:
        self._live.close()


class ScriptModel:
    """A model of the user's and its inference script, in a process of its own."""

    waits = True

    def __init__(self, cloud: Cloud, container: Mapping[str, Any], root: Path, seconds: float) -> None:
        self._cloud, self._container, self._root, self._seconds = cloud, container, root, seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._idle: deque[http.client.HTTPConnection] = deque()
        self._port = 0
        self._started = threading.Event()
        self._stop = threading.Event()
        self._failure = ""
        # The process is tied to the thread that starts it.
        self._keeper = threading.Thread(target=self._keep, name="endpoint", daemon=True)

    def start(self) -> None:
        self._keeper.start()
        self._started.wait()
        if self._failure:
            self._keeper.join()
            raise AwsError("ValidationException", self._failure)

    def _keep(self) -> None:
        try:
            process = self._spawn()
            self._await(process)
        except (CaudalError, OSError) as error:
            self._failure = str(error)
            self._started.set()
            self._finish()
            return
        self._started.set()
        self._stop.wait()
        self._finish()

    def _spawn(self) -> "subprocess.Popen[bytes]":
        shutil.rmtree(self._root, ignore_errors=True)
        folder = Folder(self._root)
        if self._container.get("ModelDataUrl"):
            fetch(self._cloud.objects, self._container["ModelDataUrl"], folder.root / "model")
        fixed = {"SM_MODEL_DIR": str(folder.root / "model"), "AWS_ENDPOINT_URL": self._cloud.address,
                 "AWS_DEFAULT_REGION": self._cloud.region, **self._cloud.credentials()}
        environment = {**fixed, **self._container.get("Environment", {})}
        submitted = environment.get("SAGEMAKER_SUBMIT_DIRECTORY", "")
        if submitted.startswith("s3://"):
            (folder.root / "model/code").mkdir(exist_ok=True, mode=0o700)
            fetch(self._cloud.objects, submitted, folder.root / "model/code")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        program = [sys.executable, "-m", "caudal.gateway.sagemaker.serving", str(self._port)]
        self._process = folder.run(program, environment, self._root / "log.txt")
        return self._process

    def _await(self, process: "subprocess.Popen[bytes]") -> None:
        until = time.monotonic() + self._seconds
        while not self._pings():
            if process.poll() is not None or time.monotonic() > until:
                printed = (self._root / "log.txt").read_text("utf-8", "replace").strip().splitlines()
                last = printed[-1] if printed else "it printed nothing"
                raise AwsError("ValidationException", f"The primary container did not pass the ping health check: {last}")
            time.sleep(0.02)

    def _pings(self) -> bool:
        try:
            with self._connection() as connection:
                connection.request("GET", "/ping")
                answer = connection.getresponse()
                answer.read()
        except (OSError, http.client.HTTPException):
            return False
        return answer.status == 200

    def invoke(self, body: bytes, headers: Mapping[str, str]) -> Reply:
        with self._connection() as connection:
            connection.request("POST", "/invocations", body, dict(headers))
            answer = connection.getresponse()
            return Reply(answer.status, answer.read(), answer.headers.get("content-type", "application/octet-stream"))

    @contextmanager
    def _connection(self) -> Iterator[http.client.HTTPConnection]:
        try:
            connection = self._idle.popleft()
        except IndexError:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_SECONDS)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)

    def close(self) -> None:
        self._stop.set()
        if self._keeper.ident is not None:
            self._keeper.join()

    def _finish(self) -> None:
        while self._idle:
            self._idle.popleft().close()
        if self._process is not None:
            end(self._process, STOP_SECONDS)
        shutil.rmtree(self._root, ignore_errors=True)


class Variant:
    """The models of one production variant, asked in turn."""

    def __init__(self, name: str, weight: float, models: Sequence[Model]) -> None:
        self.name, self.weight = name, weight
        self.waits = any(model.waits for model in models)
        self._models = models
        self._next = 0

    def start(self) -> None:
        """Start them all, or none. Raises AwsError."""
        try:
            for model in self._models:
                model.start()
        except BaseException:
            self.close()
            raise

    def invoke(self, body: bytes, headers: Mapping[str, str]) -> Reply:
        """The answer of one of them. Raises AwsError."""
        self._next += 1
        try:
            return self._models[self._next % len(self._models)].invoke(body, headers)
        except TimeoutError:
            told = f"Invocation timed out while waiting for a response from container {self.name}."
            raise AwsError("ModelError", told, status=424, OriginalStatusCode=0, OriginalMessage=told) from None
        except (OSError, http.client.HTTPException):
            told = f"the model of variant {self.name} cannot be reached: its process has ended"
            raise AwsError("ServiceUnavailable", told, status=503) from None

    def close(self) -> None:
        """End them."""
        for model in self._models:
            with suppress(OSError):
                model.close()


class Fleet:
    """The variants of one endpoint as it is now; those that are replaced end once they have answered."""

    def __init__(self) -> None:
        self.variants: list[Variant] = []
        self._asked: dict[int, int] = {}
        self._idle = threading.Condition()

    def replace(self, variants: Sequence[Variant]) -> None:
        """From now on these answer."""
        with self._idle:
            old, self.variants = self.variants, list(variants)
            self._idle.wait_for(lambda: not any(self._asked.get(id(variant)) for variant in old), ANSWER_SECONDS)
        for variant in old:
            variant.close()

    def invoke(self, body: bytes, headers: Mapping[str, str], target: str) -> tuple[str, Reply]:
        """The variant that answered, by their weights or as `target` says, and its answer. Raises AwsError."""
        with self._idle:
            among = [variant for variant in self.variants if target in ("", variant.name)]
            if not among:
                raise AwsError("ValidationError", f"the endpoint has no variant {target}")
            if any(variant.waits for variant in among):
                may_wait()  # before one is drawn: drawn twice, those that wait would have less than their share
            variant = random.choices(among, [max(v.weight, 1e-9) for v in among])[0]
            self._asked[id(variant)] = self._asked.get(id(variant), 0) + 1
        try:
            return variant.name, variant.invoke(body, headers)
        finally:
            with self._idle:
                self._asked[id(variant)] -= 1
                self._idle.notify_all()
