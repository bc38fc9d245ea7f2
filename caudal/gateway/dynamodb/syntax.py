"""From an expression's text to its tree, by the grammar in expressions.lark. An application has few: they are kept."""

from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, NamedTuple

from lark import Lark, Token, Transformer, UnexpectedInput, v_args
from lark.exceptions import VisitError

from caudal.gateway.dynamodb.values import invalid
from caudal.gateway.faults import AwsError

EXPRESSION_BYTES, OPERATORS = 4096, 300
"""The longest expression, and the most operators and functions in one."""

Steps = tuple[str | int, ...]
"""Names (`#n` for an alias) and places in lists."""


class Path(NamedTuple):
    """A document path, as it is written."""

    steps: Steps


class Value(NamedTuple):
    """A value's name, `:v`."""

    name: str


class Call(NamedTuple):
    """A function of operands; also an operator, by its sign, and a parenthesis as `()`."""

    name: str
    operands: tuple[Any, ...]


Node = Path | Value | Call


class Section(NamedTuple):
    """A section of an update expression: its clause, and (path, node) pairs; None for REMOVE's node."""

    clause: str
    actions: tuple[tuple[Path, Node | None], ...]


@v_args(inline=True)
class _Tree(Transformer[Token, Any]):
    """Makes nodes while the text is parsed."""

    def condition(self, node: Node) -> Node:
        return node

    def projection(self, *paths: Path) -> tuple[Path, ...]:
        return paths

    def update(self, *sections: Section) -> tuple[Section, ...]:
        for clause in ("SET", "REMOVE", "ADD", "DELETE"):
            if sum(section.clause == clause for section in sections) > 1:
                raise invalid(f'The "{clause}" section can only be used once in an update expression;')
        return sections

    def _joined(self, name: str, given: Sequence[Any]) -> Node:
        return Call(name, tuple(node for node in given if not isinstance(node, Token)))

    def negation(self, _: Token, node: Node) -> Node:
        return Call("NOT", (node,))

    def comparison(self, a: Node, sign: Token, b: Node) -> Node:
        return Call(str(sign), (a, b))

    def between(self, value: Node, _: Token, low: Node, __: Token, high: Node) -> Node:
        return Call("BETWEEN", (value, low, high))

    def among(self, value: Node, _: Token, *given: Node) -> Node:
        return Call("IN", (value, *given))

    def predicate(self, function: Node) -> Node:
        return Call("?", (function,))

    def parenthesis(self, node: Node) -> Node:
        if isinstance(node, Call) and node.name == "()":
            raise invalid("The expression has redundant parentheses;")
        return Call("()", (node,))

    def value(self, token: Token) -> Node:
        return Value(str(token))

    def function(self, name: Token, *operands: Node) -> Node:
        return Call(str(name), operands)

    def path(self, *steps: str | int) -> Path:
        return Path(steps)

    def name(self, token: Token) -> str:
        if token.lower() in reserved_words():
            raise invalid(f"Attribute name is a reserved keyword; reserved keyword: {token}")
        return str(token)

    def index(self, token: Token) -> int:
        if len(token) > 9:
            raise invalid("List index is not within the allowable range;")
        return int(token)

    def set(self, _: Token, *actions: tuple[Path, Node]) -> Section:
        return Section("SET", actions)

    def remove(self, _: Token, *paths: Path) -> Section:
        return Section("REMOVE", tuple((path, None) for path in paths))

    def add(self, _: Token, *actions: tuple[Path, Node]) -> Section:
        return Section("ADD", actions)

    def delete(self, _: Token, *actions: tuple[Path, Node]) -> Section:
        return Section("DELETE", actions)

    def assignment(self, path: Path, _: Token, node: Node) -> tuple[Path, Node]:
        return path, node

    def arithmetic(self, a: Node, sign: Token, b: Node) -> Node:
        return Call(str(sign), (a, b))

    def change(self, path: Path, token: Token) -> tuple[Path, Node]:
        return path, Value(str(token))

    @v_args(inline=False)
    def and_(self, given: Sequence[Any]) -> Node:
        return self._joined("AND", given)

    @v_args(inline=False)
    def or_(self, given: Sequence[Any]) -> Node:
        return self._joined("OR", given)


@cache
def reserved_words() -> frozenset[str]:
    """The words that no name may be without an alias, in lower case."""
    return frozenset(files(__package__).joinpath("reserved.txt").read_text("utf-8").split())


@cache
def _parser() -> Lark:
    grammar = files(__package__).joinpath("expressions.lark").read_text("utf-8")
    start = ["condition", "projection", "update"]
    return Lark(grammar, parser="lalr", start=start, transformer=_Tree(), propagate_positions=False)


@lru_cache(4096)
def parse(start: str, text: str, parameter: str) -> Any:
    """The tree of an expression: a Node of a condition, paths of a projection, Sections of an update. Raises AwsError."""
    if not text.strip():
        raise invalid(f"Invalid {parameter}: The expression can not be empty;")
    if (size := len(text.encode("utf-8", "replace"))) > EXPRESSION_BYTES:
        told = f"Expression size has exceeded the maximum allowed size; expression size: {size}"
        raise invalid(f"Invalid {parameter}: {told}")
    try:
        tree = _parser().parse(text, start=start)
        operators = _operators(tree)
    except UnexpectedInput as error:
        raise invalid(f"Invalid {parameter}: Syntax error; {_where(text, error)}") from None
    except VisitError as error:
        if isinstance(error.orig_exc, AwsError):
            raise invalid(f"Invalid {parameter}: {error.orig_exc}") from None
        raise
    except AwsError as error:
        raise invalid(f"Invalid {parameter}: {error}") from None
    if operators > OPERATORS:
        told = f"The expression contains too many operators; operator count: {operators}"
        raise invalid(f"Invalid {parameter}: {told}")
    return tree


def _operators(tree: Any) -> int:
    """How many operators and functions a tree has; without recursion, for it may be deep."""
    count, waiting = 0, [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Call):
            count += node.name not in ("()", "?")
            waiting += node.operands
        elif isinstance(node, tuple) and not isinstance(node, Path | Value):
            waiting += node
    return count


def _where(text: str, error: UnexpectedInput) -> str:
    """The token that does not fit, and what stands around it."""
    place = error.pos_in_stream if error.pos_in_stream is not None else len(text)
    token = getattr(error, "token", None)
    if token is not None and token.type == "$END":
        return f'token: "<EOF>", near: "{text.split()[-1][-20:]}"'
    shown = str(token) if token is not None else text[place : place + 1]
    before = text[:place].split()[-1:]
    after = text[place + len(shown) :].split()[:1]
    near = " ".join([*before, shown, *after])
    return f'token: "{shown}", near: "{near}"'
