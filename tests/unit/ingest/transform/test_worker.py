"""A worker: it answers, and whatever its program does, the caller hears of it and the next call is answered."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from caudal.errors import Unavailable
from caudal.ingest.transform.worker import Program, Worker, WorkerDied

pytestmark = pytest.mark.slow

PROGRAM = """
import ctypes, os, signal, subprocess, sys, time

kept = []

def open(argument):
    def answer(request, tell):
        command, _, rest = bytes(request).decode().partition(" ")
        return [argument, str(globals()[command](rest, tell)).encode()]
    return answer

def echo(text, tell):
    return text

def pid(text, tell):
    return os.getpid()

def variable(text, tell):
    return os.environ.get(text)

def prints(text, tell):
    print(text)
    print(text.upper(), file=sys.stderr)

def hangs(text, tell):
    tell(3, 7)
    time.sleep(1000)

def hangs_in_c(text, tell):
    ctypes.PyDLL(None).sleep(1000)  # without letting go of the interpreter

def floods(text, tell):
    while True:
        print("x" * 5000)

def is_slow(text, tell):
    for n in range(6):
        tell(n, n + 1)
        time.sleep(0.15)

def leaks(text, tell):
    kept.append(bytearray(int(text) << 20))

def fails(text, tell):
    raise ValueError(text)

def exits(text, tell):
    print("last words")
    os._exit(3)

def dies(text, tell):
    os.kill(os.getpid(), int(text))

def leaves_another(text, tell):
    return subprocess.Popen(["sleep", "1000"]).pid
"""


@pytest.fixture
def worker(tmp_path):
    made = []

    def worker(**settings):
        (tmp_path / "program_of_the_test.py").write_text(PROGRAM)
        settings = {"target": "program_of_the_test:open", "path": (str(tmp_path),), "seconds": 5, "memory_mb": 200, **settings}
        printed = bytearray()
        made.append(Worker(Program("it", **settings), printed.extend))
        made[-1].printed = printed
        return made[-1]

    yield worker
    for each in made:
        each.end()


def ask(worker, text):
    return bytes(worker.call(text.encode())).decode()


def is_there(pid):
    """Whether the process is, and not only waits to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(pid):
    until = time.monotonic() + 10
    while is_there(pid) and time.monotonic() < until:
        time.sleep(0.01)
    return not is_there(pid)


def test_a_request_is_answered_by_a_process_that_stays(worker):
    it = worker(argument=b"<>")
    assert ask(it, "echo a b") == "<>a b"
    pid = ask(it, "pid")
    assert pid != f"<>{os.getpid()}" and ask(it, "pid") == pid
    big = "x" * 10_000_000
    assert ask(it, f"echo {big}") == f"<>{big}"


@pytest.mark.parametrize(("command", "why", "message", "running"), [
    ("hangs", "timeout", "it took longer than 0.4 s", (3, 7)), ("hangs_in_c", "timeout", "it took longer than 0.4 s", (0, 0)),
    ("floods", "timeout", "it took longer than 0.4 s", (0, 0)),
    ("leaks 400", "memory", "it took more than 200 MB of memory", (0, 0)),
    ("exits", "crashed", "the process of it ended with code 3", (0, 0)),
    ("dies 11", "crashed", "the process of it ended by SIGSEGV", (0, 0)),
    ("dies 40", "crashed", "the process of it ended by signal 40", (0, 0)),
    ("dies 9", "crashed", "the process of it ended by SIGKILL", (0, 0)),
])
def test_a_program_that_hangs_or_dies_is_told_apart_and_the_next_call_is_answered(worker, command, why, message, running):
    it = worker(seconds=0.4 if why == "timeout" else 60)
    ask(it, "echo")
    for fresh in (False, True):
        with pytest.raises(WorkerDied) as died:
            ask(it, command)
        assert (died.value.why, str(died.value), died.value.running, died.value.fresh) == (why, message, running, fresh)
        assert died.value.retry and died.value.hint
    assert ask(it, "echo again") == "again"


def test_time_counts_from_what_it_tells(worker):
    assert ask(worker(seconds=0.4), "is_slow") == "None"


def test_a_leak_over_many_calls_is_met_by_a_new_process(worker):
    it = worker()
    pids = set()
    for _ in range(10):
        ask(it, "leaks 40")
        pids.add(ask(it, "pid"))
    assert 1 < len(pids) < 10


