"""The grammar of Athena's DDL, which is Hive's."""

from functools import cache
from typing import Any

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedInput

from caudal.errors import QueryError

_GRAMMAR = r"""
?start: create_database | drop_database | create_table | create_table_as | create_view | drop_view | drop_table | alter | repair

create_database: "CREATE"i ("DATABASE"i | "SCHEMA"i) if_not_exists? name comment? location? ("WITH"i "DBPROPERTIES"i props)?
drop_database: "DROP"i ("DATABASE"i | "SCHEMA"i) if_exists? name (CASCADE | "RESTRICT"i)?
create_table: "CREATE"i EXTERNAL? "TABLE"i if_not_exists? name "(" columns ")" _clause*
create_table_as: "CREATE"i "TABLE"i if_not_exists? name ("WITH"i assigned)?
create_view: "CREATE"i OR_REPLACE? "VIEW"i name
drop_view: "DROP"i "VIEW"i if_exists? name
drop_table: "DROP"i "TABLE"i if_exists? name
repair: "MSCK"i "REPAIR"i "TABLE"i name
alter: "ALTER"i "TABLE"i name _action

_clause: comment | partitioned | serde | serde_properties | delimited | stored | formats | location | table_properties
comment: "COMMENT"i STRING
partitioned: "PARTITIONED"i "BY"i "(" (columns | transforms) ")"
transforms: partitioner ("," partitioner)*
partitioner: word | WORD "(" _argument ("," _argument)* ")"
_argument: NUMBER | word
serde: "ROW"i "FORMAT"i "SERDE"i STRING
serde_properties: "WITH"i "SERDEPROPERTIES"i props
delimited: "ROW"i "FORMAT"i "DELIMITED"i _separator*
_separator: fields | escaped | items | map_keys | lines | nulls
fields: "FIELDS"i "TERMINATED"i "BY"i STRING
escaped: "ESCAPED"i "BY"i STRING
items: "COLLECTION"i "ITEMS"i "TERMINATED"i "BY"i STRING
map_keys: "MAP"i "KEYS"i "TERMINATED"i "BY"i STRING
lines: "LINES"i "TERMINATED"i "BY"i STRING
nulls: "NULL"i "DEFINED"i "AS"i STRING
stored: "STORED"i "AS"i NAME
formats: "STORED"i "AS"i "INPUTFORMAT"i STRING "OUTPUTFORMAT"i STRING
location: "LOCATION"i STRING
table_properties: "TBLPROPERTIES"i props

_action: add_partitions | drop_partitions | add_columns | replace_columns | set_properties | set_location | unset_properties
    | drop_column | change_column | rename_to
add_partitions: "ADD"i if_not_exists? place+
place: partition location?
drop_partitions: "DROP"i if_exists? partition ("," partition)*
partition: "PARTITION"i "(" equal ("," equal)* ")"
equal: word "=" (STRING | NUMBER)
add_columns: "ADD"i "COLUMNS"i "(" columns ")"
replace_columns: "REPLACE"i "COLUMNS"i "(" columns ")"
set_properties: "SET"i "TBLPROPERTIES"i props
set_location: partition? "SET"i location
unset_properties: "UNSET"i "TBLPROPERTIES"i "(" STRING ("," STRING)* ")"
drop_column: "DROP"i "COLUMN"i word
change_column: "CHANGE"i "COLUMN"i? word column (FIRST | after)?
after: "AFTER"i word
rename_to: "RENAME"i "TO"i name

columns: column ("," column)*
column: word type ("COMMENT"i STRING)?
type: WORD size? -> simple
    | WORD "<" _inner ("," _inner)* ">" -> nested
_inner: type | field
size: "(" NUMBER ("," NUMBER)* ")"
field: word ":" type
props: "(" pair ("," pair)* ")"
pair: STRING "=" STRING
assigned: "(" setting ("," setting)* ")"
setting: word "=" (STRING | NUMBER | array | WORD)
array: "ARRAY"i "[" STRING ("," STRING)* "]"
if_not_exists: "IF"i "NOT"i "EXISTS"i
if_exists: "IF"i "EXISTS"i
name: word ("." word)*
word: WORD | QUOTED
NAME: WORD
EXTERNAL: "EXTERNAL"i
FIRST: "FIRST"i
CASCADE: "CASCADE"i
OR_REPLACE: /OR\s+REPLACE/i
WORD: /[a-z_][\w]*/i
QUOTED: /`[^`]+`|"[^"]+"/
STRING: /'(?:[^'\\]|\\.|'')*'/s
NUMBER: /-?\d+(\.\d+)?/
COMMENT: /--[^\n]*|\/\*.*?\*\//s
%import common.WS
%ignore WS
%ignore COMMENT
"""
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "Z": "\x1a"}


