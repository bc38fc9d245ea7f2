"""The guard: `--require kafka,s3` turns a run in which a back end only skipped into a failure; CI names what it started."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("patient", deadline=None, max_examples=50)  # how long an example takes is the machine's affair
settings.register_profile("quick", deadline=None, max_examples=15)  # for `make check`
settings.register_profile("long", deadline=None, max_examples=2000)  # by hand
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "patient"))

CONFORMANCE = Path(__file__).parent / "conformance"


def pytest_addoption(parser):
    parser.addoption("--require", default="memory,sqlite,file,duckdb,s3,inprocess,process", help="back ends that must run, not only skip")


def pytest_configure(config):
    config.chosen, config.proven = {}, {}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """On several cores the tests of a file run together, for they share what it starts; two of faults at most disturb each other."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return "faults" if file.startswith("tests/faults/") and not file.endswith("/test_matrix.py") else file

    return Scheduling(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_finish(session):
    """What this run means to prove: of each back end its suites."""
    for item in session.items:
        if scheme := getattr(item.cls, "scheme", None):
            session.config.chosen.setdefault(scheme, set()).add(item.cls.__name__)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    scheme = getattr(item.cls, "scheme", None)
    if scheme and report.when == "call" and not report.skipped:
        item.config.proven.setdefault(scheme, set()).add(item.cls.__name__)
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """What one of several processes has run."""
    for kind, found in getattr(node, "workeroutput", {}).items():
        if kind in ("chosen", "proven"):
            for scheme, suites in found.items():
                getattr(node.config, kind).setdefault(scheme, set()).update(suites)


def missing(config):
    """Required suites of which nothing ran, and required back ends that have none; nothing if tests were picked by hand."""
    if hasattr(config, "workerinput"):
        return set()  # one of several processes runs a part, and does not know of the others'
    picked = any(config.getoption(option, None) for option in ("keyword", "deselect", "lf", "stepwise", "collectonly"))
    if picked or config.getoption("markexpr") not in ("", "not slow") or any("::" in arg for arg in config.args):
        return set()
    required = set(filter(None, config.getoption("--require").split(",")))
    only_skipped = {
        f"{scheme} ({suite})" for scheme in required & config.chosen.keys()
        for suite in config.chosen[scheme] - config.proven.get(scheme, set())
    }
    whole = any(CONFORMANCE.is_relative_to(Path(arg).absolute()) for arg in config.args)
    return only_skipped | (required - config.chosen.keys() if whole else set())


def pytest_sessionfinish(session, exitstatus):
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output.update({kind: {scheme: sorted(suites) for scheme, suites in getattr(session.config, kind).items()}
                       for kind in ("chosen", "proven")})
    finished = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)
    if finished and not session.shouldstop and not session.shouldfail and missing(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    if config.proven:
        proven = ", ".join(f"{scheme} ({len(suites)})" for scheme, suites in sorted(config.proven.items()))
        terminalreporter.write_line(f"back ends proven in this run, and by how many suites: {proven}")
    if lacking := missing(config):
        terminalreporter.write_line(f"required back ends never ran: {', '.join(sorted(lacking))}", red=True)
