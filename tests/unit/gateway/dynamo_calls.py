"""Random calls of DynamoDB: items of every type, expressions with their names and values, right ones and wrong ones.

Few names and small values, so that calls meet each other's items. A call is (operation, members).
"""

from decimal import Decimal

from hypothesis import strategies as st

from tests.unit.gateway.dynamo import index, keyed

TABLES = {
    "one": keyed(id="S"),
    "two": {**keyed(id="S", n="N", a="S"), "LocalSecondaryIndexes": [index("two_by_a", "id", "a", ProjectionType="KEYS_ONLY")]},
    "three": {**keyed(id="S", n="B", g="S", h="N"), "GlobalSecondaryIndexes": [
        index("three_by_g", "g", "h"), index("three_by_h", "h", ProjectionType="INCLUDE", NonKeyAttributes=["a"])]},
}
INDEXES = {"one": [], "two": ["two_by_a"], "three": ["three_by_g", "three_by_h"]}
KEYS = {
    "": {"one": ["id"], "two": ["id", "n"], "three": ["id", "n"]},
    "two_by_a": ["id", "a"], "three_by_g": ["g", "h"], "three_by_h": ["h"],
}
TYPES = {"one": {"id": "S"}, "two": {"id": "S", "n": "N", "a": "S"}, "three": {"id": "S", "n": "B", "g": "S", "h": "N"}}

_texts = st.sampled_from(["", "a", "b", "ab", "abc", "z", "ä"])
_bytes = st.sampled_from([b"", b"a", b"ab", b"b", b"\xff"])
_numbers = st.sampled_from(["0", "1", "-1", "2", "3", "10", "1.5", "1.50", "-0.25", "1E2", "12345678901234567890123456789012345678", "0.1"])
_scalars = st.one_of(
    st.builds(lambda v: {"S": v}, _texts), st.builds(lambda v: {"N": v}, _numbers), st.builds(lambda v: {"B": v}, _bytes),
    st.builds(lambda v: {"BOOL": v}, st.booleans()), st.just({"NULL": True}),
)
_sets = st.one_of(
    st.builds(lambda v: {"SS": v}, st.lists(_texts, min_size=1, max_size=3, unique=True)),
    st.builds(lambda v: {"NS": v}, st.lists(_numbers, min_size=1, max_size=3, unique_by=Decimal)),
    st.builds(lambda v: {"BS": v}, st.lists(_bytes, min_size=1, max_size=3, unique=True)),
)
_no_sets = st.sampled_from([{"SS": []}, {"NS": []}, {"BS": []}, {"SS": ["a", "a"]}, {"NS": ["1", "1.0"]}, {"NULL": False}, {"N": "x"}])
VALUES = st.recursive(
    st.one_of(_scalars, _scalars, _sets),
    lambda inner: st.one_of(
        st.builds(lambda v: {"L": v}, st.lists(inner, max_size=3)),
        st.builds(lambda v: {"M": v}, st.dictionaries(st.sampled_from("xy"), inner, max_size=2)),
    ), max_leaves=4)
_NUMBER = st.builds(lambda v: {"N": v}, _numbers)
_LIST = st.builds(lambda v: {"L": v}, st.lists(VALUES, max_size=2))
_ORDERS = st.builds(lambda v: {"S": v}, _texts), _NUMBER, st.builds(lambda v: {"B": v}, _bytes)
_ORDERED = st.one_of(*_ORDERS)
_PREFIXES = st.one_of(_ORDERS[0], _ORDERS[2])
_KINDS = st.sampled_from([{"S": kind} for kind in ("S", "N", "B", "BOOL", "NULL", "L", "M", "SS", "NS", "BS", "X")])
_ATTRIBUTES = {
    "a": st.one_of(_ORDERED, _NUMBER), "b": st.builds(lambda v: {"L": v}, st.lists(st.one_of(_scalars, VALUES), max_size=3)),
    "c": st.builds(lambda v: {"M": v}, st.dictionaries(st.sampled_from("xy"), st.one_of(_scalars, VALUES), max_size=2)), "d": _sets,
}
"""What an attribute holds, most times: so that paths lead somewhere, and operators fit."""
_KEY_VALUES = {
    "S": st.sampled_from([{"S": "a"}, {"S": "ab"}]), "N": st.sampled_from([{"N": "1"}, {"N": "-1.5"}, {"N": "10"}]),
    "B": st.sampled_from([{"B": b"a"}, {"B": b"\xff"}]),
}
_WRONG = st.sampled_from([{"S": ""}, {"N": "7"}, {"S": "7"}, {"B": b""}, {"BOOL": True}])


