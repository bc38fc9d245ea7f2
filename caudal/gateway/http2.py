"""HTTP/2 without TLS beside HTTP/1.1, on one port: AWS's SDK for JavaScript asks Kinesis by it alone."""

import asyncio
from typing import Any
from urllib.parse import unquote

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, Event, RequestReceived, StreamEnded, StreamReset, WindowUpdated
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes
from uvicorn.config import Config
from uvicorn.server import ServerState

from caudal.serve.server import Quiet

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client that speaks HTTP/2 begins with."""
STREAMS = 100
"""Requests at once on one connection."""
WINDOW_BYTES = 1 << 20
"""What a client may send of one request before the application takes it."""


class EitherProtocol(Quiet):
    """Speaks what the client's first bytes are of."""

    _first: bytes | None = b""

    def data_received(self, data: bytes) -> None:
        if self._first is not None:
            data, self._first = self._first + data, None
            if PREFACE.startswith(data[: len(PREFACE)]):
                if len(data) < len(PREFACE):
                    self._first = data
                else:
                    self._hand_over(data)
                return
        super().data_received(data)

    def _hand_over(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self.connections.discard(self)
        other = Http2Protocol(self.config, self.server_state)
        self.transport.set_protocol(other)
        other.connection_made(self.transport)
        other.data_received(data)


class _Request:
    """One stream of a connection: what the client sends of it, and the task that answers."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.task: asyncio.Task[None] | None = None
        self.answered = False


class Http2Protocol(asyncio.Protocol):
    """One connection, a task for each request."""

    def __init__(self, config: Config, state: ServerState) -> None:
        self._app: Any = config.loaded_app
        self._state = state
        self._connection = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self._requests: dict[int, _Request] = {}
        self._window = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: Any = None
        self._closing = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._state.connections.add(self)  # type: ignore[arg-type]
        self._connection.initiate_connection()
        self._connection.update_settings({
            SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS, SettingCodes.INITIAL_WINDOW_SIZE: WINDOW_BYTES,
        })
        self._connection.increment_flow_control_window(STREAMS * WINDOW_BYTES)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._state.connections.discard(self)
        for request in self._requests.values():
            request.received.put_nowait({"type": "http.disconnect"})
            if request.task is not None:
                request.task.cancel()
        self._window.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def shutdown(self) -> None:
        """Take no further request, and close once those at work are answered."""
        self._closing = True
        if not self._requests:
            self._close()

    def data_received(self, data: bytes) -> None:
        try:
            for event in self._connection.receive_data(data):
                self._take(event)
        except ProtocolError:
            self._close()
            return
        self._flush()

    def _take(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            self._begin(event)
        elif isinstance(event, DataReceived) and event.stream_id in self._requests:
            message = {"type": "http.request", "body": event.data, "more_body": True, "taken": event.flow_controlled_length}
            self._requests[event.stream_id].received.put_nowait(message)
        elif isinstance(event, DataReceived):  # of a request that is answered already
            self._connection.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
        elif isinstance(event, StreamEnded) and event.stream_id in self._requests:
            self._requests[event.stream_id].received.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        elif isinstance(event, StreamReset) and event.stream_id in self._requests:
            request = self._requests[event.stream_id]
            request.received.put_nowait({"type": "http.disconnect"})
            if request.task is not None:
                request.task.cancel()
        elif isinstance(event, WindowUpdated):
            self._window.set()

    def _begin(self, event: RequestReceived) -> None:
        stream = event.stream_id
        given = [(bytes(name), bytes(value)) for name, value in event.headers or []]
        pseudo = {name: value for name, value in given if name.startswith(b":")}
        path, _, query = pseudo.get(b":path", b"/").partition(b"?")
        headers = [(name, value) for name, value in given if not name.startswith(b":") and name != b"host"]
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "2", "scheme": "http", "raw_path": path,
            "method": pseudo.get(b":method", b"GET").decode("latin-1"), "path": unquote(path.decode("latin-1")),
            "query_string": query, "headers": [(b"host", pseudo.get(b":authority", b"")), *headers],
        }
        request = self._requests[stream] = _Request()
        request.task = asyncio.get_running_loop().create_task(self._answer(stream, request, scope))

    async def _answer(self, stream: int, request: _Request, scope: dict[str, Any]) -> None:
        async def receive() -> dict[str, Any]:
            message = await request.received.get()
            if taken := message.pop("taken", 0):
                self._connection.acknowledge_received_data(taken, stream)
                self._flush()
            return message

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                self._connection.send_headers(stream, [(b":status", str(message["status"]).encode()), *message["headers"]])
                self._flush()
            else:
                request.answered = not message.get("more_body")
                await self._send_body(stream, message.get("body", b""), request.answered)

        try:
            await self._app(scope, receive, send)
        except ProtocolError:
            pass  # the client has given the request up
        finally:
            del self._requests[stream]
            self._end(stream, request)

    async def _send_body(self, stream: int, body: bytes, last: bool) -> None:
        """Send part of an answer as fast as the client takes it."""
        rest = memoryview(body)
        while len(rest):
            await self._writable.wait()
            most = min(self._connection.local_flow_control_window(stream), self._connection.max_outbound_frame_size)
            if most <= 0:
                self._window.clear()
                await self._window.wait()
                continue
            self._connection.send_data(stream, bytes(rest[:most]))
            rest = rest[most:]
            self._flush()
        if last:
            self._connection.end_stream(stream)
            self._flush()

    def _end(self, stream: int, request: _Request) -> None:
        """Give back what the application did not take; a request that goes on, or is left without its answer's end, is reset."""
        while not request.received.empty():
            if taken := request.received.get_nowait().get("taken"):
                self._connection.acknowledge_received_data(taken, stream)
        found = self._connection.streams.get(stream)
        if found is not None and found.open:
            self._connection.reset_stream(stream, ErrorCodes.NO_ERROR if request.answered else ErrorCodes.CANCEL)
        self._flush()
        if self._closing and not self._requests:
            self._close()

    def _close(self) -> None:
        if not self._transport.is_closing():
            self._connection.close_connection()
            self._flush()
            self._transport.close()

    def _flush(self) -> None:
        if (data := self._connection.data_to_send()) and not self._transport.is_closing():
            self._transport.write(data)
