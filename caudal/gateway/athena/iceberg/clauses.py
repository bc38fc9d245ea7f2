"""UPDATE, DELETE and MERGE, cut into their clauses; what is inside these stays as it was written."""

from dataclasses import dataclass, field
from typing import Any

from caudal.errors import QueryError
from caudal.lake.query.check import tokens_of
from caudal.lake.query.written import place


@dataclass(frozen=True)
class Branch:
    """One WHEN of a MERGE, or what an UPDATE or DELETE does to the rows of its WHERE."""

    matched: bool
    action: str
    """UPDATE, DELETE or INSERT."""
    condition: str = ""
    columns: tuple[str, ...] = ()
    """In lower case; of an INSERT empty if it names none."""
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Changing:
    """A statement that changes a table's rows."""

    table: tuple[str, ...]
    """The parts of its name, in lower case."""
    alias: str
    branches: list[Branch] = field(default_factory=list)
    source: str = ""
    """Of a MERGE: what follows USING."""
    source_alias: str = ""
    on: str = ""


class _Words:
    """The words of a statement, read from left to right."""

    def __init__(self, sql: str, first: str) -> None:
        self._sql, self._at = sql, 0
        self._tokens = tokens_of(sql[len(first) :].rjust(len(sql)))  # for the tokenizer knows nothing of OPTIMIZE

    def peek(self, ahead: int = 0) -> str:
        """A word to come, in upper case; empty at the end and for what is quoted."""
        if self._at + ahead >= len(self._tokens):
            return ""
        token = self._tokens[self._at + ahead]
        return "" if self._sql[token.start : token.start + 1] in ('"', "`", "'") else str(token.text.upper())

    @property
    def ended(self) -> bool:
        return self._at >= len(self._tokens)

    def take(self, *words: str) -> None:
        """Go past words that must come."""
        for word in words:
            if self.peek() != word:
                raise self.wrong(word)
            self._at += 1

    def has(self, *words: str) -> bool:
        """Go past words, if they come."""
        if any(self.peek(n) != word for n, word in enumerate(words)):
            return False
        self._at += len(words)
        return True

    def name(self) -> str:
        """A name, in lower case."""
        if self.ended or not str(self._tokens[self._at].text):
            raise self.wrong("a name")
        self._at += 1
        return str(self._tokens[self._at - 1].text).lower()

    def names(self) -> tuple[str, ...]:
        """Names with points between."""
        found = [self.name()]
        while self.has("."):
            found.append(self.name())
        return tuple(found)

    def until(self, *ends: str) -> str:
        """The text up to one of these words outside brackets and CASE, or to the end."""
        start, depth = self._at, 0
        while not self.ended:
            word = self.peek()
            if depth == 0 and word in ends:
                break
            depth += {"(": 1, "[": 1, "CASE": 1, ")": -1, "]": -1, "END": -1}.get(word, 0)
            if depth < 0:
                break
            self._at += 1
        if start == self._at:
            raise self.wrong("an expression")
        return self._sql[self._tokens[start].start : self._tokens[self._at - 1].end + 1]

    def bracket(self) -> str:
        """The text from a bracket that opens here to where it closes."""
        start = self._at
        self.take("(")
        self.until()
        self.take(")")
        return self._sql[self._tokens[start].start : self._tokens[self._at - 1].end + 1]

    def wrong(self, wanted: str) -> QueryError:
        at = self._tokens[self._at].start if not self.ended else len(self._sql)
        given = self.peek() if not self.ended else "<EOF>"
        return QueryError(f"mismatched input '{given}'. Expecting: {wanted}", hint="see the statement's grammar",
                          **place(self._sql, at))


def changing(sql: str, kind: str) -> Changing:
    """A statement of kind UPDATE, DELETE or MERGE in its parts. Raises QueryError."""
    words = _Words(sql, kind)
    made: dict[str, Any] = {"UPDATE": _update, "DELETE": _delete, "MERGE": _merge}
    found: Changing = made[kind](words)
    if not words.ended:
        raise words.wrong("<EOF>")
    return found


@dataclass(frozen=True)
class Upkeep:
    """An OPTIMIZE or a VACUUM."""

    table: tuple[str, ...]
    where: str = ""


def upkeep(sql: str, kind: str) -> Upkeep:
    """A statement of kind OPTIMIZE or VACUUM in its parts. Raises QueryError."""
    words = _Words(sql, kind)
    found = Upkeep(words.names())
    if kind == "OPTIMIZE":
        words.take("REWRITE", "DATA", "USING", "BIN_PACK")
        found = Upkeep(found.table, _where(words))
    if not words.ended:
        raise words.wrong("<EOF>")
    return found


def _update(words: _Words) -> Changing:
    table = words.names()
    words.take("SET")
    columns, values = _assignments(words, "WHERE")
    return Changing(table, table[-1], [Branch(True, "UPDATE", _where(words), columns, values)])


def _delete(words: _Words) -> Changing:
    words.take("FROM")
    table = words.names()
    return Changing(table, table[-1], [Branch(True, "DELETE", _where(words))])


def _where(words: _Words) -> str:
    return words.until() if words.has("WHERE") else ""


def _merge(words: _Words) -> Changing:
    words.take("INTO")
    table = words.names()
    alias = _alias(words, "USING") or table[-1]
    words.take("USING")
    if words.peek() == "(":
        source, named = words.bracket(), ""
    else:
        names = words.names()
        source, named = ".".join(f'"{name}"' for name in names), names[-1]
    source_alias = _alias(words, "ON") or named
    columns = words.bracket() if words.peek() == "(" else ""
    source += f' AS "{source_alias}"{columns}' if source_alias else ""
    words.take("ON")
    on, branches = words.until("WHEN"), []
    while words.has("WHEN"):
        matched = not words.has("NOT")
        words.take("MATCHED")
        condition = words.until("THEN") if words.has("AND") else ""
        words.take("THEN")
        branches.append(_branch(words, matched, condition))
    if not branches:
        raise words.wrong("WHEN")
    return Changing(table, alias, branches, source, source_alias, on)


def _branch(words: _Words, matched: bool, condition: str) -> Branch:
    if matched and words.has("DELETE"):
        return Branch(True, "DELETE", condition)
    if matched:
        words.take("UPDATE", "SET")
        columns, values = _assignments(words, "WHEN")
        return Branch(True, "UPDATE", condition, columns, values)
    words.take("INSERT")
    columns = _listed(words) if words.peek() == "(" else ()
    words.take("VALUES", "(")
    given = [words.until(",")]
    while words.has(","):
        given.append(words.until(","))
    words.take(")")
    return Branch(False, "INSERT", condition, columns, tuple(given))


def _listed(words: _Words) -> tuple[str, ...]:
    words.take("(")
    names = [words.name()]
    while words.has(","):
        names.append(words.name())
    words.take(")")
    return tuple(names)


def _assignments(words: _Words, end: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    columns: list[str] = []
    values: list[str] = []
    while True:
        columns.append(words.name())
        words.take("=")
        values.append(words.until(",", end))
        if not words.has(","):
            return tuple(columns), tuple(values)


def _alias(words: _Words, end: str) -> str:
    if words.has("AS"):
        return words.name()
    return words.name() if words.peek() != end else ""
