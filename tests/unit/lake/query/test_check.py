"""What may not run: whatever DuckDB can do beside reading tables that it is given."""

import duckdb
import pytest

from caudal.config import QueryConfig
from caudal.errors import QueryError
from caudal.lake.catalog import open_catalog
from caudal.lake.files import open_files
from caudal.lake.query.allowed import FUNCTIONS, FUNCTIONS_WRITTEN, NAMED, UNSERVED
from caudal.lake.query.check import parse
from caudal.lake.query.duckdb import DuckdbQuery

SUSPECT = (
    "read", "write", "copy", "export", "import", "install", "load", "attach", "detach", "setting", "set_", "pragma", "glob", "file", "scan", "sniff",
    "env", "secret", "http", "query", "duckdb_", "pg_", "current_", "user", "version", "nextval", "currval", "checkpoint", "force", "storage", "wal",
    "extension", "database", "schema", "catalog", "table", "sql", "log", "profil", "path", "parquet", "json_serialize", "json_execute", "summary",
    "arrow", "pandas", "python", "memory", "temp", "thread", "test_", "repeat_row", "seq_", "index", "vector", "txid", "connection", "getvariable",
)
HARMLESS = {
    "log", "log2", "log10", "current_date", "current_timestamp", "localtimestamp", "repeat", "set_agg", "array_position", "concat_ws",
    "format", "translate", "map_from_entries", "geometric_mean", "regexp_replace", "regexp_split",
    "json_extract_path_text",
}


def functions():
    """Name and kind of each function that DuckDB has and that sounds as if it could do more than compute."""
    rows = duckdb.connect().execute("SELECT DISTINCT function_name, function_type FROM duckdb_functions()").fetchall()
    return sorted((name, kind) for name, kind in rows if name[0].isalpha() and any(part in name for part in SUSPECT) and name not in HARMLESS)


@pytest.fixture(scope="module")
def query():
    query = DuckdbQuery(open_catalog("memory:", "shop"), open_files("memory:"), QueryConfig(memory_mb=256, threads=1))
    yield query
    query.close()


def test_there_are_enough_suspects():
    assert len(functions()) > 150


@pytest.mark.slow
@pytest.mark.parametrize("arguments", ["", "'x'", "'/etc/passwd'", "'x', 'y'", "1"])
@pytest.mark.parametrize("form", [
    "SELECT {f}({a})", "SELECT * FROM {f}({a})", 'SELECT "{f}"({a})', 'SELECT * FROM "{f}"({a})', "SELECT (SELECT x FROM {f}({a}) AS t(x))",
    "WITH c AS (SELECT * FROM {f}({a})) SELECT * FROM c", "SELECT 1 WHERE EXISTS (SELECT * FROM {f}({a}))", "SELECT main.{f}({a})",
    "SELECT * FROM unnest({f}({a})) AS t(x)", "SELECT 1 ORDER BY {f}({a})", "SELECT transform(array[1], i -> {f}({a}))",
])
def test_no_function_that_sounds_dangerous_is_reached(form, arguments):
    for name, _ in functions():
        with pytest.raises(QueryError):
            parse(form.format(f=name, a=arguments))


@pytest.mark.parametrize("form", ["SELECT {f}('x')", "SELECT * FROM {f}('x')", 'SELECT "{f}"(1)'])
def test_of_all_that_duckdb_has_only_what_is_athenas_is_reached(form):
    rows = duckdb.connect().execute("SELECT DISTINCT function_name, function_type FROM duckdb_functions()").fetchall()
    tables = {name for name, kind in rows if kind not in ("scalar", "aggregate", "macro", "window")}
    names = {name for name, _ in rows if name[0].isalpha()} - {"unnest"}
    assert len(names) > 600 and len(tables) > 100
    for name in sorted(names):
        if name in FUNCTIONS_WRITTEN and "FROM" not in form:
            continue  # that one computes, and has an answer in the suite
        with pytest.raises(QueryError):
            parse(form.format(f=name))


def test_every_function_that_may_run_has_an_answer():
    import re

    from caudal.testing.query_answers import ANSWERS
    from caudal.testing.query_functions import FUNCTIONS as EXPRESSIONS

    asked = {name for sql, _ in [*ANSWERS, *EXPRESSIONS] for name in re.findall(r"\b([a-z_0-9]+)\(", sql)}
    assert not FUNCTIONS_WRITTEN - asked
    assert len(FUNCTIONS_WRITTEN) > 200 and not FUNCTIONS_WRITTEN & UNSERVED


def test_every_function_that_is_allowed_is_one_of_sqlglots_or_ours():
    from sqlglot import exp

    assert all(hasattr(exp, name) for name in FUNCTIONS)
    assert all(name == name.lower() for name in NAMED)


@pytest.mark.parametrize("name", ["read_csv", "ReadCSV", "READ_PARQUET", "read_json_auto", "arrow_scan", "iceberg_scan"])
def test_a_table_function_is_named_in_the_refusal(name):
    with pytest.raises(QueryError, match=name.lower().replace("readcsv", "readcsv")):
        parse(f"SELECT * FROM {name}('x')")


@pytest.mark.parametrize("sql", [
    "COPY (SELECT 1) TO '/tmp/x.csv'", "ATTACH '/tmp/x.db'", "INSTALL httpfs", "LOAD httpfs", "SET threads = 1", "SET lock_configuration = false",
    "SELECT * FROM read_text('/etc/passwd')", "SELECT * FROM '/etc/passwd'", "SELECT * FROM read_csv('/proc/self/environ')", "RESET enable_external_access",
    "EXPORT DATABASE '/tmp/x'", "SELECT * FROM glob('/etc/*')", "PRAGMA enable_profiling", "SELECT * FROM read_duckdb('/tmp/x.db')", "SELECT * FROM read_blob('/etc/passwd')",
    "IMPORT DATABASE '/tmp/x'", "SELECT * FROM sniff_csv('/etc/passwd')", "SELECT * FROM parquet_metadata('/etc/passwd')", "SET temp_directory = '/tmp/x'", "COPY (SELECT 1) TO 's3://x/y.csv'",
])
def test_the_engine_refuses_by_itself_what_the_check_refuses(query, sql):
    with pytest.raises(duckdb.Error):
        query._db.cursor().execute(sql)


def test_a_query_nested_without_end_is_an_error_of_ours():
    with pytest.raises(QueryError):
        parse("SELECT " + "(" * 20_000 + "1" + ")" * 20_000)
    with pytest.raises(QueryError):
        parse("SELECT " + "-" + " -" * 20_000 + "1")


def test_a_query_of_megabytes_is_refused():
    with pytest.raises(QueryError, match="longer"):
        parse("SELECT '" + "x" * 1_000_001 + "'")


@pytest.mark.parametrize("sql", [
    "SELECT 1", "(SELECT 1)", "VALUES (1)", "TABLE sale", "WITH a AS (SELECT 1) SELECT * FROM a", "SELECT 1 UNION SELECT 2", "SELECT 1;", "-- why\nSELECT 1",
    "SELECT 'a; DROP TABLE x'", "SELECT '/etc/passwd'", 'SELECT 1 AS "read_csv"', "SELECT '?', '$1', '@@x'", "SELECT read_csv FROM sale",
])
def test_what_only_reads_may_run(sql):
    assert parse(sql).sql == sql
