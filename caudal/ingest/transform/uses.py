"""Whether a user's function reads a column, as far as its code tells."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from caudal.contract import UserFunction

_READERS = ("get", "pop", "column", "setdefault")
_DEPTH = 3


class Mention(NamedTuple):
    """A place where a function names a column."""

    where: str
    """File and line."""
    certain: bool
    """Whether it takes the column from what it is given; otherwise the name only stands there."""


def mention(function: UserFunction, column: str) -> Mention | None:
    """Where the function first names the column, a certain place before others; None if it does not, as far as one can see."""
    found = list(_mentions(_plain(function.function), column, _DEPTH))
    if function.each == "lambda":  # it is given an event, in which the column is deep inside
        found = [Mention(place.where, certain=False) for place in found]
    return min(found, key=lambda place: not place.certain) if found else None


def _plain(function: Any) -> Any:
    """The function behind decorators, `partial` and objects that are called."""
    while isinstance(function, partial):
        function = function.func
    function = inspect.unwrap(function)
    return function if hasattr(function, "__code__") else type(function).__call__


def _mentions(function: Any, column: str, depth: int) -> Iterator[Mention]:
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        return
    tree = _tree(function)
    if tree is not None:
        yield from _in_tree(tree, column, code, certain=depth == _DEPTH)
    elif any(_word(column).search(text) for text in _texts(code)):
        yield Mention(_where(code, 1), certain=False)
    for name in code.co_names if depth else ():
        called = getattr(function, "__globals__", {}).get(name)
        if isinstance(called, FunctionType) and called.__module__ == function.__module__ and called is not function:
            yield from _mentions(called, column, depth - 1)


def _in_tree(tree: ast.AST, column: str, code: CodeType, certain: bool) -> Iterator[Mention]:
    given = next((name for name in code.co_varnames[: code.co_argcount] if name not in ("self", "cls")), "")
    taken = {id(_taken(node, given)) for node in ast.walk(tree)}
    said = {id(_docstring(node)) for node in ast.walk(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            if _word(column).search(node.value):
                yield Mention(_where(code, node.lineno), certain and node.value == column and id(node) in taken)
        elif column in (getattr(node, "attr", ""), getattr(node, "arg", "")):  # row.qty, f(qty=…), def f(qty)
            yield Mention(_where(code, getattr(node, "lineno", 1)), certain=False)


def _docstring(node: ast.AST) -> ast.expr | None:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and isinstance(node.body[0], ast.Expr):
        return node.body[0].value
    return None


def _word(column: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(column)}(?!\w)")


def _taken(node: ast.AST, given: str) -> ast.expr | None:
    """The x of `given[x]` and `given.get(x)`."""
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load | ast.Del) and _is(node.value, given):
        return node.slice
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _READERS:
        return node.args[0] if node.args and _is(node.func.value, given) else None
    return None


def _is(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _tree(function: Any) -> ast.AST | None:
    """The function's code; None where it cannot be had, as of a lambda in the middle of others."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return None
    if function.__name__ != "<lambda>":
        return tree
    lambdas = [node for node in ast.walk(tree) if isinstance(node, ast.Lambda)]
    return lambdas[0] if len(lambdas) == 1 else None


def _texts(code: CodeType) -> set[str]:
    inner = [part for part in code.co_consts if isinstance(part, CodeType)]
    names = {part for part in code.co_consts if isinstance(part, str)}
    names |= {name for part in code.co_consts if isinstance(part, tuple) for name in part if isinstance(name, str)}
    return names.union(*map(_texts, inner))


def _where(code: CodeType, line: int) -> str:
    return f"{Path(code.co_filename).name}:{code.co_firstlineno + line - 1}"