def _seldom(draw, often=12):
    """Whether this time something is wrong."""
    return draw(st.integers(1, often)) == often


def _key(draw, table):
    key = {name: draw(_KEY_VALUES[TYPES[table][name]]) for name in KEYS[""][table]}
    if _seldom(draw, 40):
        key[draw(st.sampled_from(["id", "n", "a"]))] = draw(_WRONG)
    if _seldom(draw, 80):
        key.pop(draw(st.sampled_from(sorted(key))))
    return key


def _item(draw, table):
    item = {name: draw(VALUES if _seldom(draw) else values) for name, values in _ATTRIBUTES.items() if draw(st.integers(0, 3))}
    item |= _key(draw, table)
    if _seldom(draw, 40):
        item["b"] = draw(_no_sets)
    for name, kind in TYPES[table].items():
        if name not in KEYS[""][table]:
            item.pop(name, None)
            if draw(st.booleans()):
                item[name] = draw(_WRONG if _seldom(draw, 20) else _KEY_VALUES[kind])
    return item


def _inner(value):
    """What orders a text, number or binary value."""
    ((kind, inner),) = value.items()
    return Decimal(inner) if kind == "N" else inner


class Expressions:
    """Texts that share their names and values: those of one request."""

    def __init__(self, draw, table):
        self._draw, self._table = draw, table
        self.names, self.values = {}, {}

    def _one(self, *choices):
        return self._draw(st.sampled_from(choices))

    def value(self, values=VALUES):
        name = f":v{len(self.values)}"
        self.values[name] = self._draw(values if not _seldom(self._draw, 20) else VALUES)
        return name if not _seldom(self._draw, 80) else ":missing"

    def name(self, names):
        name = self._one(*names)
        if not _seldom(self._draw, 4):
            return name
        self.names[f"#{name}"] = name
        return f"#{name}"

    def path(self, names="abcd"):
        """Into what is there, most times."""
        text = self.name(names if not _seldom(self._draw, 15) else [*TYPES[self._table], "e"])
        steps = {"b": "[", "c": "."}.get(text[-1], "") if not _seldom(self._draw) else self._one("[", ".", "[.", "..", "[[")
        if self._draw(st.booleans()):
            for step in steps:
                text += f"[{self._draw(st.integers(0, 2))}]" if step == "[" else "." + self.name("xy")
        return text

    def operand(self, values=VALUES):
        kind = self._one("path", "value", "value", "size")
        return self.path("cd") if kind == "path" else self.value(values) if kind == "value" else f"size({self.path()})"

    def condition(self, depth=2):
        kind = self._one("compare", "compare", "function", "function", "between", "in", *(("and", "or", "not", "()") if depth else ()))
        if kind == "compare":
            sign = self._one("=", "<>", "<", "<=", ">", ">=")
            values = VALUES if sign in ("=", "<>") else _ORDERED
            return self._either(self.path("ab"), self.operand(values), f" {sign} ")
        if kind == "between":
            return f"{self.path()} BETWEEN {' AND '.join(self._bounds(self._one(*_ORDERS)))}"
        if kind == "in":
            return f"{self.path('ab')} IN ({', '.join(self.operand() for _ in range(self._one(1, 2, 3)))})"
        if kind in ("and", "or"):
            return f"{self.condition(depth - 1)} {self._one(kind, kind.upper())} {self.condition(depth - 1)}"
        if kind == "not":
            return f"NOT {self.condition(depth - 1)}"
        return f"({self.condition(depth - 1)})" if kind == "()" else self._function()

    def _either(self, a, b, between):
        return between.join((a, b) if self._draw(st.booleans()) else (b, a))

    def _bounds(self, values):
        """Names of two values, the lower one first, most times."""
        low, high = (self._draw(values) for _ in range(2))
        if _inner(low) > _inner(high) and not _seldom(self._draw):
            low, high = high, low
        return self.value(st.just(low)), self.value(st.just(high))

    def _function(self):
        name = self._one("attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains")
        if name.endswith("exists"):
            return f"{name}({self.path()})"
        values = {"attribute_type": _KINDS, "begins_with": _PREFIXES, "contains": VALUES}[name]
        return f"{name}({self.path()}, {self.value(values)})"

    def _tops(self, most):
        """Names of different attributes: paths that do not overlap, most times."""
        return self._draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=most, unique=not _seldom(self._draw, 15)))

    def projection(self):
        return ", ".join(self.path(name) for name in self._tops(3))

    def update(self):
        made = {}
        for name in self._tops(3):
            fitting = {"a": ("SET", "ADD", "REMOVE"), "d": ("SET", "ADD", "DELETE", "REMOVE")}.get(name, ("SET", "SET", "REMOVE"))
            clause = self._one(*fitting) if not _seldom(self._draw) else self._one("SET", "REMOVE", "ADD", "DELETE")
            made.setdefault(clause, []).append(self._action(clause, self.path(name)))
        return " ".join(f"{clause} {', '.join(actions)}" for clause, actions in made.items())

    def _action(self, clause, path):
        if clause == "SET":
            return f"{path} = {self._sum()}"
        return path if clause == "REMOVE" else f"{path} {self.value(_NUMBER if clause == 'ADD' and 'a' in path else _sets)}"

    def _sum(self):
        kind = self._one("value", "value", "value", "path", "+", "-", "if", "if+", "append")
        if kind == "value":
            return self.value()
        if kind == "path":
            return self.path()
        if kind in "+-":
            return self._either(self.path("a"), self.value(_NUMBER), f" {kind} ")
        if kind == "if":
            return f"if_not_exists({self.path()}, {self.value()})"
        if kind == "if+":
            return f"if_not_exists({self.path('ae')}, {self.value(_NUMBER)}) + {self.value(_NUMBER)}"
        old = self.path("b") if self._draw(st.booleans()) else f"if_not_exists({self.path('be')}, {self.value(_LIST)})"
        return f"list_append({self._either(old, self.value(_LIST), ', ')})"

    def key_condition(self, key):
        types = TYPES[self._table]
        part = f"{self.name([key[0]])} = {self.value(_KEY_VALUES[types[key[0]]])}"
        if len(key) == 1 or self._draw(st.booleans()):
            return part
        values, sort = _KEY_VALUES[types[key[1]]], self.name([key[1]])
        sign = self._one("=", "<", "<=", ">", ">=", "between", "begins_with")
        if sign == "between":
            return f"{part} AND {sort} BETWEEN {' AND '.join(self._bounds(values))}"
        if sign == "begins_with":
            return f"{part} AND begins_with({sort}, {self.value(values)})"
        return f"{part} AND {sort} {sign} {self.value(values)}"

    @property
    def members(self):
        made = {"ExpressionAttributeNames": self.names, "ExpressionAttributeValues": self.values}
        return {name: given for name, given in made.items() if given}


