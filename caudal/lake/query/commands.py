"""Statements beside SELECT that Athena knows and that only read: SHOW, DESCRIBE, EXPLAIN, and prepared statements."""

import re
from dataclasses import dataclass

from caudal.errors import QueryError
from caudal.lake.query.check import near, parse
from caudal.lake.query.parameters import parameters_of, with_parameters
from caudal.lake.query.patterns import wildcards
from caudal.lake.query.written import place

_NAME = r'(?:"[^"]+"|`[^`]+`|[\w$-]+)'
_TABLE = rf"(?P<table>{_NAME}(?:\.{_NAME}){{0,2}})"
_IN = rf"(?:\s+(?:IN|FROM)\s+(?P<database>{_NAME}(?:\.{_NAME})?))?"
_LIKE = r"(?:\s+(?:LIKE\s+)?'(?P<pattern>[^']*)')?"

_FORMS: dict[str, str] = {
    "tables": rf"SHOW\s+TABLES{_IN}{_LIKE}",
    "views": rf"SHOW\s+VIEWS{_IN}{_LIKE}",
    "databases": rf"SHOW\s+(?:DATABASES|SCHEMAS){_IN}{_LIKE}",
    "columns": rf"SHOW\s+COLUMNS\s+(?:IN|FROM)\s+{_TABLE}{_IN}",
    "partitions": rf"SHOW\s+PARTITIONS\s+{_TABLE}",
    "create table": rf"SHOW\s+CREATE\s+TABLE\s+{_TABLE}",
    "create view": rf"SHOW\s+CREATE\s+VIEW\s+{_TABLE}",
    "describe": rf"(?:DESCRIBE|DESC)(?:\s+(?P<formatted>EXTENDED|FORMATTED))?\s+{_TABLE}(?:\s+(?P<column>{_NAME}))?",
    "explain": r"EXPLAIN\s+(?:\((?:\s*(?:TYPE\s+(?:LOGICAL|DISTRIBUTED)|FORMAT\s+TEXT)\s*,?)+\)\s*)?(?P<sql>.+)",
    "prepare": rf"PREPARE\s+(?P<name>{_NAME})\s+FROM\s+(?P<sql>.+)",
    "execute": rf"EXECUTE\s+(?P<name>{_NAME})(?:\s+USING\s+(?P<sql>.+))?",
    "deallocate": rf"DEALLOCATE\s+PREPARE\s+(?P<name>{_NAME})",
}
_COMPILED = {kind: re.compile(form, re.IGNORECASE | re.DOTALL) for kind, form in _FORMS.items()}
_WORDS = {"SHOW", "DESCRIBE", "DESC", "EXPLAIN", "PREPARE", "EXECUTE", "DEALLOCATE"}
_SPACE = re.compile(r"(?:\s+|--[^\n]*(?:\n|$)|/\*.*?\*/)*", re.DOTALL)


@dataclass(frozen=True)
class Command:
    """One such statement."""

    kind: str
    """A key of the forms above."""
    table: str = ""
    """Its name, in lower case and without its database."""
    qualifier: tuple[str, ...] = ()
    """What was written before the table, or after IN: catalog and database."""
    column: str = ""
    pattern: str = ""
    formatted: bool = False
    name: str = ""
    """Of the prepared statement."""
    sql: str = ""
    """The query that is explained or prepared; the values of EXECUTE, separated by commas."""


def command_of(text: str) -> Command | None:
    """The command that a text is, or None if it starts as none does. Raises QueryError for one that is not well formed."""
    start = _SPACE.match(text)
    rest = text[start.end() if start else 0 :]
    first = re.match(r"\w+", rest)
    if first is None or first.group().upper() not in _WORDS:
        return None
    rest = rest.rstrip().removesuffix(";").rstrip()
    word = first.group().upper()
    for kind, form in _COMPILED.items():
        match = form.fullmatch(rest)
        if match:
            return _command(kind, {name: value or "" for name, value in match.groupdict().items()})
    forms = {"SHOW": "SHOW TABLES, VIEWS, DATABASES, SCHEMAS, COLUMNS IN t, PARTITIONS t, CREATE TABLE t, CREATE VIEW t",
             "EXPLAIN": "EXPLAIN SELECT …", "PREPARE": "PREPARE name FROM SELECT …", "EXECUTE": "EXECUTE name USING 1, 'a'",
             "DEALLOCATE": "DEALLOCATE PREPARE name"}
    raise QueryError(f"syntax error: {word} is not followed by what it may be",
                     hint=f"there is {forms.get(word, 'DESCRIBE [FORMATTED] table [column]')}",
                     **place(text, len(text) - len(text.lstrip())))


def _command(kind: str, found: dict[str, str]) -> Command:
    *qualifier, table = [_plain(name) for name in re.findall(_NAME, found.get("table", ""))] or [""]
    qualifier += [_plain(name) for name in re.findall(_NAME, found.get("database", ""))]
    return Command(
        kind, table, tuple(qualifier), _plain(found.get("column", "")), found.get("pattern", ""), bool(found.get("formatted")),
        _plain(found.get("name", "")), found.get("sql", ""),
    )


def _plain(name: str) -> str:
    return name.strip('"`').lower()


def matching(names: list[str], pattern: str) -> list[str]:
    """The names that a pattern of SHOW means: `*` is any text, `|` is or; all of them without a pattern."""
    if not pattern:
        return names
    form = re.compile("|".join(wildcards(one, "*") for one in pattern.split("|")), re.IGNORECASE)
    return [name for name in names if form.fullmatch(name)]


class Prepared:
    """The statements that were prepared, by name; as long as the engine is open."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def keep(self, command: Command) -> None:
        """Remember a statement in place of any of the same name. Raises QueryError for one that may not run."""
        if command_of(command.sql) is not None:
            raise QueryError("only a query can be prepared", hint="PREPARE name FROM SELECT …")
        parse(with_parameters(command.sql, ["NULL"] * parameters_of(command.sql)))
        self._known[command.name] = command.sql

    def forget(self, command: Command) -> None:
        self.text(command)
        self._known.pop(command.name, None)

    def text(self, command: Command) -> str:
        """The statement. Raises QueryError if there is none of that name."""
        if command.name not in self._known:
            raise QueryError(f"no prepared statement {command.name}", hint=near(command.name, sorted(self._known)))
        return self._known[command.name]
