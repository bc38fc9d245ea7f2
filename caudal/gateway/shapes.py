"""Between JSON and Python by the shapes of a service's model: each shape compiled once to a function.

In: members checked against the model's constraints, blobs as bytes, timestamps as datetimes. Out: the other way.
What the model does not know is left out of a request, as AWS does, and is a fault of ours in an answer.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from caudal.gateway.faults import AwsError, Invalid

Read = Callable[[Any, str, Invalid], Any]
"""(JSON value, its path, constraints broken so far) to a Python value. Raises AwsError for a wrong JSON type."""
Write = Callable[[Any], Any]
"""A Python value to a JSON value."""

_JSON = {"string": str, "integer": int, "long": int, "boolean": bool, "structure": dict, "map": dict, "list": list,
         "float": (int, float), "double": (int, float), "timestamp": (int, float, str), "blob": (str, bytes)}
_RANGES = {"integer": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}


class Codec:
    """Reads and writes the shapes of one service.

    `own` names shapes that the service reads and writes itself: what it gives is used in place of the compiled functions.
    """

    def __init__(self, own: Mapping[str, tuple[Read, Write]] | None = None) -> None:
        self._readers: dict[str, Read] = {name: read for name, (read, _) in (own or {}).items()}
        self._writers: dict[str, Write] = {name: write for name, (_, write) in (own or {}).items()}

    def reader(self, shape: Shape) -> Read:
        """The function that reads a shape."""
        if shape.name not in self._readers:
            # A shape may hold itself: until it is compiled, it is looked up when it is met.
            self._readers[shape.name] = lambda value, path, invalid: self._readers[shape.name](value, path, invalid)
            self._readers[shape.name] = _checked(shape, self._read(shape))
        return self._readers[shape.name]

    def writer(self, shape: Shape) -> Write:
        """The function that writes a shape."""
        if shape.name not in self._writers:
            self._writers[shape.name] = lambda value: self._writers[shape.name](value)
            self._writers[shape.name] = self._write(shape)
        return self._writers[shape.name]

    def _read(self, shape: Shape) -> Read:
        if isinstance(shape, StructureShape):
            return self._read_structure(shape)
        if isinstance(shape, ListShape):
            item = self.reader(shape.member)
            return lambda value, path, invalid: [item(v, f"{path}.{n}.member", invalid) for n, v in enumerate(value, 1)]
        if isinstance(shape, MapShape):
            of_key, of_value = self.reader(shape.key), self.reader(shape.value)
            return lambda value, path, invalid: {
                of_key(k, f"{path}.key", invalid): of_value(v, f"{path}.{k}.member", invalid) for k, v in value.items()
            }
        if shape.type_name == "blob":
            return _blob
        if shape.type_name == "timestamp":
            return _moment
        return lambda value, path, invalid: value

    def _read_structure(self, shape: StructureShape) -> Read:
        members = [(name, member.serialization.get("name", name), self.reader(member)) for name, member in shape.members.items()]
        required = frozenset(shape.required_members)

        def read(value: Any, path: str, invalid: Invalid) -> dict[str, Any]:
            made = {}
            for name, wire, member in members:
                given = value.get(wire)
                if given is not None:
                    made[name] = member(given, f"{path}.{_camel(name)}" if path else _camel(name), invalid)
                elif name in required:
                    invalid.add(f"{path}.{_camel(name)}" if path else _camel(name), "not be null")
            return made

        return read

    def _write(self, shape: Shape) -> Write:
        if isinstance(shape, StructureShape):
            wire = {name: member.serialization.get("name", name) for name, member in shape.members.items()}
            members = {name: self.writer(member) for name, member in shape.members.items()}
            return lambda value: {wire[name]: members[name](v) for name, v in value.items() if v is not None}
        if isinstance(shape, ListShape):
            item = self.writer(shape.member)
            return lambda value: [item(v) for v in value]
        if isinstance(shape, MapShape):
            of_value = self.writer(shape.value)
            return lambda value: {k: of_value(v) for k, v in value.items()}
        if shape.type_name == "blob":
            return lambda value: base64.b64encode(value).decode()
        if shape.type_name == "timestamp":
            return lambda value: value.timestamp() if isinstance(value, datetime) else value
        return lambda value: value


def _camel(name: str) -> str:
    return name[0].lower() + name[1:]


def _checked(shape: Shape, read: Read) -> Read:
    """`read`, with what the model demands of the shape checked first."""
    kinds: Any = _JSON[shape.type_name]
    is_bool, rules = shape.type_name == "boolean", _rules(shape)

    def checked(value: Any, path: str, invalid: Invalid) -> Any:
        if not isinstance(value, kinds) or isinstance(value, bool) is not is_bool:
            raise AwsError("SerializationException", f"'{path}' is not a {shape.type_name}")
        value = read(value, path, invalid)
        for fits, must in rules:
            if not fits(value):
                invalid.add(path, must)
        return value

    return checked


def _rules(shape: Shape) -> list[tuple[Callable[[Any], bool], str]]:
    rules: list[tuple[Callable[[Any], bool], str]] = []
    low, high, pattern = shape.metadata.get("min"), shape.metadata.get("max"), shape.metadata.get("pattern")
    if shape.type_name in ("string", "blob", "list", "map"):
        if low:
            rules.append((lambda value: len(value) >= low, f"have length greater than or equal to {low}"))
        if high is not None:
            rules.append((lambda value: len(value) <= high, f"have length less than or equal to {high}"))
    elif low is not None or high is not None or shape.type_name in _RANGES:
        least, most = _RANGES.get(shape.type_name, (float("-inf"), float("inf")))
        least, most = (least if low is None else low), (most if high is None else high)
        rules.append((lambda value: value >= least, f"have value greater than or equal to {least}"))
        rules.append((lambda value: value <= most, f"have value less than or equal to {most}"))
    if getattr(shape, "enum", None):
        allowed = frozenset(shape.enum)
        rules.append((lambda value: value in allowed, f"satisfy enum value set: [{', '.join(sorted(allowed))}]"))
    elif pattern and (compiled := _compiled(pattern)) is not None:
        rules.append((lambda value: compiled.fullmatch(value) is not None, f"satisfy regular expression pattern: {pattern}"))
    return rules


def _compiled(pattern: str) -> re.Pattern[str] | None:
    """The model's pattern; None for one that only Java understands."""
    try:
        return re.compile(_JAVA.sub(lambda found: _CLASSES[found[1]], pattern))
    except (re.error, KeyError):
        return None


_JAVA = re.compile(r"\\p\{(?:Is)?(\w+)\}")
_CLASSES = {"Alnum": "a-zA-Z0-9", "Alpha": "a-zA-Z", "Digit": "0-9", "Upper": "A-Z", "Lower": "a-z", "Punct": "!-/:-@\\[-`{-~"}


def _blob(value: Any, path: str, invalid: Invalid) -> bytes:
    if isinstance(value, bytes):  # a rest-json body
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise AwsError("SerializationException", f"'{path}' is not base64") from None


def _moment(value: Any, path: str, invalid: Invalid) -> datetime:
    try:
        if isinstance(value, str):
            return datetime.fromisoformat(value).astimezone(UTC)
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        raise AwsError("SerializationException", f"'{path}' is not a timestamp") from None
