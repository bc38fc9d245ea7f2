"""The part of the Lambda API that is about functions."""

import base64
import json
import threading
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from caudal.errors import AlreadyExists, NotFound
from caudal.gateway.cloud import Cloud, Service, refuse
from caudal.gateway.documents import Document
from caudal.gateway.faults import AwsError
from caudal.gateway.functions.asynchronous import Queue
from caudal.gateway.functions.code import code_hash, unpack
from caudal.gateway.functions.pool import Outcome, Pool, Settings, environment
from caudal.gateway.pages import page_after
from caudal.gateway.tags import Tags

Answer = dict[str, Any]

KIND = "lambda.function"
BAD = "InvalidParameterValueException"
PAYLOAD_BYTES = 6_291_556
"""The largest request and answer, where AWS's limits are on."""
CONFIGURED = {"Runtime", "Role", "Handler", "Description", "Timeout", "MemorySize", "Environment"}
HARMLESS = {"Architectures", "TracingConfig", "LoggingConfig", "EphemeralStorage", "SnapStart", "VpcConfig"}
"""Settings that change nothing of what a function does here; they are kept and shown."""


class Functions(Service):
    """Functions: made, changed, called."""

    name = "lambda"
    programs = {"Invoke": "TooManyRequestsException"}

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self._folder = cloud.folder / "functions"
        self._pools: dict[str, tuple[str, Pool]] = {}
        self._lock = threading.Lock()
        self._tags = Tags(cloud.documents, "lambda")
        self._queue = Queue(cloud.documents, self.run)

    def start(self) -> None:
        self._queue.start()

    def close(self) -> None:
        self._queue.close()
        with self._lock:
            for _, pool in self._pools.values():
                pool.close()

    def create_function(
        self, *, FunctionName: str, Role: str, Code: Answer, Runtime: str = "", Handler: str = "", Publish: bool = False,
        PackageType: str = "Zip", Tags: dict[str, str] | None = None, **given: Any,
    ) -> Answer:
        if PackageType != "Zip" or Publish:
            raise AwsError(BAD, "caudal serves functions from zip files, and their version $LATEST")
        _check({"Runtime": Runtime, "Handler": Handler, **given})
        name = self.named(FunctionName)
        document = {
            "FunctionName": name, "FunctionArn": self.cloud.arn("lambda", f"function:{name}"), "Runtime": Runtime, "Role": Role,
            "Handler": Handler, "Description": "", "Timeout": 3, "MemorySize": 128, "PackageType": "Zip", "Version": "$LATEST",
            "Architectures": ["x86_64"], "TracingConfig": {"Mode": "PassThrough"}, "EphemeralStorage": {"Size": 512},
            **given, **self._stored(name, Code), **_changed(),
        }
        try:
            self.cloud.documents.create(KIND, name, document)
        except AlreadyExists:
            raise AwsError("ResourceConflictException", f"Function already exist: {name}", status=409) from None
        self._tags.set(document["FunctionArn"], Tags or {})
        return _shown(document)

    def get_function(self, *, FunctionName: str, Qualifier: str = "$LATEST") -> Answer:
        document = self._function(FunctionName, Qualifier)
        return {"Configuration": _shown(document), "Tags": self._tags.get(document["FunctionArn"]) or None}

    def get_function_configuration(self, *, FunctionName: str, Qualifier: str = "$LATEST") -> Answer:
        return _shown(self._function(FunctionName, Qualifier))

    def list_functions(self, *, Marker: str = "", MaxItems: int = 50, **other: Any) -> Answer:
        refuse(other, BAD)
        found, more = page_after(self.cloud.documents.all(KIND, after=Marker, limit=MaxItems + 1).items(), Marker, MaxItems)
        return {"Functions": [_shown(document) for document in found], "NextMarker": more}

    def update_function_code(
        self, *, FunctionName: str, DryRun: bool = False, RevisionId: str = "", Publish: bool = False, **code: Any
    ) -> Answer:
        if Publish:
            raise AwsError(BAD, "caudal serves the version $LATEST of a function")
        document = self._function(FunctionName)
        made = self._stored(document["FunctionName"], code)
        if DryRun:
            return _shown(document | made)
        return self._change(document["FunctionName"], RevisionId, made)

    def update_function_configuration(self, *, FunctionName: str, RevisionId: str = "", **given: Any) -> Answer:
        _check(given)
        return self._change(self._function(FunctionName)["FunctionName"], RevisionId, given)

    def delete_function(self, *, FunctionName: str, Qualifier: str = "$LATEST") -> Answer:
        document = self._function(FunctionName, Qualifier)
        self.cloud.documents.remove(KIND, document["FunctionName"])
        with self._lock:
            _, pool = self._pools.pop(document["FunctionName"], ("", None))
        if pool is not None:
            pool.close()
        return {"StatusCode": 204}

    def invoke(
        self, *, FunctionName: str, Payload: bytes = b"", InvocationType: str = "RequestResponse", LogType: str = "None",
        ClientContext: str = "", Qualifier: str = "$LATEST", **other: Any,
    ) -> Answer:
        refuse(other, BAD)
        document = self._function(FunctionName, Qualifier)
        limited = self.cloud.stages.config.gateway.limits
        if limited and len(Payload) > PAYLOAD_BYTES:
            told = f"Request must be smaller than {PAYLOAD_BYTES} bytes for the InvokeFunction operation"
            raise AwsError("RequestTooLargeException", told, status=413)
        _check_json(Payload)
        if InvocationType == "DryRun":
            return {"StatusCode": 204}
        if InvocationType == "Event":
            self._queue.add(document["FunctionName"], Payload)
            return {"StatusCode": 202}
        made = self.run(document["FunctionName"], Payload, _context(ClientContext))
        if limited and len(made.payload) > PAYLOAD_BYTES:
            answer = {"errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
                      "errorType": "Function.ResponseSizeTooLarge"}
            made = Outcome(True, json.dumps(answer).encode(), made.log)
        return {
            "StatusCode": 200, "Payload": made.payload, "ExecutedVersion": "$LATEST",
            "FunctionError": "Unhandled" if made.failed else None,
            "LogResult": base64.b64encode(made.log[-4096:].encode()).decode() if LogType == "Tail" else None,
        }

    def run(self, name: str, payload: bytes, client_context: Any = None) -> Outcome:
        """Call a function here and now. Raises AwsError."""
        return self._pool(self._function(name)).invoke(payload, client_context)

    def list_tags(self, *, Resource: str) -> Answer:
        return {"Tags": self._tags.get(Resource)}

    def tag_resource(self, *, Resource: str, Tags: dict[str, str]) -> None:
        self._tags.add(Resource, Tags)

    def untag_resource(self, *, Resource: str, TagKeys: str | list[str]) -> None:
        self._tags.remove(Resource, [TagKeys] if isinstance(TagKeys, str) else TagKeys)

    def list_versions_by_function(self, *, FunctionName: str, Marker: str = "", MaxItems: int = 50) -> Answer:
        return {"Versions": [_shown(self._function(FunctionName))]}

    @staticmethod
    def named(function: str) -> str:
        """The name in a name, a partial ARN or an ARN. Raises AwsError."""
        parts = function.split(":")
        name = parts[parts.index("function") + 1] if "function" in parts[:-1] else parts[0]
        if not name:
            raise AwsError(BAD, "no function is named")
        return name

    def _function(self, function: str, qualifier: str = "$LATEST") -> Document:
        name = self.named(function)
        document = self.cloud.documents.get(KIND, name)
        if document is None or qualifier != "$LATEST":
            arn = self.cloud.arn("lambda", f"function:{name}") + ("" if qualifier == "$LATEST" else f":{qualifier}")
            raise AwsError("ResourceNotFoundException", f"Function not found: {arn}", status=404)
        return document

    def _stored(self, name: str, code: Answer) -> Answer:
        """What a function's document says of its code, which is kept. Raises AwsError."""
        zip_file, bucket, key = code.pop("ZipFile", None), code.pop("S3Bucket", None), code.pop("S3Key", None)
        code.pop("Architectures", None)
        refuse(code, BAD)
        if zip_file is None:
            if bucket is None or key is None:
                raise AwsError(BAD, "Please provide a source for function code: ZipFile, or S3Bucket and S3Key.")
            zip_file = self.cloud.objects.get(bucket, key)
        folder = unpack(zip_file, self._folder / name)
        return {"CodeSha256": code_hash(zip_file), "CodeSize": len(zip_file), "Folder": folder.name}

    def _change(self, name: str, revision: str, changes: Answer) -> Answer:
        def change(old: Document) -> Document:
            if revision and revision != old["RevisionId"]:
                told = "The RevisionId provided does not match the latest RevisionId."
                raise AwsError("PreconditionFailedException", told, status=412)
            return {**old, **changes, **_changed()}

        try:
            return _shown(self.cloud.documents.change(KIND, name, change))
        except NotFound:
            raise AwsError("ResourceNotFoundException", f"Function not found: {name}", status=404) from None

    def _pool(self, document: Document) -> Pool:
        """The workers of a function as it is now; those of what it was end."""
        name, revision = document["FunctionName"], document["RevisionId"]
        with self._lock:
            known, pool = self._pools.get(name, ("", None))
            if pool is not None and known == revision:
                return pool
            made = Pool(self._settings(document), self._folder / name / "log.txt")
            self._pools[name] = revision, made
        if pool is not None:
            pool.close()
        return made

    def _settings(self, document: Document) -> Settings:
        name, folder = document["FunctionName"], self._folder / document["FunctionName"] / document["Folder"]
        fixed = {
            "AWS_LAMBDA_FUNCTION_NAME": name, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(document["MemorySize"]),
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST", "AWS_REGION": self.cloud.region, "AWS_DEFAULT_REGION": self.cloud.region,
            "AWS_ENDPOINT_URL": self.cloud.address, "LAMBDA_TASK_ROOT": str(folder), "_HANDLER": document["Handler"],
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{document['Runtime']}", **self.cloud.credentials(),
        }
        given = document.get("Environment", {}).get("Variables", {})
        return Settings(name, document["FunctionArn"], document["Handler"], folder, float(document["Timeout"]),
                        document["MemorySize"], environment(given, fixed))


