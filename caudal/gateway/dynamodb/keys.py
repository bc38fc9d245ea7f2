"""Key conditions: one partition key, and a range of sort keys."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from caudal.gateway.dynamodb.scope import Condition, Scope
from caudal.gateway.dynamodb.syntax import Call, Node, Path, Value
from caudal.gateway.dynamodb.values import EMPTY_KEY, invalid, invalid_values, kind_of
from caudal.ingest.store import Open, StartsWith

PARAMETER = "KeyConditionExpression"
_MIRRORED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


class KeyRange(NamedTuple):
    """What the store is asked for."""

    prefix: tuple[Any, ...]
    low: Any = None
    high: Any = None


def key_range(condition: Condition, scope: Scope, key: tuple[str, ...], types: Mapping[str, str]) -> KeyRange:
    """The range that a key condition means. Raises AwsError for one that is not of this key."""
    found: dict[str, tuple[str, list[Any]]] = {}
    for node in _terms(condition.tree):
        name, operator, values = _term(node, scope)
        if name in found:
            raise invalid("KeyConditionExpressions must only contain one condition per key")
        found[name] = operator, values
    if key[0] not in found:
        raise invalid(f"Query condition missed key schema element: {key[0]}")
    if others := [name for name in found if name not in key]:
        missed = [name for name in key if name not in found]
        raise invalid(f"Query condition missed key schema element: {missed[0]}" if missed and len(found) <= len(key)
                      else f"Query key condition not supported: {others[0]} is not part of the key")
    for name, (_, values) in found.items():
        for value in values:
            if kind_of(value) != types[name]:
                raise invalid_values("Condition parameter type does not match schema type")
            if value in ("", b""):
                raise invalid(f"{EMPTY_KEY} {'string' if value == '' else 'binary'} value. Key: {name}")
    operator, values = found[key[0]]
    if operator != "=":
        raise invalid("Query key condition not supported")
    if len(found) == 1:
        return KeyRange((values[0],))
    return _sorted(values[0], *found[key[1]])


def _sorted(partition: Any, operator: str, values: list[Any]) -> KeyRange:
    value = values[0]
    if operator == "=":
        return KeyRange((partition, value))
    low, high = {
        "<": (None, Open(value)), "<=": (None, value), ">": (Open(value), None), ">=": (value, None),
        "BETWEEN": (value, values[-1]),
        "begins_with": (StartsWith(value) if type(value) in (str, bytes) else None, None),
    }[operator]
    if low is None and high is None:
        raise invalid_values("Condition parameter type does not match schema type")
    return KeyRange((partition,), low, high)


def _terms(node: Node) -> list[Node]:
    if isinstance(node, Call) and node.name == "()":
        return _terms(node.operands[0])
    if isinstance(node, Call) and node.name == "AND":
        return [term for operand in node.operands for term in _terms(operand)]
    return [node]


def _term(node: Any, scope: Scope) -> tuple[str, str, list[Any]]:
    """Attribute, operator and values of one term. Raises AwsError."""
    operator, operands = node.name, list(node.operands)
    if operator == "?":
        operator, operands = operands[0].name, list(operands[0].operands)
    if operator not in (*_MIRRORED, "BETWEEN", "begins_with"):
        raise invalid(f"Invalid operator used in {PARAMETER}: {operator}")
    if operator in _MIRRORED and isinstance(operands[0], Value):
        operator, operands = _MIRRORED[operator], operands[::-1]
    path, *given = operands
    if not isinstance(path, Path) or not all(isinstance(value, Value) for value in given):
        raise invalid(f"Invalid {PARAMETER}: a key condition compares an attribute with values")
    place = scope.place(path, PARAMETER)
    if len(place) > 1:
        raise invalid(f"Invalid {PARAMETER}: KeyConditionExpressions cannot have conditions on nested attributes")
    return str(place[0]), operator, [scope.value(value.name, PARAMETER) for value in given]
