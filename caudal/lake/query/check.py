"""Whether a text is one read-only query, made of nothing but what `allowed` lists."""

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.dialects import Trino
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokens import TokenType

from caudal.errors import QueryError
from caudal.lake.query.allowed import FUNCTIONS, NAMED, SYNTAX, UNSERVED
from caudal.lake.query.written import check_words, place

_MAX_LENGTH = 1_000_000


class _AsWritten(Trino):  # type: ignore[misc]
    """Trino's SQL with subscripts as they are: sqlglot would count some from 0, and cannot tell later which."""

    INDEX_OFFSET = 0


_FIRST = (TokenType.SELECT, TokenType.WITH, TokenType.VALUES, TokenType.L_PAREN, TokenType.TABLE)
_READ_ONLY = "a query is one SELECT, WITH, UNION or VALUES"


@dataclass(frozen=True)
class Statement:
    """A query that may run, as text and as tree."""

    sql: str
    tree: Any
    """The tree of sqlglot, as parsed; copy it before changing it."""

    def place(self, node: Any) -> dict[str, int]:
        """Line and column, from 1, where the node starts; empty when unknown."""
        for found in (node, *node.find_all(exp.Identifier)):
            if "start" in found.meta:
                return place(self.sql, found.meta["start"])
        return {}

    def find(self, name: str) -> dict[str, int]:
        """Line and column of the first place where `name` is written; empty when it is not."""
        match = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", self.sql, re.IGNORECASE)
        return place(self.sql, match.start()) if match else {}


def near(name: str, known: Any) -> str:
    """A hint with the known name that is closest to `name`, or all of them."""
    match = get_close_matches(name.lower(), known, 1)
    if match:
        return f"did you mean {match[0]}?"
    return f"there is {', '.join(known)}" if known else "there is none"


def parse(sql: str) -> Statement:
    """Parse one query and refuse what it may not do. Raises QueryError."""
    if len(sql) > _MAX_LENGTH:
        raise QueryError("the query is longer than a million characters", hint="join with a table instead of listing values")
    tokens = _check_start(sql)
    try:
        trees = [tree for tree in sqlglot.parse(sql, read="athena", trino=_AsWritten()) if tree is not None]
    except ParseError as error:
        raise _syntax(sql, error) from None
    except RecursionError:
        raise QueryError("the query is nested too deeply", hint="use WITH to name its parts") from None
    if len(trees) != 1:
        raise QueryError("more than one statement", hint=_READ_ONLY)
    statement = Statement(sql, trees[0])
    if not isinstance(statement.tree, exp.Query | exp.Values):
        raise QueryError(f"{statement.tree.key} is not a query", hint=_READ_ONLY)
    for node in statement.tree.walk():
        _check(statement, node)
    check_words(sql, tokens)
    return statement


def tokens_of(sql: str) -> list[Any]:
    """The words of a text. Raises QueryError if there are none, or a quote is not closed."""
    try:
        tokens = sqlglot.tokenize(sql, read="athena")
    except TokenError as error:
        raise QueryError("a quote or comment is not closed", hint="close it", **_end(sql)) from error
    if not tokens:
        raise QueryError("the query is empty", hint=_READ_ONLY)
    return list(tokens)


def _check_start(sql: str) -> list[Any]:
    tokens = tokens_of(sql)
    if tokens[0].token_type not in _FIRST:
        first = next((token for token in tokens if token.text), tokens[0])
        raise QueryError(f"{first.text.upper()[:40]} may not run", hint=_READ_ONLY, **place(sql, first.start))
    for token in tokens:
        if token.token_type in (TokenType.PLACEHOLDER, TokenType.PARAMETER, TokenType.SESSION_PARAMETER) or (
            token.token_type == TokenType.VAR and token.text.startswith("$")
        ):
            raise QueryError(f"parameter {token.text} has no value", **place(sql, token.start),
                             hint="give one value for each ?: --param, parameters=[…], or EXECUTE … USING")
    return tokens