def _write(draw, table, kind):
    """Put, Delete, Update or ConditionCheck: its members but for TableName and ReturnValues."""
    made = {"Item": _item(draw, table)} if kind == "Put" else {"Key": _key(draw, table)}
    texts = Expressions(draw, table)
    if kind == "Update" and not _seldom(draw, 30):
        made["UpdateExpression"] = texts.update()
    if kind == "ConditionCheck" or draw(st.integers(0, 2)) == 0:
        made["ConditionExpression"] = texts.condition()
        made["ReturnValuesOnConditionCheckFailure"] = draw(st.sampled_from(["ALL_OLD", "NONE"]))
    return {**made, **texts.members}


@st.composite
def _single(draw):
    table, kind = draw(st.sampled_from(sorted(TABLES))), draw(st.sampled_from(["Put", "Put", "Update", "Update", "Delete"]))
    kinds = ["NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW"]
    returns = draw(st.sampled_from(kinds if kind == "Update" or _seldom(draw) else kinds[:2]))
    return f"{kind.lower()}_item", {"TableName": table, "ReturnValues": returns, **_write(draw, table, kind)}


@st.composite
def _get(draw):
    table = draw(st.sampled_from(sorted(TABLES)))
    texts = Expressions(draw, table)
    more = {"ProjectionExpression": texts.projection()} if draw(st.booleans()) else {}
    return "get_item", {"TableName": table, "Key": _key(draw, table), **more, **texts.members}