def parsed(sql: str) -> tuple[str, dict[str, Any]]:
    """The kind of a statement, and its parts by their names in the grammar. Raises QueryError."""
    try:
        tree = _parser().parse(sql)
    except UnexpectedInput as error:
        line, column = getattr(error, "line", -1), getattr(error, "column", -1)
        where = {"line": line, "column": column} if line > 0 else {}
        raise QueryError("FAILED: ParseException: the statement is not as its grammar has it",
                         hint="names in backticks, text in single quotes", **where) from None
    made: tuple[str, dict[str, Any]] = _Parts().transform(tree)
    return made


@cache
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="earley", lexer="dynamic", maybe_placeholders=False)


def _text(token: str) -> str:
    """What a literal says: Hive's escapes, and doubled quotes."""
    inner, made, at = token[1:-1], [], 0
    while at < len(inner):
        if inner[at] == "\\" and inner[at + 1 : at + 2] == "u":
            made.append(chr(int(inner[at + 2 : at + 6], 16)))
            at += 6
        elif inner[at] == "\\" and inner[at + 1 : at + 4].isdigit() and len(inner[at + 1 : at + 4]) == 3:
            made.append(chr(int(inner[at + 1 : at + 4], 8)))
            at += 4
        elif inner[at] == "\\":
            made.append(_ESCAPES.get(inner[at + 1], inner[at + 1]))
            at += 2
        else:
            made.append(inner[at])
            at += 2 if inner[at] == "'" else 1
    return "".join(made)


@v_args(inline=True)
class _Parts(Transformer):  # type: ignore[type-arg]
    """The tree as plain values."""

    def STRING(self, token: Token) -> str:
        return _text(token)

    def word(self, token: Token) -> str:
        return str(token).strip('`"').lower()

    def name(self, *words: str) -> tuple[str, Any]:
        return "name", list(words)

    def size(self, *numbers: Token) -> str:
        return f"({','.join(numbers)})"

    def simple(self, word: Token, size: str = "") -> str:
        return f"{word.lower()}{size}"

    def nested(self, word: Token, *inner: str) -> str:
        return f"{word.lower()}<{','.join(inner)}>"

    def column(self, name: str, kind: str, comment: str = "") -> dict[str, str]:
        return {"Name": name, "Type": kind, **({"Comment": comment} if comment else {})}

    def columns(self, *columns: dict[str, str]) -> list[dict[str, str]]:
        return list(columns)

    def pair(self, name: str, value: str) -> tuple[str, str]:
        return name, value

    def setting(self, name: str, value: Any) -> tuple[str, Any]:
        return name, value if isinstance(value, list) else str(value)

    def equal(self, name: str, value: Any) -> tuple[str, str]:
        return name, str(value)

    def props(self, *pairs: tuple[str, str]) -> dict[str, str]:
        return dict(pairs)

    def array(self, *values: str) -> list[str]:
        return list(values)

    def assigned(self, *settings: tuple[str, Any]) -> tuple[str, Any]:
        return "settings", dict(settings)

    def partition(self, *equals: tuple[str, str]) -> tuple[str, Any]:
        return "partition", dict(equals)

    def partitioner(self, function: str, *arguments: str) -> str:
        return f"{function}({', '.join(arguments)})" if arguments else str(function)

    def transforms(self, *parts: str) -> list[str]:
        return list(parts)

    def unset_properties(self, *names: str) -> tuple[str, Any]:
        return "unset_properties", list(names)

    def change_column(self, old: str, new: dict[str, str], where: Any = None) -> tuple[str, Any]:
        return "change_column", (old, new, where if where is None or isinstance(where, tuple) else ("first", ""))

    def rename_to(self, name: tuple[str, Any]) -> tuple[str, Any]:
        return "rename_to", name[1]

    def place(self, *parts: tuple[str, Any]) -> dict[str, Any]:
        return dict(parts)

    def field(self, name: str, kind: str) -> str:
        return f"{name}:{kind}"

    def __default__(self, data: Any, children: list[Any], meta: Any) -> Any:
        if data in ("if_not_exists", "if_exists"):
            return "lenient", True
        if data in _STATEMENTS:
            parts = [child if isinstance(child, tuple) else (str(child).split()[0].lower(), True) if isinstance(child, Token)
                     else ("columns", child) for child in children]
            return str(data), dict(parts)
        if data == "set_location":
            return str(data), dict(children)
        if data in ("add_partitions", "drop_partitions"):
            places = [child for child in children if child != ("lenient", True)]
            each = [place if isinstance(place, dict) else {"partition": place[1]} for place in places]
            return str(data), {"lenient": ("lenient", True) in children, "parts": each}
        if data == "delimited":
            return str(data), dict(children)
        return str(data), children[0] if len(children) == 1 else children


_STATEMENTS = {"create_database", "drop_database", "create_table", "create_table_as", "create_view", "drop_view", "drop_table",
               "repair", "alter"}
