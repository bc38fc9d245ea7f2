"""Update expressions: SET, REMOVE, ADD and DELETE, all on the item as it was."""

from collections.abc import Sequence
from decimal import Context
from typing import Any

from caudal.gateway.dynamodb.scope import MISSING, Place, Scope, at, check_apart, check_function, long_kind, nodes, project
from caudal.gateway.dynamodb.syntax import Node, Path, Value
from caudal.gateway.dynamodb.values import NESTED, as_number, depth_of, in_order, invalid, invalid_values, kind_of
from caudal.ingest.items import DEPTH
from caudal.records import Item

PARAMETER = "UpdateExpression"
_SUM = Context(prec=400)


class Update:
    """What an update expression does to an item."""

    def __init__(self, text: str | None, scope: Scope, key: Sequence[str]) -> None:
        """Raises AwsError for an expression that can be done to no item of a table with that key."""
        self._scope = scope
        sections = scope.update(text) if text is not None else ()
        self._actions = [
            (section.clause, scope.place(path, PARAMETER), node) for section in sections for path, node in section.actions
        ]
        self.places: list[Place] = [place for _, place, _ in self._actions]
        """What it sets or removes."""
        check_apart(self.places, PARAMETER)
        for place in self.places:
            if place[0] in key:
                raise invalid_values(f"Cannot update attribute {place[0]}. This attribute is part of the key")
        for clause, _, node in self._actions:
            self._check(clause, node)

    def _check(self, clause: str, tree: Node | None) -> None:
        for node in nodes(tree) if tree is not None else ():
            if isinstance(node, Path):
                self._scope.place(node, PARAMETER)
            elif isinstance(node, Value):
                value = self._scope.value(node.name, PARAMETER)
                self._check_value(clause, value)
            else:
                if node.name not in ("+", "-"):
                    check_function(node, PARAMETER, updates=True)
                wanted = {"+": "N", "-": "N", "list_append": "L"}.get(node.name)
                for operand in node.operands:
                    if wanted and isinstance(operand, Value):
                        value = self._scope.value(operand.name, PARAMETER)
                        if kind_of(value) != wanted:
                            raise self._misfit(node.name, value)

    def _check_value(self, clause: str, value: Any) -> None:
        if clause == "ADD" and kind_of(value) not in ("N", "SS", "NS", "BS"):
            raise self._misfit("ADD", value)
        if clause == "DELETE" and kind_of(value) not in ("SS", "NS", "BS"):
            raise self._misfit("DELETE", value)

    @staticmethod
    def _misfit(operator: str, value: Any) -> Exception:
        told = f"Incorrect operand type for operator or function; operator or function: {operator}"
        return invalid(f"Invalid {PARAMETER}: {told}, operand type: {long_kind(value)}")

    def apply(self, item: Item) -> Item:
        """The item that it makes of one. Raises AwsError."""
        done: list[tuple[Place, Any]] = []
        for clause, place, node in self._actions:
            if clause == "SET":
                done.append((place, self._value(node, item)))
            elif clause == "REMOVE":
                done.append((place, MISSING))
            else:
                done.append((place, self._gathered(clause, at(item, place), self._value(node, item))))
        made: Item = in_order(item)
        for place, value in sorted((d for d in done if d[1] is not MISSING), key=lambda d: _numbers(d[0])):
            _set(made, place, value)
        for place, _ in sorted((d for d in done if d[1] is MISSING), key=lambda d: _numbers(d[0]), reverse=True):
            _remove(made, place)
        made = in_order(made)
        if any(depth_of(value) > DEPTH for value in made.values()):
            raise invalid(NESTED)
        return made

    def touched(self, item: Item) -> Item:
        """The parts of an item that it sets or removes."""
        return project(item, self.places)

    def _value(self, node: Any, item: Item) -> Any:
        if isinstance(node, Value):
            return self._scope.value(node.name, PARAMETER)
        if isinstance(node, Path):
            value = at(item, self._scope.place(node, PARAMETER))
            if value is MISSING:
                raise invalid("The provided expression refers to an attribute that does not exist in the item")
            return value
        if node.name == "if_not_exists":
            value = at(item, self._scope.place(node.operands[0], PARAMETER))
            return self._value(node.operands[1], item) if value is MISSING else value
        a, b = (self._value(operand, item) for operand in node.operands)
        if node.name == "list_append":
            if type(a) is not list or type(b) is not list:
                raise invalid("An operand in the update expression has an incorrect data type")
            return a + b
        return _sum(a, b, node.name)

    @staticmethod
    def _gathered(clause: str, old: Any, value: Any) -> Any:
        """What ADD or DELETE leaves; MISSING for nothing."""
        if old is MISSING:
            return value if clause == "ADD" else MISSING
        if kind_of(old) != kind_of(value):
            raise invalid("An operand in the update expression has an incorrect data type")
        if clause == "DELETE":
            return old - value or MISSING
        return old | value if type(value) is set else _sum(old, value, "+")


def _sum(a: Any, b: Any, sign: str) -> Any:
    if kind_of(a) != "N" or kind_of(b) != "N":
        raise invalid("An operand in the update expression has an incorrect data type")
    a, b = _SUM.create_decimal(a), _SUM.create_decimal(b)
    return as_number(_SUM.add(a, b) if sign == "+" else _SUM.subtract(a, b))


def _numbers(place: Place) -> list[tuple[int, str]]:
    """Sorts places in one list by their number."""
    return [(step, "") if type(step) is int else (-1, str(step)) for step in place]


def _parent(item: Item, place: Place) -> Any:
    parent = at(item, place[:-1])
    if type(parent) is not (dict if type(place[-1]) is str else list):
        raise invalid("The document path provided in the update expression is invalid for update")
    return parent


def _set(item: Item, place: Place, value: Any) -> None:
    parent, step = _parent(item, place), place[-1]
    if type(parent) is list and step >= len(parent):  # type: ignore[operator]  # a list's steps are numbers
        parent.append(value)
    else:
        parent[step] = value


def _remove(item: Item, place: Place) -> None:
    parent, step = _parent(item, place), place[-1]
    if type(parent) is dict:
        parent.pop(step, None)
    elif step < len(parent):  # type: ignore[operator]  # a list's steps are numbers
        del parent[step]
