"""How a command ends: its exit code, and one or two lines about what went wrong.

    0    done
    1    the check failed, the data is bad, or a back end failed
    2    wrong usage: of the command, the pipeline file, a setting, a query, a name
    130  interrupted;  141  whoever read our output has gone
"""

import os
import sys
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


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit code."""
    try:
        command = typer.main.get_command(make_app())
        with command.make_context("caudal", list(arguments)) as context:
            command.invoke(context)
        sys.stdout.flush()
    except typer.Exit as end:
        return _flushed(end.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        return _drop_output()
    except Exception as error:
        if os.environ.get("CAUDAL_DEBUG"):
            traceback.print_exc()
        code, what, hint = explain(error)
        _complain(what, hint)
        return code
    return 0


def explain(error: Exception) -> tuple[int, str, str]:
    """The exit code of a failure, what went wrong, and what to do."""
    if isinstance(error, CaudalError):
        place = f"line {error.line}, column {error.column}: " if isinstance(error, QueryError) and error.line else ""
        return WRONG_USAGE if isinstance(error, UsageError) else FAILED, f"{place}{error}", error.hint
    if isinstance(error, TyperException):
        return _explain_usage(error)
    if isinstance(error, OSError) and error.strerror:
        return FAILED, f"{error.filename or 'the system'}: {error.strerror}", ""
    # Where it happened, not what it says: the text of a foreign error may hold a person's data.
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return FAILED, f"{type(error).__name__}{where}", "this is a fault of caudal; CAUDAL_DEBUG=1 shows the traceback"


def _explain_usage(error: TyperException) -> tuple[int, str, str]:
    context: Any = getattr(error, "ctx", None)
    called = context.command_path if context else "caudal"
    what = error.format_message().rstrip(".")
    option = getattr(error, "option_name", "")
    if option in GLOBAL_OPTIONS:
        return WRONG_USAGE, f"{called}: no such option: {option}", f"write it before the verb: caudal {option} …"
    if what.startswith("No such command"):
        name = what.split("'")[1]
        near = get_close_matches(name, context.command.list_commands(context), 1)
        return WRONG_USAGE, f"{called}: no such command: {name}", f"did you mean {near[0]}?" if near else f"see {called} --help"
    if not what:
        return WRONG_USAGE, "", ""  # the help itself, which is on screen
    return WRONG_USAGE, f"{called}: {what[0].lower()}{what[1:]}", f"see {called} --help"


def _complain(what: str, hint: str) -> None:
    for line in filter(None, (what and f"caudal: {what.removeprefix('caudal ').removeprefix('caudal: ')}", hint and f"  {hint}")):
        print(printable(" ".join(line.split("\n"))), file=sys.stderr)


def _flushed(code: int) -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return _drop_output()
    return code


def _drop_output() -> int:
    """Let Python's own flush at exit go nowhere, instead of complaining."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return PIPE_CLOSED
