"""How a command ends: its exit code, and one or two lines about what went wrong.

    0    done
    1    the check failed, the data is bad, or a back end failed
    2    wrong usage: of the command, the pipeline file, a setting, a query, a name
    130  interrupted;  141  whoever read our output has gone
"""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import typer
from typer.exceptions import TyperException

from caudal.cli.app import GLOBAL_OPTIONS, make_app
from caudal.cli.screen import printable
from caudal.errors import CaudalError, QueryError, UsageError

FAILED, WRONG_USAGE, INTERRUPTED, PIPE_CLOSED = 1, 2, 130, 141

GRACE_SECONDS = 1.0
"""How long a library that is busy has to notice an interrupt."""


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit code."""
    interrupted = threading.Event()

    def interrupt(*_: object) -> None:
        interrupted.set()
        end = threading.Timer(GRACE_SECONDS, os._exit, (INTERRUPTED,))  # whatever is written survives a kill
        end.daemon = True
        end.start()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        return _run(arguments)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        return _drop_output()
    except Exception as error:
        if interrupted.is_set():
            return INTERRUPTED  # a library made an error of its own of it
        if os.environ.get("CAUDAL_DEBUG"):
            traceback.print_exc()
        code, what, hint = explain(error)
        _complain(what, hint)
        return code
    finally:
        signal.signal(signal.SIGINT, before)


def _run(arguments: Sequence[str]) -> int:
    code = 0
    try:
        command = typer.main.get_command(make_app())
        with command.make_context("caudal", list(arguments)) as context:
            command.invoke(context)
    except typer.Exit as end:
        code = end.exit_code
    sys.stdout.flush()
    return code


def explain(error: Exception) -> tuple[int, str, str]:
    """The exit code of a failure, what went wrong, and what to do."""
    if isinstance(error, CaudalError):
        place = f"line {error.line}, column {error.column}: " if isinstance(error, QueryError) and error.line else ""
        return WRONG_USAGE if isinstance(error, UsageError) else FAILED, f"caudal: {place}{error}", error.hint
    if isinstance(error, TyperException):
        return WRONG_USAGE, *_explain_usage(error)
    if isinstance(error, OSError) and error.strerror:
        return FAILED, f"caudal: {error.filename or 'the system'}: {error.strerror}", ""
    # Where it happened, not what it says: the text of a foreign error may hold a person's data.
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return FAILED, f"caudal: {type(error).__name__}{where}", "this is a fault of caudal; CAUDAL_DEBUG=1 shows the traceback"


def _explain_usage(error: TyperException) -> tuple[str, str]:
    context: Any = getattr(error, "ctx", None)
    called, see = (context.command_path, f"see {context.command_path} --help") if context else ("caudal", "see caudal --help")
    what = error.format_message().rstrip(".")
    if not what or what.startswith("Usage:"):
        return what, ""  # nothing was asked for, and the help is the answer
    if what.startswith("No such command"):
        name = what.split("'")[1]
        near = get_close_matches(name, context.command.list_commands(context), 1)
        return f"{called}: no such command: {name}", f"did you mean {near[0]}?" if near else see
    option = getattr(error, "option_name", "")
    near = getattr(error, "possibilities", None) or []
    if option in GLOBAL_OPTIONS:
        see = f"write it before the verb: caudal {option} …"
    elif near:
        see = f"did you mean {' or '.join(near)}?"
    return f"{called}: {what[0].lower()}{what[1:].partition(' (Possible')[0].partition('. Did you')[0]}", see


def _complain(what: str, hint: str) -> None:
    if what.startswith("Usage:"):
        print(what, file=sys.stderr)
        return
    for line in filter(None, (what, hint and f"  {hint}")):
        print(printable(" ".join(line.split("\n"))), file=sys.stderr)


def _drop_output() -> int:
    """Let Python's own flush at exit go nowhere, instead of complaining."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return PIPE_CLOSED
