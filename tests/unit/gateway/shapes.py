"""Random members for any operation, by its model: right ones, ones at the bounds, and wrong ones."""

import json
from importlib import import_module
from urllib.parse import quote

from hypothesis import strategies as st

from caudal.gateway.cloud import SERVICES
from caudal.gateway.operations import load_model
from tests.unit.gateway.raw import request

ODD = st.sampled_from(["", " ", "\x00", "²", "x" * 300, "a/b", "../..", "arn:aws:x", "s3://", "-1", "NaN", "é\U0001f4a9", "%ff", "[", "'", "0" * 56])
WRONG = st.sampled_from([None, True, 0, -1, 2**31, 2**63, 1.5, "", "x", [], {}, [None], {"": None}, [[[]]]])


def served():
    """The model of every operation that is served."""
    for target in sorted(SERVICES.values()):
        module, kind = target.split(":")
        service = getattr(import_module(module), kind)
        model = load_model(service.name)
        yield from (model.operation_model(name) for name in sorted(model.operation_names) if service.serves(name))


def members_of(model):
    """A request of the operation."""
    shape = model.input_shape
    if shape is None:
        return st.just(_request(model, {}))
    return values(shape).map(lambda members: _request(model, members))


def values(shape, depth=0):
    kind = shape.type_name
    if depth > 5:
        return WRONG
    if kind == "structure":
        required = {n: values(m, depth + 1) for n, m in shape.members.items() if n in shape.required_members}
        optional = {n: values(m, depth + 1) for n, m in shape.members.items() if n not in shape.required_members}
        right = st.fixed_dictionaries(required, optional=optional)
    elif kind == "list":
        right = st.lists(values(shape.member, depth + 1), max_size=2)
    elif kind == "map":
        right = st.dictionaries(values(shape.key, 6).map(str), values(shape.value, depth + 1), max_size=2)
    elif kind in ("integer", "long"):
        low, high = shape.metadata.get("min", 0), shape.metadata.get("max", 10)
        right = st.sampled_from([low, high, low - 1, high + 1, 1])
    elif kind == "boolean":
        right = st.booleans()
    elif kind in ("float", "double", "timestamp"):
        right = st.sampled_from([0, -1, 0.5, 1e18, "2026-01-01", "never"])
    elif kind == "blob":
        right = st.sampled_from(["", "eA==", "e30=", "?"])
    else:
        right = st.sampled_from(shape.enum) if shape.enum else st.one_of(st.sampled_from(["a", "s", "aaaaaaaaaa"]), ODD)
    # Mostly right: a wrong member is refused at once, and nothing behind it is seen.
    return st.integers(0, 39).flatmap(lambda n: right if n or depth == 0 else WRONG)


def _request(model, members):
    protocol = model.service_model.metadata["protocol"]
    if protocol == "json":
        target = f"{model.service_model.metadata['targetPrefix']}.{model.name}"
        return request(json.dumps(members).encode(), x_amz_target=target)
    if protocol == "query":
        return request(f"Action={model.name}".encode(), content_type="application/x-www-form-urlencoded")
    path, query, headers = model.http["requestUri"], [], {}
    for name, shape in (model.input_shape.members if model.input_shape else {}).items():
        where, wire = shape.serialization.get("location"), shape.serialization.get("name", name)
        text = quote(str(members.get(name)), safe="")
        if where == "uri":
            path = path.replace(f"{{{wire}}}", text or "x").replace(f"{{{wire}+}}", text or "x")
        elif where == "querystring" and name in members:
            query.append(f"{wire}={text}")
        elif where == "header" and name in members:
            headers[wire.replace("-", "_")] = text
    rest = {name: value for name, value in members.items() if "location" not in model.input_shape.members[name].serialization}
    body = json.dumps(rest).encode() if rest else b""
    return request(body, model.http["method"], path + ("?" + "&".join(query) if query else ""), **headers)
