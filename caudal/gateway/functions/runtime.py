"""What runs inside a function's worker process: loads the handler and calls it as Lambda does."""

import importlib
import io
import json
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

Tell = Callable[[int, int], None]

LOG_BYTES = 4096
"""The end of what a call prints that is told with its answer."""


class Context:
    """What a handler is told of its call."""

    def __init__(self, function: dict[str, Any], call: dict[str, Any]) -> None:
        self.function_name: str = function["name"]
        self.function_version: str = function["version"]
        self.invoked_function_arn: str = function["arn"]
        self.memory_limit_in_mb: int = function["memory_mb"]
        self.aws_request_id: str = call["id"]
        self.log_group_name = f"/aws/lambda/{self.function_name}"
        self.log_stream_name: str = function["stream"]
        self.identity = None
        self.client_context = _namespace(call.get("client_context"))
        self._until = time.monotonic() + function["seconds"]

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the call is ended."""
        return max(0, int(1000 * (self._until - time.monotonic())))


class _Tee(io.TextIOBase):
    """Writes to the process's own output, and keeps a copy of the call's."""

    def __init__(self, out: Any) -> None:
        self._out = out
        self.kept = ""

    def write(self, text: str) -> int:
        self._out.write(text)
        self._out.flush()
        self.kept = (self.kept + text)[-LOG_BYTES:]
        return len(text)

    def flush(self) -> None:
        self._out.flush()


def open(argument: bytes) -> Callable[[memoryview, Tell], Sequence[Any]]:
    """Load the handler that `argument`, JSON, describes; what cannot be loaded is told with each call's answer."""
    function = json.loads(argument)
    handler, problem = _load(function["handler"])
    tee = _Tee(sys.stdout)
    sys.stdout = sys.stderr = tee

    def answer(request: memoryview, tell: Tell) -> Sequence[Any]:
        head, _, payload = bytes(request).partition(b"\n")
        tee.kept = ""
        made = _call(handler, problem, function, json.loads(head), payload)
        return json.dumps({"failed": made[0], "log": tee.kept}).encode(), b"\n", made[1]

    return answer


def _load(name: str) -> tuple[Any, dict[str, Any] | None]:
    module, _, function = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module.replace("/", ".")), function), None
    except AttributeError:
        return None, _error("Runtime.HandlerNotFound", f"Handler '{function}' missing on module '{module}'", [])
    except (ImportError, ValueError) as error:
        return None, _error("Runtime.ImportModuleError", f"Unable to import module '{module}': {error}", [])
    except SyntaxError as error:
        return None, _error("Runtime.UserCodeSyntaxError", f"Syntax error in module '{module}': {error}", [])
    except BaseException as error:
        return None, _raised(error)


def _call(
    handler: Any, problem: dict[str, Any] | None, function: dict[str, Any], call: dict[str, Any], payload: bytes
) -> tuple[bool, bytes]:
    """Whether the call failed, and its payload."""
    if problem is not None:
        return True, json.dumps({**problem, "requestId": call["id"]}).encode()
    try:
        returned = handler(json.loads(payload or b"null"), Context(function, call))
    except SystemExit as error:
        told = f"RequestId: {call['id']} Error: Runtime exited with error: exit status {error.code}"
        return True, json.dumps(_error("Runtime.ExitError", told, None)).encode()
    except BaseException as error:
        print(traceback.format_exc(), end="")
        return True, json.dumps({**_raised(error), "requestId": call["id"]}).encode()
    try:
        return False, json.dumps(returned).encode()
    except (TypeError, ValueError) as error:
        told = f"Unable to marshal response: {error}"
        return True, json.dumps({**_error("Runtime.MarshalError", told, []), "requestId": call["id"]}).encode()


def _raised(error: BaseException) -> dict[str, Any]:
    trace = traceback.format_list(traceback.extract_tb(error.__traceback__)[1:])
    return _error(type(error).__name__, str(error), trace)


def _error(kind: str, message: str, trace: list[str] | None) -> dict[str, Any]:
    made: dict[str, Any] = {"errorMessage": message, "errorType": kind}
    return made if trace is None else {**made, "stackTrace": trace}


def _namespace(value: Any) -> Any:
    return SimpleNamespace(**{key: _namespace(member) for key, member in value.items()}) if isinstance(value, dict) else value