def _end(sql: str) -> dict[str, int]:
    return place(sql, len(sql.rstrip()))


def _syntax(sql: str, error: ParseError) -> QueryError:
    first = error.errors[0] if error.errors else {}
    text = str(first.get("highlight") or "").strip()
    what = re.sub(r" (but got|for) <.*", "", str(first.get("description") or "syntax error"), flags=re.DOTALL).rstrip(".").lower()
    if what.startswith("required keyword"):
        what = "something is missing after it"
    place = {}
    if first.get("line"):
        place = {"line": int(first["line"]), "column": max(1, int(first["col"]) - max(len(text), 1) + 1)}
    return QueryError(f"syntax error at {text}: {what}" if text else f"syntax error: {what}",
                      hint="check the words before that place", **place)


def _check(statement: Statement, node: Any) -> None:
    kind = type(node).__name__
    if isinstance(node, exp.Anonymous):
        if node.name.lower() not in NAMED:
            raise _unknown_function(statement, node.name.lower(), node)
    elif kind not in SYNTAX and kind not in FUNCTIONS:
        if isinstance(node, exp.Func):
            raise _unknown_function(statement, _function_name(node), node)
        raise QueryError(f"{_words(kind)} may not be part of a query", hint=_READ_ONLY, **statement.place(node))
    if isinstance(node, exp.Table):
        _check_table(statement, node)
    if isinstance(node, exp.Group) and "all" in node.args and node.args["all"] is not None:
        raise QueryError("GROUP BY ALL is not Athena's", hint="name the columns", **statement.place(node))
    if isinstance(node, exp.Join) and (node.kind not in ("", "INNER", "OUTER", "CROSS") or node.method not in ("", "NATURAL")):
        raise QueryError(f"{node.method or node.kind} JOIN is not Athena's", hint="write it with EXISTS, or a window",
                         **statement.place(node))
    if isinstance(node, exp.Distinct) and node.args.get("on"):
        raise QueryError("DISTINCT ON is not Athena's", hint="use row_number() in a subquery", **statement.place(node))
    if isinstance(node, exp.Star) and any(node.args.values()):
        raise QueryError("* takes no EXCEPT or REPLACE", hint="list the columns", **statement.place(node))
    if isinstance(node, exp.Select) and node.args.get("into"):
        raise QueryError("SELECT INTO may not run", hint=_READ_ONLY)


def _check_table(statement: Statement, table: Any) -> None:
    if not isinstance(table.this, exp.Identifier):
        name = _function_name(table.this)
        raise QueryError(f"{name}(...) is not a table", hint="FROM takes tables, subqueries and UNNEST(...)",
                         **statement.find(name))
    extra = {key for key, value in table.args.items() if value} - {"this", "db", "catalog", "alias", "joins", "sample", "version"}
    if extra:
        raise QueryError(f"{table.name}: {', '.join(sorted(extra))} may not follow a table", hint="use a plain table name",
                         **statement.place(table))


def _function_name(node: Any) -> str:
    name = node.name if isinstance(node, exp.Anonymous) else node.sql_name() if isinstance(node, exp.Func) else node.key
    return str(name).lower()


def _unknown_function(statement: Statement, name: str, node: Any) -> QueryError:
    where = statement.place(node) if isinstance(node, exp.Anonymous) else statement.find(name) or statement.place(node)
    if name in UNSERVED:
        return QueryError(f"NOT_SUPPORTED: function {name} is Athena's, and does not run here", hint="write it with others",
                          **where)
    match = get_close_matches(name, sorted(NAMED | _class_names()), 1)
    hint = f"did you mean {match[0]}?" if match else "check its name in Athena's documentation"
    return QueryError(f"function {name} does not exist, or may not run", hint=hint, **where)


def _class_names() -> set[str]:
    return {getattr(exp, kind).sql_name().lower() for kind in FUNCTIONS if issubclass(getattr(exp, kind), exp.Func)}


def _words(kind: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind).upper()
