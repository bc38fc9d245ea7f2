"""The guard: `--require kafka,s3` turns a run in which a back end only skipped into a failure; CI names what it started."""

from pathlib import Path

import pytest

CONFORMANCE = Path(__file__).parent / "conformance"


def pytest_addoption(parser):
    parser.addoption("--require", default="memory,sqlite,file,duckdb", help="back ends that must run, not only skip")


def pytest_configure(config):
    config.chosen, config.proven = {}, {}


def pytest_collection_finish(session):
    """What this run means to prove: of each back end its suites, when nothing of them was left out by hand."""
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


def _missing(config):
    """Suites that were chosen, but of which nothing ran; and back ends without any suite, if all were chosen."""
    required = set(filter(None, config.getoption("--require").split(",")))
    only_skipped = {
        f"{scheme} ({suite})" for scheme in required & config.chosen.keys()
        for suite in config.chosen[scheme] - config.proven.get(scheme, set())
    }
    return only_skipped | (required - config.chosen.keys() if _all_chosen(config) else set())


def _all_chosen(config):
    """Whether the whole of the conformance tests was asked for."""
    if config.getoption("keyword") or config.getoption("markexpr") or config.getoption("deselect"):
        return False
    return any(CONFORMANCE.is_relative_to(Path(arg).absolute()) for arg in config.args)


def pytest_sessionfinish(session, exitstatus):
    stopped = exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) or session.shouldstop or session.shouldfail
    if not stopped and not session.config.getoption("collectonly") and _missing(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    if config.proven:
        proven = ", ".join(f"{scheme} ({len(suites)})" for scheme, suites in sorted(config.proven.items()))
        terminalreporter.write_line(f"back ends proven in this run, and by how many suites: {proven}")
    if config.chosen and not config.getoption("collectonly") and (missing := _missing(config)):
        terminalreporter.write_line(f"required back ends never ran: {', '.join(sorted(missing))}", red=True)
