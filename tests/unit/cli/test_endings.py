"""Exit codes and lines of errors."""

import subprocess
import sys

import pytest

from caudal import __version__
from caudal.cli.endings import explain, run
from caudal.errors import Conflict, ContractError, InvalidItem, NotFound, QueryError, Unavailable


@pytest.mark.parametrize(("error", "code"), [
    (ContractError("x"), 2), (QueryError("x"), 2), (NotFound("x"), 2), (InvalidItem("x"), 1), (Conflict("x"), 1), (Unavailable("x"), 1),
])
def test_what_the_user_wrote_wrong_is_2_and_everything_else_is_1(error, code):
    assert explain(error) == (code, "caudal: x", "")


def test_a_query_error_names_line_and_column():
    assert explain(QueryError("no table t", hint="h", line=2, column=7)) == (2, "caudal: line 2, column 7: no table t", "h")


def test_a_fault_of_ours_says_where_and_not_what_for_its_text_may_name_a_person():
    try:
        raise KeyError("ann@example.org")
    except KeyError as error:
        code, what, hint = explain(error)
    assert code == 1 and what.startswith("caudal: KeyError at test_endings.py:") and "CAUDAL_DEBUG=1" in hint


def test_an_error_of_the_system_names_its_file(capsys, tmp_path):
    (tmp_path / "file").touch()
    assert run(["init", str(tmp_path / "file" / "shop")]) == 1
    assert capsys.readouterr() == ("", f"caudal: {tmp_path / 'file' / 'shop'}: Not a directory\n")


@pytest.mark.parametrize(("words", "code", "line"), [
    (["nope"], 2, "caudal: no such command: nope"), (["quarantine", "lst"], 2, "caudal quarantine: no such command: lst"),
    (["query", "--frmat", "csv"], 2, "caudal query: no such option: --frmat"), (["get"], 2, "caudal get: missing argument 'table'"),
    (["promote", "a", "b"], 2, "caudal promote: invalid value for 'version'"),
    (["query", "SELECT 1", "--json", "--format", "csv"], 2, "caudal: --json and --format csv"),
    (["query", "SELECT 1", "--at", "sale"], 2, "caudal: --at sale: not TABLE=VERSION"),
    (["query"], 2, "caudal: give one query"), (["put", "t", "[1]"], 2, "caudal: the item is not a JSON object"),
])
def test_wrong_words_are_refused_in_two_lines(capsys, words, code, line):
    assert run(words) == code
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith(line) and printed.err.count("\n") == 2


def test_no_words_show_the_help_and_are_wrong_usage(capsys):
    assert run([]) == 2 and run(["quarantine"]) == 2
    assert capsys.readouterr().err.count("Usage:") == 2


def test_the_version_is_printed(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"caudal {__version__}\n"


def test_help_imports_nothing_heavy():
    heavy = "import sys; from caudal.cli.endings import run; run(['--help']); " \
            "print(sorted({'pyarrow', 'numpy', 'duckdb', 'sqlglot', 'litestar', 'rich.console', 'polars'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True)
    assert done.stdout.endswith("[]\n"), done.stdout + done.stderr
