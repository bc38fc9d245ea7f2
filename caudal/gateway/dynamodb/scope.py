"""An expression with the names and values that its request gives: conditions and projections, evaluated on items."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from caudal.gateway.dynamodb.syntax import Call, Node, Path, Section, Value, parse
from caudal.gateway.dynamodb.values import invalid, kind_of, same, write_value
from caudal.records import Item

MISSING: Final = object()
"""What a path leads to where there is nothing."""

_ORDERED = frozenset({"S", "N", "B"})
_SIZED = frozenset({"S", "B", "SS", "NS", "BS", "L", "M"})
_TYPES = frozenset({"S", "N", "B", "BOOL", "NULL", "L", "M", "SS", "NS", "BS"})
_OPERANDS = {
    "attribute_exists": 1, "attribute_not_exists": 1, "attribute_type": 2, "begins_with": 2, "contains": 2, "size": 1,
    "if_not_exists": 2, "list_append": 2,
}
_OF_PATHS = frozenset({"attribute_exists", "attribute_not_exists", "if_not_exists", "size"})
_OF_UPDATES = frozenset({"if_not_exists", "list_append"})
_PREDICATES = frozenset({"attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains"})
_TESTS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
}
_NOT_HERE = "The function is not allowed to be used this way in an expression"
_LONG_KINDS = {
    "S": "STRING", "N": "NUMBER", "B": "BINARY", "BOOL": "BOOLEAN", "NULL": "NULL", "L": "LIST", "M": "MAP",
    "SS": "STRING_SET", "NS": "NUMBER_SET", "BS": "BINARY_SET",
}

Place = tuple[str | int, ...]
"""Names, with no aliases any more, and places in lists."""


def at(item: Any, place: Place) -> Any:
    """What a path leads to in an item; MISSING for nothing."""
    for step in place:
        if isinstance(step, str):
            if type(item) is not dict or step not in item:
                return MISSING
        elif type(item) is not list or step >= len(item):
            return MISSING
        item = item[step]
    return item


class Scope:
    """The names and values of one request, and which of them its expressions used."""

    def __init__(self, names: Mapping[str, str] | None, values: Mapping[str, Any] | None) -> None:
        self.names, self.values = names, values
        self._used: set[str] = set()
        for kind, given, sign in (("Names", names, "#"), ("Values", values, ":")):
            if given is not None and not given:
                raise invalid(f"ExpressionAttribute{kind} must not be empty")
            for name in given or ():
                if len(name) < 2 or name[0] != sign or not name[1:].replace("_", "a").isalnum():
                    raise invalid(f'ExpressionAttribute{kind} contains invalid key: Syntax error; key: "{name}"')

    def condition(self, text: str | None, parameter: str) -> "Condition | None":
        """The condition that a text is, None of none. Raises AwsError."""
        if text is None:
            return None
        made = Condition(parse("condition", text, parameter), self, parameter)
        made.check()
        return made

    def projection(self, text: str | None, parameter: str = "ProjectionExpression") -> "list[Place] | None":
        """The places that a projection names, None of none. Raises AwsError."""
        if text is None:
            return None
        places = [self.place(path, parameter) for path in parse("projection", text, parameter)]
        check_apart(places, parameter)
        return places

    def update(self, text: str, parameter: str = "UpdateExpression") -> tuple[Section, ...]:
        """The sections of an update. Raises AwsError."""
        sections: tuple[Section, ...] = parse("update", text, parameter)
        return sections

    def place(self, path: Path, parameter: str) -> Place:
        """A path without aliases. Raises AwsError for an alias that is not defined."""
        return tuple(self._name(step, parameter) if type(step) is str and step[0] == "#" else step for step in path.steps)

    def _name(self, alias: str, parameter: str) -> str:
        if alias not in (self.names or {}):
            told = "An expression attribute name used in the document path is not defined; attribute name"
            raise invalid(f"Invalid {parameter}: {told}: {alias}")
        self._used.add(alias)
        assert self.names is not None
        return self.names[alias]

    def value(self, name: str, parameter: str) -> Any:
        """The value of that name. Raises AwsError for one that is not defined."""
        if name not in (self.values or {}):
            told = "An expression attribute value used in expression is not defined; attribute value"
            raise invalid(f"Invalid {parameter}: {told}: {name}")
        self._used.add(name)
        assert self.values is not None
        return self.values[name]

    def check_used(self, expressions: Mapping[str, str | None]) -> None:
        """Raises AwsError for names and values that no expression uses. `expressions` are the request's, by parameter."""
        for kind, given in (("Names", self.names), ("Values", self.values)):
            if not given:
                continue
            if not any(text is not None for text in expressions.values()):
                told = f"ExpressionAttribute{kind} can only be specified when using expressions"
                raise invalid(told if kind == "Names" else f"{told}: {' and '.join(expressions)} is null")
            if unused := [name for name in given if name not in self._used]:
                raise invalid(f"Value provided in ExpressionAttribute{kind} unused in expressions: keys: {{{', '.join(unused)}}}")


