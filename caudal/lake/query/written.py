"""What the parser would take, and Athena does not: names of other engines' functions, and their shorthands.

The parser reads many dialects and keeps no trace of which one it met, so this looks at the words themselves.
"""

import re
from difflib import get_close_matches
from typing import Any

from sqlglot.tokens import TokenType

from caudal.errors import QueryError
from caudal.lake.query.allowed import FUNCTIONS_WRITTEN, UNSERVED

_BEFORE_PARENTHESIS = frozenset(
    """
    all and any array as asc between bigint boolean by case char cross cube date decimal desc distinct double else end except
    exists
    fetch filter following from full group having if in inner integer intersect interval is join lateral left like limit
    map natural not null offset on or order outer over partition preceding real recursive right rollup row select sets smallint
    some table
    then time timestamp tinyint union unnest using values varbinary varchar when where with within
    """.split()
)
"""Words that may stand before a parenthesis and call nothing."""

_ELSEWHERE = {
    "ifnull": "coalesce", "nvl": "coalesce", "len": "length", "char_length": "length", "string_agg": "listagg",
    "group_concat": "listagg",
    "instr": "strpos", "left": "substr", "right": "substr", "datediff": "date_diff", "dateadd": "date_add",
    "to_char": "date_format",
    "strftime": "date_format", "median": "approx_percentile", "list": "array_agg", "iff": "if", "ucase": "upper",
    "lcase": "lower",
    "getdate": "now", "date_part": "extract", "array_length": "cardinality", "list_contains": "contains",
    "array_contains": "contains",
    "explode": "UNNEST", "collect_list": "array_agg", "to_timestamp": "from_unixtime", "arg_max": "max_by", "arg_min": "min_by",
}
_SHORTHANDS = {
    TokenType.DCOLON: "write CAST(a AS type)", TokenType.CARET: "write bitwise_xor(a, b) or power(a, b)",
    TokenType.AMP: "write bitwise_and(a, b)",
    TokenType.PIPE: "write bitwise_or(a, b)", TokenType.NULLSAFE_EQ: "write IS NOT DISTINCT FROM",
    TokenType.L_BRACE: "write ROW(…) or MAP(…, …)",
    TokenType.RLIKE: "write regexp_like(a, b)", TokenType.ILIKE: "write lower(a) LIKE b", TokenType.QUALIFY: "put the window"
                                                                                                             " into a subquery",
    TokenType.GLOB: "write regexp_like(a, b)",
}
_VALUE = (TokenType.R_BRACKET, TokenType.R_PAREN, TokenType.ARRAY, TokenType.IDENTIFIER, TokenType.VAR)


def place(sql: str, offset: int) -> dict[str, int]:
    """Line and column, from 1, of an offset into the text."""
    before = sql[:offset]
    return {"line": before.count("\n") + 1, "column": offset - before.rfind("\n")}


def check_words(sql: str, tokens: list[Any]) -> None:
    """Refuse what Athena would not take. Raises QueryError."""
    for index, token in enumerate(tokens):
        hint = _SHORTHANDS.get(token.token_type) or _shorthand(tokens, index)
        if hint:
            raise QueryError(f"syntax error at {token.text}: Athena does not take it", hint=hint, **place(sql, token.start))
        if _calls(tokens, index) and token.text.lower() not in FUNCTIONS_WRITTEN:
            raise _unknown(sql, token)


def _shorthand(tokens: list[Any], index: int) -> str:
    token, before = tokens[index], tokens[index - 1] if index else None
    after = tokens[index + 1] if index + 1 < len(tokens) else None
    if token.token_type == TokenType.EQ and token.text == "==":
        return "write ="
    if token.token_type == TokenType.L_BRACKET and not _is_value(before):
        return "write ARRAY[…]"
    if token.token_type == TokenType.COMMA and after is not None and after.token_type == TokenType.FROM:
        return "leave the last comma out"
    if token.token_type == TokenType.INTERVAL and after is not None and after.token_type == TokenType.NUMBER:
        return f"write INTERVAL '{after.text}' and the unit"
    if token.token_type == TokenType.LIMIT and index + 2 < len(tokens) and tokens[index + 2].token_type == TokenType.OFFSET:
        return "write OFFSET before LIMIT"
    return ""


def _is_value(token: Any) -> bool:
    """Whether a subscript may follow."""
    if token is None or token.token_type in _VALUE:
        return token is not None
    return _is_word(token) and token.text.lower() not in _BEFORE_PARENTHESIS - {"row", "date"}


def _is_word(token: Any) -> bool:
    if token is None or token.token_type in (TokenType.STRING, TokenType.NUMBER):
        return False
    return re.fullmatch(r"\w+", token.text) is not None


def _calls(tokens: list[Any], index: int) -> bool:
    """Whether a word is a function's name: it stands before a parenthesis, and does not give columns their names."""
    token = tokens[index]
    if index + 1 >= len(tokens) or tokens[index + 1].token_type != TokenType.L_PAREN or not _is_word(token):
        return False
    if token.text.lower() in _BEFORE_PARENTHESIS:
        return False
    before = tokens[index - 1] if index else None
    if before is None or before.token_type in (TokenType.ALIAS, TokenType.R_PAREN, TokenType.WITH, TokenType.RECURSIVE):
        return before is None
    if before.token_type in (TokenType.VAR, TokenType.IDENTIFIER):
        return False  # an alias without AS
    return before.token_type != TokenType.COMMA or not _names_columns(tokens, index + 1)


def _names_columns(tokens: list[Any], start: int) -> bool:
    """Whether the parenthesis closes before AS (…, as that of a WITH name does."""
    for index in range(start, len(tokens) - 2):
        if tokens[index].token_type == TokenType.R_PAREN:
            return [token.token_type for token in tokens[index + 1 : index + 3]] == [TokenType.ALIAS, TokenType.L_PAREN]
    return False


def _unknown(sql: str, token: Any) -> QueryError:
    name = token.text.lower()
    if name in UNSERVED:
        return QueryError(f"NOT_SUPPORTED: function {name} is Athena's, and does not run here", hint="write it with others",
                          **place(sql, token.start))
    match = [_ELSEWHERE[name]] if name in _ELSEWHERE else get_close_matches(name, sorted(FUNCTIONS_WRITTEN), 1)
    hint = f"did you mean {match[0]}?" if match else "check its name in Athena's documentation"
    return QueryError(f"function {name} does not exist, or may not run", hint=hint, **place(sql, token.start))