@st.composite
def _range(draw):
    """A Query or a Scan."""
    operation, table = draw(st.sampled_from(["query", "scan"])), draw(st.sampled_from(sorted(TABLES)))
    index = draw(st.sampled_from(["", *INDEXES[table]]))
    key = KEYS[index] if index else KEYS[""][table]
    made, texts = {"TableName": table, **({"IndexName": index} if index else {})}, Expressions(draw, table)
    if operation == "query":
        made |= {"KeyConditionExpression": texts.key_condition(key), "ScanIndexForward": draw(st.booleans())}
    if draw(st.booleans()):
        made["FilterExpression"] = texts.condition()
    if draw(st.integers(0, 2)) == 0:
        made["ProjectionExpression"] = texts.projection()
    elif _seldom(draw, 5):
        made["Select"] = draw(st.sampled_from(["COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES"]))
    if operation == "query" and draw(st.integers(0, 3)) == 0:
        made["Limit"] = draw(st.integers(1, 3))
    return operation, {**made, **texts.members}


def _once(table, requests, key_of):
    """Requests, one for each key."""
    return list({repr([key_of(each).get(name) for name in KEYS[""][table]]): each for each in requests}.values())


def _placed(action):
    """Table and key of a transaction's action."""
    ((_, given),) = action.items()
    key = given["Key"] if "Key" in given else given["Item"]
    return given["TableName"], repr([key.get(name) for name in KEYS[""][given["TableName"]]])


@st.composite
def _batch_write(draw):
    made = {}
    for table in draw(st.lists(st.sampled_from(sorted(TABLES)), min_size=1, max_size=2, unique=True)):
        made[table] = [
            {"PutRequest": {"Item": _item(draw, table)}} if draw(st.booleans()) else {"DeleteRequest": {"Key": _key(draw, table)}}
            for _ in range(draw(st.integers(1, 3)))]
        if not _seldom(draw):
            made[table] = _once(table, made[table], lambda each: next(iter(next(iter(each.values())).values())))
    return "batch_write_item", {"RequestItems": made}


@st.composite
def _batch_get(draw):
    made = {}
    for table in draw(st.lists(st.sampled_from(sorted(TABLES)), min_size=1, max_size=2, unique=True)):
        texts = Expressions(draw, table)
        projection = {"ProjectionExpression": texts.projection()} if _seldom(draw, 3) else {}
        keys = [_key(draw, table) for _ in range(draw(st.integers(1, 3)))]
        made[table] = {"Keys": keys if _seldom(draw) else _once(table, keys, lambda key: key), **projection, **texts.members}
    return "batch_get_item", {"RequestItems": made}


@st.composite
def _transact_write(draw):
    made = []
    for _ in range(draw(st.integers(1, 3))):
        table = draw(st.sampled_from(sorted(TABLES)))
        kind = draw(st.sampled_from(["Put", "Update", "Delete", "ConditionCheck"]))
        made.append({kind: {"TableName": table, **_write(draw, table, kind)}})
    if not _seldom(draw):
        made = list({_placed(each): each for each in made}.values())
    return "transact_write_items", {"TransactItems": made}


@st.composite
def _transact_get(draw):
    made = []
    for _ in range(draw(st.integers(1, 3))):
        table = draw(st.sampled_from(sorted(TABLES)))
        made.append({"Get": {"TableName": table, "Key": _key(draw, table)}})
    if not _seldom(draw):
        made = list({_placed(each): each for each in made}.values())
    return "transact_get_items", {"TransactItems": made}


@st.composite
def _puts(draw):
    """An item in each table, so that there is something."""
    return [("put_item", {"TableName": table, "Item": _item(draw, table)}) for table in TABLES for _ in range(2)]