class Condition:
    """A condition, a filter or a key condition."""

    def __init__(self, tree: Node, scope: Scope, parameter: str) -> None:
        self.tree, self._scope, self._parameter = tree, scope, parameter

    def __call__(self, item: Item) -> bool:
        """Whether the item, {} for none, is as it says."""
        return self._holds(self.tree, item)

    def paths(self) -> Iterator[Place]:
        """Every path in it."""
        return (self._scope.place(node, self._parameter) for node in nodes(self.tree) if isinstance(node, Path))

    def check(self) -> None:
        """Looks up all names and values, so that a wrong one is refused whatever the item. Raises AwsError."""
        for node in nodes(self.tree):
            if isinstance(node, Path):
                self._scope.place(node, self._parameter)
            elif isinstance(node, Value):
                self._scope.value(node.name, self._parameter)
            else:
                self._check(node)

    def _check(self, node: Call) -> None:
        if node.name in ("AND", "OR", "NOT", "()"):
            return
        if node.name == "?":
            (function,) = node.operands
            if function.name in _OPERANDS and function.name not in _PREDICATES | _OF_UPDATES:
                raise self._wrong(_NOT_HERE, f"function: {function.name}")
            return
        if node.name[0].isalpha() and node.name not in ("BETWEEN", "IN"):
            check_function(node, self._parameter, updates=False)
            self._check_function(node)
            return
        if any(isinstance(operand, Call) and operand.name != "size" for operand in node.operands):
            raise self._wrong(_NOT_HERE, f"operator: {node.name}")
        first = node.operands[0]
        if isinstance(first, Path) and any(first == operand for operand in node.operands[1:]):
            shown = ", ".join(map(str, first.steps))
            told = "The first operand must be distinct from the remaining operands for this operator or function"
            raise self._wrong(told, f"operator: {node.name}, first operand: [{shown}]")
        if node.name in _TESTS or node.name == "BETWEEN":
            for value in self._given(node.operands):
                self._check_kind(node.name, value, _ORDERED)
        if node.name == "BETWEEN":
            self._check_bounds(*node.operands[1:])

    def _check_function(self, node: Call) -> None:
        if node.name == "begins_with":
            for value in self._given(node.operands):
                self._check_kind(node.name, value, frozenset("SB"))
        if node.name == "attribute_type":
            kind = self._of(node.operands[1], {}) if isinstance(node.operands[1], Value) else MISSING
            if type(kind) is not str:
                raise self._wrong("Incorrect operand type for operator or function", "operator or function: attribute_type")
            if kind not in _TYPES:
                known = ",".join(sorted(_TYPES))
                raise self._wrong("Invalid attribute type name found", f"type: {kind}, valid types: {{{known}}}")

    def _given(self, operands: Iterable[Any]) -> list[Any]:
        return [self._scope.value(node.name, self._parameter) for node in operands if isinstance(node, Value)]

    def _check_kind(self, operator: str, value: Any, allowed: frozenset[str]) -> None:
        if (kind := kind_of(value)) not in allowed:
            told = "Incorrect operand type for operator or function"
            raise self._wrong(told, f"operator or function: {operator}, operand type: {kind}")

    def _check_bounds(self, low: Node, high: Node) -> None:
        if not isinstance(low, Value) or not isinstance(high, Value):
            return
        a, b = self._given([low, high])
        lower, upper = (f"{{{kind_of(value)}:{write_value(value)[kind_of(value)]}}}" for value in (a, b))
        shown = f"lower bound operand: AttributeValue: {lower}, upper bound operand: AttributeValue: {upper}"
        if kind_of(a) != kind_of(b):
            raise self._wrong("The BETWEEN operator requires same data type for lower and upper bounds", shown)
        if a > b:
            raise self._wrong("The BETWEEN operator requires upper bound to be greater than or equal to lower bound", shown)

    def _wrong(self, what: str, which: str) -> Exception:
        return invalid(f"Invalid {self._parameter}: {what}; {which}")

    def _holds(self, node: Any, item: Item) -> bool:
        name, given = node.name, node.operands
        if name == "AND":
            return all(self._holds(each, item) for each in given)
        if name == "OR":
            return any(self._holds(each, item) for each in given)
        if name == "NOT":
            return not self._holds(given[0], item)
        if name == "()":
            return self._holds(given[0], item)
        if name == "?":
            return self._predicate(given[0], item)
        values = [self._of(operand, item) for operand in given]
        if name == "<>":
            return MISSING in values or not same(*values)
        if name == "IN":
            return values[0] is not MISSING and any(value is not MISSING and same(values[0], value) for value in values[1:])
        if any(value is MISSING for value in values):
            return False
        if name == "=":
            return same(*values)
        if name == "BETWEEN":
            return ordered(">=", values[0], values[1]) and ordered("<=", values[0], values[2])
        return ordered(name, *values)

    def _predicate(self, node: Call, item: Item) -> bool:
        value = self._of(node.operands[0], item)
        if node.name == "attribute_exists":
            return value is not MISSING
        if node.name == "attribute_not_exists":
            return value is MISSING
        other = self._of(node.operands[1], item)
        if value is MISSING or other is MISSING:
            return False
        if node.name == "attribute_type":
            return bool(kind_of(value) == other)
        if node.name == "begins_with":
            return type(value) is type(other) and type(value) in (str, bytes) and bool(value.startswith(other))
        if type(value) in (str, bytes):
            return type(value) is type(other) and bool(other in value)
        return type(value) in (list, set) and any(same(element, other) for element in value)

    def _of(self, node: Any, item: Item) -> Any:
        if isinstance(node, Path):
            return at(item, self._scope.place(node, self._parameter))
        if isinstance(node, Value):
            return self._scope.value(node.name, self._parameter)
        value = self._of(node.operands[0], item)  # of size: the only function that has a value here
        return len(value) if value is not MISSING and kind_of(value) in _SIZED else MISSING


