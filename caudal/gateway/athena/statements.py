"""What kind of statement a text is."""

import re

_LEADING = re.compile(r"(?:\s+|--[^\n]*(?:\n|$)|/\*.*?\*/)*", re.DOTALL)
_KINDS: tuple[tuple[str, str, str, str], ...] = (
    # how it begins, StatementType, SubstatementType, ending of the object with its result
    (r"SELECT|WITH|VALUES|TABLE|\(|EXECUTE\b", "DML", "SELECT", ".csv"), (r"INSERT", "DML", "INSERT", ""),
    (r"UNLOAD", "DML", "UNLOAD", ""), (r"UPDATE", "DML", "UPDATE", ""), (r"DELETE", "DML", "DELETE", ""),
    (r"MERGE", "DML", "MERGE", ""), (r"OPTIMIZE", "DML", "OPTIMIZE", ""), (r"VACUUM", "DML", "VACUUM", ""),
    # AWS's reference calls it DML; AWS says DDL, by which its own client (awswrangler) knows it.
    (r"CREATE\s+TABLE\b(?=.*?\bAS\s*\(*\s*(?:SELECT|WITH|VALUES|TABLE)\b)", "DDL", "CREATE_TABLE_AS_SELECT", ""),
    (r"CREATE\s+(?:EXTERNAL\s+)?TABLE", "DDL", "CREATE_TABLE", ".txt"),
    (r"CREATE\s+(?:OR\s+REPLACE\s+)?VIEW", "DDL", "CREATE_VIEW", ".txt"),
    (r"CREATE\s+(?:DATABASE|SCHEMA)", "DDL", "CREATE_DATABASE", ".txt"), (r"DROP\s+TABLE", "DDL", "DROP_TABLE", ".txt"),
    (r"DROP\s+VIEW", "DDL", "DROP_VIEW", ".txt"), (r"DROP\s+(?:DATABASE|SCHEMA)", "DDL", "DROP_DATABASE", ".txt"),
    (r"ALTER", "DDL", "ALTER_TABLE", ".txt"), (r"MSCK", "DDL", "MSCK_REPAIR", ".txt"),
    (r"PREPARE|DEALLOCATE", "DDL", "PREPARE", ".txt"), (r"EXPLAIN", "UTILITY", "EXPLAIN", ".txt"),
    (r"DESC(?:RIBE)?", "UTILITY", "DESCRIBE", ".txt"), (r"SHOW", "UTILITY", "SHOW", ".txt"),
)
_COMPILED = [(re.compile(form, re.IGNORECASE | re.DOTALL), kind, sub, suffix) for form, kind, sub, suffix in _KINDS]


def bare(sql: str) -> str:
    """The statement without the comments before it, and without the semicolon behind it."""
    start = _LEADING.match(sql)
    return sql[start.end() if start else 0 :].rstrip().removesuffix(";").rstrip()


def kind_of(sql: str) -> tuple[str, str, str]:
    """StatementType, SubstatementType, and the ending of the object with its result."""
    text = bare(sql)
    return next(((kind, sub, suffix) for form, kind, sub, suffix in _COMPILED if form.match(text)), ("DML", "", ".csv"))