CALL = st.one_of(
    _single(), _single(), _single(), _get(), _range(), _range(), _batch_write(), _batch_get(), _transact_write(), _transact_get())
CALLS = st.builds(lambda puts, calls: puts + calls, _puts(), st.lists(CALL, min_size=4, max_size=12))


def _call(operation, **members):
    return st.tuples(st.just(operation), st.fixed_dictionaries(members))


_NAMES, _ATTRIBUTE_NAMES = st.sampled_from(["aaa", "bbb"]), st.sampled_from("pqr")
_UNITS = st.fixed_dictionaries({"ReadCapacityUnits": st.integers(1, 3), "WriteCapacityUnits": st.integers(1, 3)})
_SPECIFICATION = st.sampled_from([{"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}, {"StreamEnabled": False}])


@st.composite
def _schema(draw, first=None):
    names = draw(st.lists(_ATTRIBUTE_NAMES, min_size=1, max_size=2, unique=not _seldom(draw)))
    if first is not None and not _seldom(draw):
        names = [first, *(name for name in "pqr" if name != first)][:2]
    kinds = ["HASH", "RANGE"] if not _seldom(draw) else ["RANGE", "HASH"]
    return [{"AttributeName": name, "KeyType": kind} for name, kind in zip(names, kinds, strict=False)]


@st.composite
def _index(draw, first=None, units=True):
    kind = draw(st.sampled_from(["ALL", "KEYS_ONLY", "INCLUDE"]))
    included = {"NonKeyAttributes": ["x"]} if (kind == "INCLUDE") is not _seldom(draw) else {}
    made = {"IndexName": draw(st.sampled_from(["one", "two"])), "KeySchema": draw(_schema(first)), "Projection": {"ProjectionType": kind, **included}}
    return {**made, **({"ProvisionedThroughput": draw(_UNITS)} if units else {})}


@st.composite
def _create(draw):
    key, on_demand = draw(_schema()), draw(st.booleans())
    made = {"TableName": draw(_NAMES), "KeySchema": key, "BillingMode": "PAY_PER_REQUEST" if on_demand else "PROVISIONED"}
    if on_demand is _seldom(draw):
        made["ProvisionedThroughput"] = draw(_UNITS)
    if draw(st.integers(0, 2)) == 0:
        made["LocalSecondaryIndexes"] = draw(st.lists(_index(key[0]["AttributeName"], units=False), max_size=2, unique_by=repr))
    if draw(st.integers(0, 2)) == 0:
        made["GlobalSecondaryIndexes"] = draw(st.lists(_index(units=not on_demand), max_size=2, unique_by=repr))
    used = {each["AttributeName"] for schema in [key, *(index["KeySchema"] for kind in ("Local", "Global") for index in made.get(f"{kind}SecondaryIndexes", []))] for each in schema}
    if _seldom(draw):
        used = used ^ {draw(_ATTRIBUTE_NAMES)}
    made["AttributeDefinitions"] = [{"AttributeName": name, "AttributeType": draw(st.sampled_from("SNB"))} for name in sorted(used)]
    if draw(st.integers(0, 3)) == 0:
        made["StreamSpecification"] = draw(_SPECIFICATION)
    return "create_table", made


TABLE_CALLS = st.lists(st.one_of(
    _create(), _create(), _call("describe_table", TableName=_NAMES), _call("delete_table", TableName=_NAMES), _call("list_tables"),
    _call("update_table", TableName=_NAMES, StreamSpecification=_SPECIFICATION), _call("update_table", TableName=_NAMES, ProvisionedThroughput=_UNITS, BillingMode=st.just("PROVISIONED")),
    _call("update_table", TableName=_NAMES, BillingMode=st.just("PAY_PER_REQUEST")), _call("update_table", TableName=_NAMES, DeletionProtectionEnabled=st.booleans()),
    _call("update_table", TableName=_NAMES, GlobalSecondaryIndexUpdates=st.just([{"Delete": {"IndexName": "one"}}])),
    _call("update_time_to_live", TableName=_NAMES, TimeToLiveSpecification=st.fixed_dictionaries({"Enabled": st.booleans(), "AttributeName": st.just("until")})),
    _call("describe_time_to_live", TableName=_NAMES),
), min_size=2, max_size=10)
