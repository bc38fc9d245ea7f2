"""The guard of tests/conftest.py: a back end that only skipped is not proven."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SUITES = """
import pytest

class TestA:
    scheme = "a"
    def test_one(self):
        assert {a}
    def test_two(self):
        pytest.skip("no")

class TestB:
    scheme = "b"
    def test_one(self):
        {b}
"""


def run(folder, *arguments, a="True", b="pytest.skip('not installed')"):
    """A run of one file of suites under the guard: its exit code and what it printed."""
    (folder / "tests/conformance").mkdir(parents=True)
    shutil.copy(Path(__file__).parents[1] / "conftest.py", folder / "tests")
    (folder / "tests/conformance/test_x.py").write_text(SUITES.format(a=a, b=b))
    (folder / "tests/test_other.py").write_text("def test_other(): pass")
    (folder / "pytest.ini").write_text("[pytest]\ntestpaths = tests\nmarkers = slow: is slow\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60,
                          env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("--require", "a,b"),
        ("--require", "a,b", "tests/conformance/test_x.py"),
        ("--require", "c"),
        ("--require", "b", "-m", "not slow"),
        ("--require", "a,b", "-p", "xdist.plugin", "-n", "2", "--dist", "loadfile"),
    ],
    ids=" ".join,
)
def test_a_required_back_end_that_did_not_run_fails_the_run(tmp_path, arguments):
    code, printed = run(tmp_path, *arguments)
    assert code == 1
    assert f"required back ends never ran: {'c' if 'c' in arguments else 'b (TestB)'}" in printed
    assert "proven in this run, and by how many suites: a (1)\n" in printed


@pytest.mark.parametrize(
    "arguments",
    [
        ("--require", "a"),
        ("--require", ""),
        ("--require", "a,b,c", "tests/test_other.py"),
        ("--require", "a,c", "tests/conformance/test_x.py"),
        ("--require", "a,b,c", "-k", "other"),
        ("--require", "a,b,c", "tests/conformance/test_x.py::TestA::test_two"),
        ("--require", "a,b,c", "--collect-only"),
    ],
    ids=" ".join,
)
def test_a_run_of_a_part_is_not_asked_for_the_rest(tmp_path, arguments):
    code, printed = run(tmp_path, *arguments)
    assert code == 0, printed


def test_a_test_that_fails_still_fails_the_run(tmp_path):
    assert run(tmp_path, "--require", "a", a="False")[0] == 1
    shutil.rmtree(tmp_path / "tests")
    assert run(tmp_path, "--require", "a,b", b="assert True")[0] == 0


def test_tests_of_faults_run_one_after_the_other_and_those_of_a_file_together(tmp_path):
    for folder, names in (("faults", "ab"), ("unit", "c")):
        (tmp_path / "tests" / folder).mkdir(parents=True)
        for name in names:
            text = "".join(f"def test_{name}{n}():\n    import os\n    print('ran', {folder!r}, os.getpid())\n" for n in range(4))
            (tmp_path / f"tests/{folder}/test_{name}.py").write_text(text)
    code, printed = run(tmp_path, "--require", "a", "-p", "xdist.plugin", "-n", "2", "--dist", "loadfile", "-rP")
    assert code == 0
    ran = [line.split()[1:] for line in printed.splitlines() if line.startswith("ran ")]
    assert {folder: len({pid for where, pid in ran if where == folder}) for folder, _ in ran} == {"faults": 1, "unit": 1}
