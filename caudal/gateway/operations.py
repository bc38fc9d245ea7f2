"""The operations of AWS's services, from the service models that botocore ships."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from urllib.parse import unquote

from botocore import xform_name
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel, Shape

from caudal.gateway.shapes import Codec, Read, Write


@dataclass(frozen=True)
class Operation:
    """One operation of one service, with what reads its requests and writes its answers."""

    service: str
    model: OperationModel
    codec: Codec

    @property
    def name(self) -> str:
        """AWS's name of it: `PutItem`."""
        return str(self.model.name)

    @cached_property
    def method(self) -> str:
        """The method of a service that serves it: `put_item`."""
        return method_of(self.name)

    @cached_property
    def read(self) -> Read:
        """Reads a request's members, gathered in one dict of JSON values."""
        shape = self.model.input_shape
        return self.codec.reader(shape) if shape is not None else lambda value, path, invalid: {}

    @cached_property
    def write(self) -> Write:
        """Writes the members of an answer."""
        shape = self.model.output_shape
        return self.codec.writer(shape) if shape is not None else lambda value: {}

    @cached_property
    def inputs(self) -> Mapping[str, Shape]:
        """Members of the request."""
        return self.model.input_shape.members if self.model.input_shape is not None else {}

    @cached_property
    def outputs(self) -> Mapping[str, Shape]:
        """Members of the answer."""
        return self.model.output_shape.members if self.model.output_shape is not None else {}

    @cached_property
    def events(self) -> str | None:
        """The member of the answer that is a stream of events."""
        shape = self.model.get_event_stream_output()
        return next(name for name, member in self.outputs.items() if member.name == shape.name) if shape is not None else None

    def status_of(self, code: str, otherwise: int) -> int:
        """HTTP status of an error of that code, if the model knows it."""
        for shape in self.model.error_shapes:
            if code in (shape.name, shape.error_code):
                return int(shape.metadata.get("error", {}).get("httpStatusCode", otherwise))
        return otherwise


def method_of(operation: str) -> str:
    """The method that serves an operation: `put_item` for PutItem."""
    return str(xform_name(operation))


class Model:
    """A service: its operations, by name and by path."""

    def __init__(self, service: str, codec: Codec) -> None:
        self.service = service
        self._model = load_model(service)
        self.protocol: str = self._model.metadata["protocol"]
        self.target: str = self._model.metadata.get("targetPrefix", "")
        self.json_version: str = self._model.metadata.get("jsonVersion", "1.1")
        self.names: list[str] = sorted(self._model.operation_names)
        self._codec = codec
        self._known = frozenset(self.names)
        self._operations: dict[str, Operation] = {}

    @property
    def namespace(self) -> str:
        """XML namespace of its answers."""
        return str(self._model.metadata.get("xmlNamespace", ""))

    def operation(self, name: str) -> Operation | None:
        """The operation of that name, None if the service has none."""
        if name not in self._known:
            return None
        if name not in self._operations:
            self._operations[name] = Operation(self.service, self._model.operation_model(name), self._codec)
        return self._operations[name]

    @cached_property
    def _routes(self) -> list[tuple[str, re.Pattern[str], str]]:
        routes = []
        for name in self.names:
            http = self._model.operation_model(name).http
            path = http["requestUri"].partition("?")[0].rstrip("/")
            pattern = re.sub(r"\\\{(\w+)(\\\+)?\\\}", lambda m: f"(?P<{m[1]}>{'.+' if m[2] else '[^/]+'})", re.escape(path))
            routes.append((http["method"], re.compile(pattern + "/?"), name))
        return routes

    def route(self, method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        """The operation behind a method and a path, and what the path says; None if there is none."""
        for verb, pattern, name in self._routes:
            if verb == method and (found := pattern.fullmatch(path)):
                operation = self.operation(name)
                assert operation is not None
                return operation, {key: unquote(text) for key, text in found.groupdict().items()}
        return None


@cache
def load_model(service: str) -> ServiceModel:
    """A service's model as AWS publishes it."""
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)

