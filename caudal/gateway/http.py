"""HTTP as the AWS endpoint speaks it: what one client asks alone is answered at once, and what is no HTTP is refused."""

from collections.abc import Iterable
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from caudal.gateway.http2 import EitherProtocol

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
            if self._held is not None and not _is_short_of_little(self._held[0]):
                (cycle, app), self._held = self._held, None
                self._begin(cycle, app)

    def connection_lost(self, exc: Exception | None) -> None:
        self._held = None
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if self._is_reading:
            self._held = cycle, app
        else:
            super()._start_asgi_task(cycle, self._whole(cycle, app))

    def _begin(self, cycle: Any, app: Any) -> None:
        """Answer a request at once, or begin a task that does."""
        if not cycle.more_body and len(cycle.body) <= QUICK_BYTES and not self.transport.is_closing():
            response = app.at_once(self, cycle.scope, cycle.body)
            if response is not None:
                assert isinstance(response.body, bytes)
                self._answer(cycle, response.status, response.lines(), response.body)
                return
        super()._start_asgi_task(cycle, self._whole(cycle, app))

    def _whole(self, cycle: Any, app: Any) -> Any:
        """The application, whose short answers go out in one piece.

        A client that gets the head alone, because we are killed, may take the answer for an empty one: botocore does.
        """
        async def run(scope: dict[str, Any], receive: Any, send: Any) -> None:
            head: dict[str, Any] = {}
            answered = False

            async def send_whole(message: dict[str, Any]) -> None:
                nonlocal head, answered
                if answered:  # an answer whose last part is empty
                    return
                if message["type"] == "http.response.start":
                    head = message
                    return
                body = message.get("body", b"")
                start, head = head, {}
                if start and len(body) <= QUICK_BYTES and (b"content-length", b"%d" % len(body)) in start["headers"]:
                    answered = True
                    if not self.transport.is_closing():
                        self._answer(cycle, start["status"], start["headers"], body)
                    return
                if start:
                    await send(start)
                await send(message)

            await app(scope, receive, send_whole)

        return run

    def _answer(self, cycle: Any, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
        """Send an answer in one piece."""
        lines = [b"%b: %b\r\n" % header for header in (*self.server_state.default_headers, *headers)]
        if not cycle.keep_alive:
            lines.append(b"connection: close\r\n")
        self.transport.write(b"".join((STATUS_LINE[status], *lines, b"\r\n", body)))
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


def _is_short_of_little(cycle: Any) -> bool:
    """Whether a call's body is on its way, behind its head, and may be one that is answered at once."""
    if not cycle.more_body or cycle.waiting_for_100_continue or len(cycle.body) > QUICK_BYTES:
        return False
    return any(name == b"x-amz-target" for name, _ in cycle.scope["headers"])
