"""HTTP as the AWS endpoint speaks it: what one client asks alone is answered at once, and what is no HTTP is refused."""

from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from caudal.gateway.http2 import EitherProtocol
from caudal.gateway.wire import Response

QUICK_BYTES = 64 << 10
"""The largest request that is answered at once."""


class AwsHttp(EitherProtocol):
    """HTTP/1.1 or HTTP/2, with an error of AWS's shape for what is neither."""

    _is_reading = False
    _held: tuple[Any, Any] | None = None
    """A request whose head is read, and who answers it."""

    def data_received(self, data: bytes) -> None:
        self._is_reading = True
        try:
            super().data_received(data)
        finally:
            self._is_reading = False
            if self._held is not None and not _is_short_of_little(*self._held):
                (cycle, app), self._held = self._held, None
                self._begin(cycle, app)

    def connection_lost(self, exc: Exception | None) -> None:
        self._held = None
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if self._is_reading:
            self._held = cycle, app
        else:
            self._start(cycle, app)

    def _begin(self, cycle: Any, app: Any) -> None:
        """Answer a request at once, or begin a task that does."""
        if not cycle.more_body and len(cycle.body) <= QUICK_BYTES and not self.transport.is_closing():
            response = app.at_once(self, cycle.scope, cycle.body)
            if response is not None:
                self._answer(cycle, response)
                return
        self._start(cycle, app)

    def _start(self, cycle: Any, app: Any) -> None:
        """Begin the task that answers a request."""
        whole, done = WithBody(cycle.transport, cycle), cycle.on_response
        cycle.transport = whole

        def on_response() -> None:
            whole.flush()
            done()

        cycle.on_response = on_response
        super()._start_asgi_task(cycle, app)

    def _answer(self, cycle: Any, response: Response) -> None:
        """Send an answer whose body is bytes, in one piece."""
        assert isinstance(response.body, bytes)
        lines = [b"%b: %b\r\n" % header for header in (*self.server_state.default_headers, *response.lines())]
        if not cycle.keep_alive:
            lines.append(b"connection: close\r\n")
        self.transport.write(b"".join((STATUS_LINE[response.status], *lines, b"\r\n", response.body)))
        cycle.response_started = cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def send_400_response(self, msg: str) -> None:
        body = msgspec.json.encode({"__type": "BadRequest", "message": msg, "Message": msg})
        head = (
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/x-amz-json-1.1\r\nx-amzn-errortype: BadRequest\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


class WithBody:
    """A transport that sends an answer's head together with the first of its body, if it says how long that is.

    A client that gets the head alone, because we are killed, or because the body could not be made, may take the answer for an
    empty one: botocore does. It tries again if it gets nothing.
    """

    def __init__(self, transport: Any, cycle: Any) -> None:
        self._transport, self._cycle = transport, cycle
        self._head, self._is_begun = b"", False

    def write(self, data: bytes) -> None:
        if not self._is_begun and not data.startswith(b"HTTP/1.1 100"):
            self._is_begun = True
            if b"\r\ncontent-length: " in data:
                self._head = data
                return
        self.flush(data)

    def flush(self, data: bytes = b"") -> None:
        """Send what is held, and more."""
        data, self._head = self._head + data, b""
        if data:
            self._transport.write(data)

    def close(self) -> None:
        if self._cycle.response_complete:
            self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _is_short_of_little(cycle: Any, app: Any) -> bool:
    """Whether a call's body is on its way, behind its head, and may be one that is answered at once."""
    if not cycle.more_body or cycle.waiting_for_100_continue or len(cycle.body) > QUICK_BYTES:
        return False
    quick: bool = app.is_quick(cycle.scope)
    return quick
