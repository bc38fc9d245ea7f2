"""AWS's wire protocols: which operation a request asks for, with what members; and an answer or an error as bytes.

json 1.0 and 1.1 (`X-Amz-Target`), rest-json (by method and path) and, for STS, query (a form in, XML out).
"""

import random
import re
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs, parse_qsl
from xml.sax.saxutils import escape

import msgspec

from caudal.gateway.eventstream import frames
from caudal.gateway.faults import AwsError, Invalid
from caudal.gateway.operations import Model, Operation

Headers = dict[str, str]

_WHOLE = re.compile("-?[0-9]{1,19}")


class Request(NamedTuple):
    """An HTTP request; names of headers are lower case."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes


class Response(NamedTuple):
    """An HTTP answer; a body that is no bytes is sent as it is made."""

    status: int
    headers: Headers
    body: bytes | Iterator[bytes]


class Call(NamedTuple):
    """An operation that a request asks for, with its members as the client gave them."""

    model: Model
    operation: Operation
    members: dict[str, Any]

    def arguments(self) -> dict[str, Any]:
        """The members, checked and as Python values. Raises AwsError."""
        invalid = Invalid([])
        try:
            read: dict[str, Any] = self.operation.read(self.members, "", invalid)
        except RecursionError:
            raise AwsError("SerializationException", "the request is nested too deep") from None
        invalid.check()
        return read


def parse(models: Mapping[str, Model], request: Request) -> Call | None:
    """The call that a request is; None if it is none of these services'. Raises AwsError."""
    target = request.headers.get("x-amz-target")
    if target is not None:
        return _parse_json(models, target, request)
    for model in models.values():
        if model.protocol == "rest-json" and (found := model.route(request.method, request.path)):
            operation, placed = found
            return Call(model, operation, {**placed, **_rest_members(operation, request)})
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return _parse_query(models, request)
    return None


def _parse_json(models: Mapping[str, Model], target: str, request: Request) -> Call:
    prefix, _, name = target.partition(".")
    model = next((model for model in models.values() if model.target == prefix), None)
    if "cbor" in request.headers.get("content-type", ""):
        raise AwsError("SerializationException", "CBOR is not served: set the client to JSON (AWS_CBOR_DISABLE=true)")
    operation = model.operation(name) if model is not None else None
    if model is None or operation is None or request.method != "POST":
        raise AwsError("UnknownOperationException", f"{request.method} {target} is no operation that caudal knows")
    return Call(model, operation, _object(request.body))


def _object(body: bytes) -> dict[str, Any]:
    try:
        made = msgspec.json.decode(body) if body.strip() else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        made = None
    if not isinstance(made, dict):
        raise AwsError("SerializationException", "the request's body is not a JSON object")
    return made


def _rest_members(operation: Operation, request: Request) -> dict[str, Any]:
    """What a rest-json request says beside its path."""
    shape = operation.model.input_shape
    if shape is None:
        return {}
    query = dict(parse_qsl(request.query, keep_blank_values=True))
    made: dict[str, Any] = {}
    payload = shape.serialization.get("payload")
    if payload is not None:
        # Bytes as they are: the codec knows them from base64 by their type.
        is_blob = shape.members[payload].type_name in ("blob", "string")
        made[payload] = request.body if is_blob else _object(request.body)
    elif request.body:
        made = _object(request.body)
    for name, member in shape.members.items():
        where, wire = member.serialization.get("location"), member.serialization.get("name", name)
        given: Any = None
        if where == "querystring":
            given = query.get(wire)
        elif where == "header":
            given = request.headers.get(wire.lower())
        if given is not None:
            made[wire] = _from_text(member.type_name, given, wire)
    return made


def _from_text(kind: str, text: str, name: str) -> Any:
    if kind in ("integer", "long"):
        if not _WHOLE.fullmatch(text):
            raise AwsError("InvalidParameterValueException", f"{name} is not a whole number")
        return int(text)
    if kind == "boolean":
        return text.lower() == "true"
    return text


def _parse_query(models: Mapping[str, Model], request: Request) -> Call | None:
    form = {name: values[-1] for name, values in parse_qs(request.body.decode("utf-8", "replace")).items()}
    for model in models.values():
        if model.protocol == "query" and (operation := model.operation(form.get("Action", ""))) is not None:
            kinds = {name: shape.type_name for name, shape in operation.inputs.items() if name in form}
            return Call(model, operation, {name: _from_text(kind, form[name], name) for name, kind in kinds.items()})
    return None


