"""What the services of one AWS endpoint share, and what each of them is."""

from collections.abc import Mapping
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from caudal.gateway.documents import Documents
from caudal.gateway.faults import AwsError
from caudal.gateway.operations import Model, method_of
from caudal.gateway.s3.objects import Objects
from caudal.gateway.s3.server import S3Server
from caudal.gateway.shapes import Codec, Read, Write
from caudal.pipeline import Stages

ACCOUNT = "000000000000"
"""The account whose the resources are."""

SERVICES: dict[str, str] = {
    "athena": "caudal.gateway.athena.service:Athena",
    "dynamodb": "caudal.gateway.dynamodb.service:DynamoDB",
    "dynamodbstreams": "caudal.gateway.dynamodbstreams:DynamoDBStreams",
    "firehose": "caudal.gateway.firehose.service:Firehose",
    "glue": "caudal.gateway.glue.service:Glue",
    "kinesis": "caudal.gateway.kinesis.service:Kinesis",
    "lambda": "caudal.gateway.functions.service:Lambda",
    "sagemaker": "caudal.gateway.sagemaker.service:SageMaker",
    "sagemaker-runtime": "caudal.gateway.sagemaker.runtime:SageMakerRuntime",
    "sts": "caudal.gateway.sts:Sts",
}
"""AWS service, by botocore's name, to what serves it."""


def refuse(options: Mapping[str, Any], code: str = "InvalidArgumentException") -> None:
    """Raises AwsError for options of an operation that is served without them."""
    given = [name for name, value in options.items() if value not in (None, False)]
    if given:
        raise AwsError(code, f"caudal does not serve the option {given[0]} of this operation")


class Service:
    """One AWS service. A method named as botocore names an operation (`put_item`) serves it; the others are refused by name.

    A method takes the request's members as keyword arguments, by AWS's names, and returns the answer's members, None for
    none; it raises AwsError, or an error of caudal's that has a code in `faults`. Calls come from many threads at once.
    """

    name: ClassVar[str]
    """botocore's name of it."""
    shapes: ClassVar[Mapping[str, tuple[Read, Write]]] = {}
    """Shapes that it reads and writes itself: see `Codec`."""
    quick: ClassVar[frozenset[str]] = frozenset()
    """Operations that take less time than to hand them to a thread, but for what says so by `hurry.may_wait`."""
    programs: ClassVar[Mapping[str, str]] = {}
    """Operations whose answer a program of the user's gives, and the code with which one too many is refused."""

    def __init__(self, cloud: "Cloud") -> None:
        self.cloud = cloud

    @cached_property
    def model(self) -> Model:
        """Its operations."""
        return Model(self.name, Codec(self.shapes))

    @classmethod
    def serves(cls, operation: str) -> bool:
        """Whether the operation of that name is served."""
        return callable(getattr(cls, method_of(operation), None))

    def start(self) -> None:
        """Begin what it does by itself, as threads of its own; called once all services are there."""

    def close(self) -> None:
        """End that."""


class Cloud:
    """The services of one endpoint, over the stages of one pipeline."""

    def __init__(self, stages: Stages, address: str, credentials: Mapping[str, str]) -> None:
        self.stages = stages
        self.address = address
        """URL of the endpoint itself."""
        self.region = stages.config.gateway.region
        self.folder = Path(stages.config.folder) / "aws"
        """Where services keep files of their own."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._credentials = credentials
        self.s3 = S3Server(self.folder / "s3", credentials)
        self.objects = Objects(self.s3.url, credentials, self.region)
        """S3's objects, for the other services."""
        self.documents = Documents(self.folder / "documents.db")
        self.services: dict[str, Service] = {}
        for name, target in SERVICES.items():
            module, kind = target.split(":")
            self.services[name] = getattr(import_module(module), kind)(self)

    def arn(self, service: str, resource: str) -> str:
        """The ARN of a resource: `arn("kinesis", "stream/clicks")`."""
        region = "" if service in ("s3", "iam") else self.region
        account = "" if service == "s3" else ACCOUNT
        return f"arn:aws:{service}:{region}:{account}:{resource}"

    @property
    def pipeline_file(self) -> Path | None:
        """The file of the pipeline; None if it has none."""
        return self.stages.pipeline.file

    def credentials(self) -> dict[str, str]:
        """The environment with which a program of the user's may call this endpoint."""
        key, secret = next(iter(self._credentials.items()), ("caudal", "caudal"))
        return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}

    @cached_property
    def iceberg(self) -> Any:
        """The Data Catalog's Iceberg tables (`iceberg.tables.Tables`), their packages imported when one is first asked for."""
        return import_module("caudal.gateway.iceberg.tables").Tables(self)

    def service(self, name: str) -> Any:
        """Another service, for one that works with it."""
        return self.services[name]

    def start(self) -> None:
        """Begin what services do by themselves."""
        for service in self.services.values():
            service.start()

    def stop(self) -> None:
        """End what services do by themselves, in the reverse order."""
        for service in reversed(self.services.values()):
            service.close()

    def close(self) -> None:
        """Release what they share, once nobody asks any more."""
        self.s3.close()
        self.documents.close()