def _changed() -> Answer:
    now = datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"
    return {"LastModified": now, "RevisionId": str(uuid.uuid4()), "State": "Active", "LastUpdateStatus": "Successful"}


def _shown(document: Document) -> Answer:
    return {name: value for name, value in document.items() if name != "Folder"}


def _check(given: Answer) -> None:
    """Raises AwsError for settings that are not served."""
    runtime = given.get("Runtime")
    if runtime is not None and not runtime.startswith("python3."):
        raise AwsError(BAD, f"the runtime {runtime or '(none)'} is not served: caudal runs python3.x")
    handler = given.get("Handler")
    if handler is not None and "." not in handler:
        raise AwsError(BAD, f"the handler {handler!r} is not module.function")
    unknown = given.keys() - CONFIGURED - HARMLESS
    refuse({name: given[name] or None for name in unknown}, BAD)


def _check_json(payload: bytes) -> None:
    try:
        json.loads(payload or b"null")
    except ValueError as error:
        raise AwsError("InvalidRequestContentException", f"Could not parse request body into json: {error}") from None


def _context(encoded: str) -> Any:
    try:
        return json.loads(base64.b64decode(encoded)) if encoded else None
    except ValueError:
        raise AwsError("InvalidRequestContentException", "ClientContext is no JSON in base64") from None