def ordered(sign: str, a: Any, b: Any) -> bool:
    """Whether two values of one type that has an order are so ordered."""
    kind = kind_of(a)
    return kind in _ORDERED and kind == kind_of(b) and _TESTS[sign](a, b)


def check_function(node: Call, parameter: str, updates: bool) -> None:
    """Raises AwsError for a function that is none, is not for here, or has other operands."""
    name, wanted = node.name, _OPERANDS.get(node.name)
    if wanted is None:
        raise invalid(f"Invalid {parameter}: Invalid function name; function: {name}")
    if (name in _OF_UPDATES) is not updates:
        kind = "filter" if parameter == "FilterExpression" else "condition"
        where = "an update expression" if updates else f"a {kind} expression"
        raise invalid(f"Invalid {parameter}: The function is not allowed in {where}; function: {name}")
    if len(node.operands) != wanted:
        told = "Incorrect number of operands for operator or function"
        raise invalid(f"Invalid {parameter}: {told}; operator or function: {name}, number of operands: {len(node.operands)}")
    if name in _OF_PATHS and not isinstance(node.operands[0], Path):
        raise invalid(f"Invalid {parameter}: Operator or function requires a document path; operator or function: {name}")


def nodes(tree: Any) -> Iterator[Any]:
    """Every node of a tree."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, Call):
            waiting += reversed(node.operands)


def check_apart(places: Iterable[Place], parameter: str) -> None:
    """Raises AwsError if a path leads into another, or takes a map for a list."""
    seen: list[Place] = []
    for place in places:
        for other in seen:
            shared = next((n for n, (a, b) in enumerate(zip(place, other, strict=False)) if a != b), min(len(place), len(other)))
            one, two = (f"[{', '.join(_shown(step) for step in path)}]" for path in (other, place))
            if shared == min(len(place), len(other)):
                told = "Two document paths overlap with each other; must remove or rewrite one of these paths"
                raise invalid(f"Invalid {parameter}: {told}; path one: {one}, path two: {two}")
            if type(place[shared]) is not type(other[shared]):
                told = "Two document paths conflict with each other; must remove or rewrite one of these paths"
                raise invalid(f"Invalid {parameter}: {told}; path one: {one}, path two: {two}")
        seen.append(place)


def _shown(step: str | int) -> str:
    return step if type(step) is str else f"[{step}]"


def long_kind(value: Any) -> str:
    """A value's type as update expressions' errors name it."""
    return _LONG_KINDS[kind_of(value)]


def project(item: Item, places: Iterable[Place] | None) -> Item:
    """The parts of an item that the paths lead to, lists closed up; all of it without paths."""
    if places is None:
        return item
    made: dict[Any, Any] = {}
    for place in places:
        value = at(item, place)
        if value is not MISSING:
            inner = made
            for step in place[:-1]:
                inner = inner.setdefault(step, _Part())
            inner[place[-1]] = value
    return {name: _closed(made[name]) for name in sorted(made)}


class _Part(dict[Any, Any]):
    """Some of a map, or of a list by number."""


def _closed(part: Any) -> Any:
    if type(part) is not _Part:
        return part
    made = {step: _closed(part[step]) for step in sorted(part)}
    return made if type(next(iter(made))) is str else list(made.values())