def answer(call: Call, made: Mapping[str, Any] | None) -> Response:
    """What the service made of the call, as bytes."""
    made = made or {}
    if call.model.protocol == "query":
        return _answer_query(call, made)
    name = call.operation.events
    if name is not None:
        write = call.operation.codec.writer(call.operation.outputs[name])
        events: Iterable[Mapping[str, Any]] = made[name]
        return Response(200, _headers("application/vnd.amazon.eventstream"), frames(write(event) for event in events))
    if call.model.protocol == "rest-json" and call.operation.outputs:
        return _answer_rest(call, made)
    body = msgspec.json.encode(call.operation.write(made))
    return Response(200, _json_headers(call, body), body)


def _json_headers(call: Call, body: bytes) -> Headers:
    kind = f"application/x-amz-json-{call.model.json_version}" if call.model.protocol == "json" else "application/json"
    headers = _headers(kind)
    if call.model.service.startswith("dynamodb"):
        headers["x-amz-crc32"] = str(zlib.crc32(body))
    return headers


def _headers(kind: str) -> Headers:
    # A name, not a secret: the operating system need not be asked for it.
    return {"content-type": kind, "x-amzn-requestid": str(uuid.UUID(int=random.getrandbits(128), version=4))}


def _answer_rest(call: Call, made: Mapping[str, Any]) -> Response:
    shape = call.operation.model.output_shape
    members = {name: member.serialization for name, member in shape.members.items()}
    placed = {name: wire["location"] for name, wire in members.items() if "location" in wire}
    status, headers = call.operation.model.http.get("responseCode", 200), _headers("application/json")
    for name, where in placed.items():
        if made.get(name) is None:
            continue
        if where == "statusCode":
            status = made[name]
        else:
            headers[members[name].get("name", name).lower()] = str(made[name])
    payload = shape.serialization.get("payload")
    if payload is not None and shape.members[payload].type_name in ("blob", "string"):
        headers["content-type"] = headers.get("content-type", "application/octet-stream")
        return Response(status, headers, made.get(payload) or b"")
    rest = call.operation.write({name: value for name, value in made.items() if name not in placed})
    return Response(status, headers, msgspec.json.encode(rest.get(payload, {}) if payload else rest) if status != 204 else b"")


def _answer_query(call: Call, made: Mapping[str, Any]) -> Response:
    name = call.operation.name
    inner = "".join(f"<{key}>{escape(str(value))}</{key}>" for key, value in call.operation.write(made).items())
    body = (f'<{name}Response xmlns="{call.model.namespace}"><{name}Result>{inner}</{name}Result>'
            f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata></{name}Response>")
    return Response(200, _headers("text/xml"), body.encode())


def fault(call: Call | None, error: AwsError, xml: bool = False) -> Response:
    """An error as the client's protocol has it: where no call is known, JSON, or S3's `xml`."""
    status = call.operation.status_of(error.code, error.status) if call is not None else error.status
    if xml:
        told = f"<Error><Code>{escape(error.code)}</Code><Message>{escape(str(error))}</Message></Error>"
        return Response(status, _headers("application/xml"), told.encode())
    if call is not None and call.model.protocol == "query":
        told = f"<Code>{escape(error.code)}</Code><Message>{escape(str(error))}</Message>"
        body = f"<ErrorResponse><Error><Type>Sender</Type>{told}</Error><RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>"
        return Response(status, _headers("text/xml"), body.encode())
    members = dict(error.members)
    shape = None
    if call is not None:
        shape = next((s for s in call.operation.model.error_shapes if error.code in (s.name, s.error_code)), None)
    if shape is not None and call is not None:
        members = call.operation.codec.writer(shape)({k: v for k, v in members.items() if k in shape.members})
    where = f"com.amazonaws.{call.model.target.replace('_', '.v').lower()}#" if call is not None and call.model.target else ""
    told = str(error)
    encoded = msgspec.json.encode({"__type": where + error.code, "message": told, "Message": told, **members})
    headers = _json_headers(call, encoded) if call is not None else _headers("application/x-amz-json-1.1")
    return Response(status, {**headers, "x-amzn-errortype": error.code}, encoded)