def test_one_that_died_between_calls_is_no_fault_of_the_next(worker):
    it = worker()
    pid = int(ask(it, "pid"))
    os.kill(pid, signal.SIGKILL)
    assert gone(pid)
    assert ask(it, "echo a") == "a"


def test_what_it_prints_is_kept_to_its_last_words_and_apart(worker, capfd):
    it = worker()
    ask(it, "prints a")
    with pytest.raises(WorkerDied):
        ask(it, "exits")
    assert set(it.printed.decode().splitlines()) == {"a", "A", "last words"}
    with pytest.raises(WorkerDied):
        ask(it, "dies 11")
    assert b"Segmentation fault" in it.printed
    assert capfd.readouterr() == ("", "")


def test_its_environment_is_what_it_is_given(worker, monkeypatch):
    monkeypatch.setenv("SHOP_NAME", "ours")
    assert ask(worker(), "variable SHOP_NAME") == "ours"
    it = worker(environment={"OTHER": "theirs"})
    assert (ask(it, "variable SHOP_NAME"), ask(it, "variable OTHER")) == ("None", "theirs")


@pytest.mark.parametrize(("target", "message"), [
    ("no_module_of_that_name:open", "ModuleNotFoundError"), ("program_of_the_test:nothing", "AttributeError"),
    ("program_that_exits:open", "SystemExit: 4"), ("program_that_dies:open", "the process of it ended with code 5"),
])
def test_a_program_that_cannot_be_loaded_is_to_be_tried_again(worker, tmp_path, target, message):
    (tmp_path / "program_that_exits.py").write_text("raise SystemExit(4)")
    (tmp_path / "program_that_dies.py").write_text("import os; os._exit(5)")
    it = worker(target=target)
    for _ in range(2):
        with pytest.raises(Unavailable, match=message):
            it.call(b"echo")


def test_a_program_that_raises_ends_and_says_where_in_what_it_prints(worker):
    it = worker()
    with pytest.raises(WorkerDied, match="the process of it ended with code 1"):
        ask(it, "fails so")
    assert b"in fails" in it.printed and b"ValueError: so" in it.printed


def test_nothing_is_left_of_one_that_is_ended_or_forgotten(worker):
    it = worker()
    pids = [int(ask(it, "pid")), int(ask(it, "leaves_another"))]
    it.end()
    assert not is_there(pids[0]) and gone(pids[1])
    pids = [int(ask(it, "pid")), int(ask(it, "leaves_another"))]
    os.kill(pids[0], signal.SIGKILL)
    assert all(map(gone, pids))


def test_one_that_is_ended_leaves_no_file_open(worker):
    def count():
        return len(list(Path("/proc/self/fd").iterdir()))

    it, before = worker(), count()
    ask(it, "echo")
    assert count() > before
    it.end()
    assert count() == before


def test_it_outlives_the_thread_that_called_it(worker):
    it, pids = worker(), []
    for _ in range(2):
        thread = threading.Thread(target=lambda: pids.append(ask(it, "pid")))
        thread.start()
        thread.join()
    assert pids[0] == pids[1]


def test_several_threads_are_answered_each_its_own(worker):
    it, answers = worker(), {}
    threads = [threading.Thread(target=lambda n=n: answers.update({n: ask(it, f"echo {n}")})) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {n: str(n) for n in range(20)}


def test_a_call_that_is_interrupted_leaves_no_answer_for_the_next(worker):
    it = worker()
    ask(it, "echo")
    timer = threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        ask(it, "hangs")
    timer.join()
    assert ask(it, "echo a") == "a"


@pytest.mark.parametrize("command", ["hangs_in_c", "echo"])
def test_kill_9_of_its_parent_ends_it_whatever_it_does(tmp_path, command):
    (tmp_path / "program_of_the_test.py").write_text(PROGRAM)
    script = (
        "import sys; from caudal.ingest.transform.worker import Program, Worker\n"
        f"it = Worker(Program('it', 'program_of_the_test:open', path=({str(tmp_path)!r},)), print)\n"
        "print(bytes(it.call(b'pid')).decode(), flush=True)\n"
        f"it.call(b'{command}'); sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        time.sleep(0.2)
        assert is_there(pid)
        parent.kill()
        parent.wait()
    assert gone(pid)
