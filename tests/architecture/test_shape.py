"""The house rules that a reader relies on, checked."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "caudal").rglob("*.py"))
TREES = {path: ast.parse(path.read_text("utf-8")) for path in FILES}

def each_file(rule):
    """One test of a rule for every file, which names all that break it."""
    def test():
        broken = []
        for path in FILES:
            try:
                rule(path)
            except AssertionError as error:
                broken.append(f"{path.relative_to(ROOT)}: {error}")
        assert not broken, "\n".join(broken)

    test.__name__, test.__doc__ = rule.__name__, rule.__doc__
    return test


VENDORS = {
    "boto3": {"objects", "dynamodb", "kinesis", "firehose", "lambda", "s3", "glue", "athena", "sagemaker"},
    "botocore": {"dynamodb", "kinesis", "firehose", "lambda", "s3", "glue", "athena", "sagemaker", "shapes", "operations", "signatures", "objects"},
    "confluent_kafka": {"kafka"}, "kafka": {"kafka"}, "aiokafka": {"kafka"}, "psycopg": {"postgresql"}, "pyspark": {"spark"},
    "deltalake": set(), "pandas": set(), "requests": set(), "sqlite3": set(),
}
"""Package to the files that may import it, by their name without .py."""

PICKLES = {("caudal/ingest/transform/remote.py", "cloudpickle")}
"""Where a function goes to a process of ours, and nothing from outside is read."""

PLACES = {
    "duckdb": ["caudal/lake/query/", "caudal/lake/iceberg/", "caudal/ingest/transform/chain.py"],
    "pyiceberg": ["caudal/lake/iceberg/", "caudal/gateway/iceberg/", "caudal/gateway/athena/iceberg/", "caudal/gateway/firehose/iceberg/"],
    "sqlalchemy": ["caudal/lake/iceberg/"],
    "sqlglot": ["caudal/lake/query/", "caudal/learn/recommender.py", "caudal/gateway/glue/expressions.py", "caudal/gateway/athena/"],
    "implicit": ["caudal/learn/models/"],
    "litestar": ["caudal/serve/", "caudal/console/", "caudal/gateway/"],
    "uvicorn": ["caudal/serve/", "caudal/console/", "caudal/gateway/"],
    "typer": ["caudal/cli/"],
    "rich": ["caudal/cli/", "caudal/demo/"],
    "polars": ["caudal/ingest/transform/", "caudal/lake/formats/"],
    "apsw": [
        "caudal/sqlite.py",
        "caudal/ingest/store/sqlite",
        "caudal/ingest/stream/",
        "caudal/lake/catalog/sqlite",
        "caudal/gateway/documents.py",
        "caudal/learn/registry.py",
    ],
    "pytest": ["caudal/testing/"],
    "hypothesis": ["caudal/testing/"],
}
"""Package to where it may be imported."""


def imports(path):
    """Every module that a file imports, wherever in it."""
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ports():
    """Each module with a table of back ends, and the table."""
    for path in FILES:
        if path.name == "__init__.py" and "\nBACKENDS" in path.read_text("utf-8"):
            module = ".".join(path.parent.relative_to(ROOT).parts)
            yield module, import_module(module).BACKENDS


PORTS = dict(ports())
BACKEND_MODULES = {target.partition(":")[0] for table in PORTS.values() for target in table.values()}


@each_file
def test_a_file_says_what_it_is_and_is_read_in_one_sitting(path):
    assert ast.get_docstring(TREES[path])
    assert len(path.read_text("utf-8").splitlines()) <= 400


def test_the_map_fits_on_a_few_screens():
    assert len((ROOT / "caudal/pipeline.py").read_text("utf-8").splitlines()) <= 150


@each_file
def test_no_file_is_named_after_what_it_is_not(path):
    assert not {"utils", "util", "common", "helpers", "helper", "base", "misc"} & {path.stem, *path.relative_to(ROOT).parts}


@each_file
def test_no_mock_no_pickle_no_flag_for_what_is_missing(path):
    assert not [
        name
        for name in imports(path)
        if name.startswith(("unittest", "pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"))
        and (path.relative_to(ROOT).as_posix(), name) not in PICKLES
    ]
    for node in ast.walk(TREES[path]):
        assert not (isinstance(node, ast.Name) and node.id in ("NotImplementedError", "NotImplemented")), node.lineno


@each_file
def test_nothing_sleeps_for_a_second(path):
    """A second of sleep is a second of lag; what waits for long waits for an event."""
    constants = {
        target.id: node.value.value for node in TREES[path].body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets if isinstance(target, ast.Name)
    }
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("time.sleep", "sleep"):
            given = node.args[0]
            seconds = (
                given.value
                if isinstance(given, ast.Constant)
                else constants.get(given.id, 0)
                if isinstance(given, ast.Name)
                else 0
            )
            assert seconds < 1, f"line {node.lineno} sleeps {seconds} s"


@each_file
def test_what_is_public_says_what_it_promises(path):
    if path.name == "pipeline.py" and path.parent != ROOT / "caudal":
        return  # a user's file: its classes are tables, and say so
    for node in TREES[path].body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name}, line {node.lineno}"
        if isinstance(node, ast.ClassDef) and path.name == "port.py":
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                    assert ast.get_docstring(method), f"{node.name}.{method.name}, line {method.lineno}"


@each_file
def test_a_vendors_package_is_imported_only_where_it_belongs(path):
    name = path.relative_to(ROOT).as_posix()
    for imported in imports(path):
        package = imported.partition(".")[0]
        if package in VENDORS:
            assert path.stem in VENDORS[package], f"{name} imports {imported}"
        if package in PLACES:
            assert name.startswith(tuple(PLACES[package])), f"{name} imports {imported}"


@each_file
def test_nobody_imports_a_back_end_by_name(path):
    """But another back end, and the suites, which compare with the one in memory."""
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    if module in BACKEND_MODULES or module.startswith("caudal.testing."):
        return
    assert not BACKEND_MODULES & set(imports(path))


@pytest.mark.parametrize("path", [path for path in FILES if path.name == "port.py"], ids=lambda path: path.parent.name)
def test_a_port_knows_no_back_end(path):
    here = ".".join(path.parent.relative_to(ROOT).parts)
    beside = {f"{here}.{file.stem}" for file in path.parent.glob("*.py")} - {here, f"{here}.port"}
    assert not beside & BACKEND_MODULES & set(imports(path))


@pytest.mark.parametrize("module,scheme", [(module, scheme) for module, table in PORTS.items() for scheme in table])
def test_every_back_end_is_a_class_of_its_port_that_opens(module, scheme):
    target, _, name = PORTS[module][scheme].partition(":")
    assert target.startswith(module + ".")
    backend = getattr(import_module(target), name)
    assert isinstance(backend, type)
    assert any(base.__module__ == f"{module}.port" for base in backend.__mro__[1:])
    assert not getattr(backend, "__abstractmethods__", None)
    assert callable(getattr(backend, "open", None)) or module == "caudal.learn.models"


def test_imports_go_one_way():
    """The layers are in pyproject.toml, below [tool.importlinter]."""
    script = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    run = subprocess.run([sys.executable, "-c", script, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]


@pytest.mark.parametrize("module", [module for module in PORTS if module != "caudal.learn.models"])
def test_every_port_has_a_suite_that_is_run(module):
    """Algorithms are compared in tests/unit/learn/test_models.py instead."""
    name = {"serve": "endpoint"}.get(module.rpartition(".")[2], module.rpartition(".")[2])
    source = (ROOT / f"tests/conformance/test_{name}.py").read_text("utf-8")
    assert f"{name.capitalize()}Suite" in source
    assert "BACKENDS" in source
