"""What runs in an endpoint's process: the user's inference script, behind `/ping` and `/invocations` on loopback.

The script may define model_fn(model_dir), input_fn(body, content_type), predict_fn(data, model) and
output_fn(prediction, accept), or transform_fn(model, body, content_type, accept) in place of the last three.
"""

import asyncio
import importlib
import json
import os
import sys
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvicorn

BODY_BYTES = 6_291_456
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Script:
    """The functions of an inference script, those that it leaves out as the toolkit's own do."""

    def __init__(self, module: Any, model_dir: str) -> None:
        self._module = module
        self._model = self._function("model_fn", _no_model)(model_dir)

    def answer(self, body: bytes, content_type: str, accept: str) -> tuple[bytes, str]:
        """The body of an answer and its type."""
        if hasattr(self._module, "transform_fn"):
            return _body(self._module.transform_fn(self._model, body, content_type, accept), accept)
        data = self._function("input_fn", _read)(body, content_type)
        made = self._function("predict_fn", _no_predict)(data, self._model)
        return _body(self._function("output_fn", _write)(made, accept), accept)

    def _function(self, name: str, otherwise: Callable[..., Any]) -> Callable[..., Any]:
        found: Callable[..., Any] = getattr(self._module, name, otherwise)
        return found


def _no_model(folder: str) -> Any:
    raise RuntimeError("the inference script defines no model_fn")


def _no_predict(data: Any, model: Any) -> Any:
    if not callable(model):
        raise RuntimeError("the inference script defines no predict_fn, and the model is no function")
    return model(data)


def _read(body: bytes, content_type: str) -> Any:
    if content_type.startswith("application/json"):
        return json.loads(body)
    if content_type.startswith("text/csv"):
        return [[_number(cell) for cell in line.split(",")] for line in body.decode().splitlines()]
    return body


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def _write(made: Any, accept: str) -> Any:
    if accept.startswith("text/csv"):
        rows = made if isinstance(made, list) else [made]
        if not rows or not isinstance(rows[0], list | tuple):
            rows = [rows]
        return "\n".join(",".join(map(str, row)) for row in rows), "text/csv"
    return json.dumps(made.tolist() if hasattr(made, "tolist") else made), "application/json"


def _body(made: Any, accept: str) -> tuple[bytes, str]:
    body, kind = made if isinstance(made, tuple) else (made, accept)
    return body if isinstance(body, bytes) else str(body).encode(), kind


class App:
    """The hosting contract over HTTP."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._threads = ThreadPoolExecutor(8, "inference")

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["path"] == "/ping":
            await _send(send, 200, b"", "text/plain")
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        kind = headers.get("content-type", "application/octet-stream")
        accept = headers.get("accept", "*/*").replace("*/*", "application/json")
        loop = asyncio.get_running_loop()
        try:
            made = await loop.run_in_executor(self._threads, self._script.answer, body, kind, accept)
        except Exception as error:  # whatever the user's script raises
            traceback.print_exc()
            await _send(send, 500, f"{type(error).__name__}: {error}".encode(), "text/plain")
            return
        await _send(send, 200, *made)


async def _send(send: Send, status: int, body: bytes, kind: str) -> None:
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main(port: int) -> None:
    """Load the script that the environment names, and serve on a port of loopback."""
    name = os.environ.get("SAGEMAKER_PROGRAM", "inference.py").removesuffix(".py")
    for folder in (os.environ["SM_MODEL_DIR"] + "/code", os.environ["SM_MODEL_DIR"]):
        sys.path.insert(0, folder)
    script = Script(importlib.import_module(name), os.environ["SM_MODEL_DIR"])
    uvicorn.run(
        App(script), host="127.0.0.1", port=port, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
