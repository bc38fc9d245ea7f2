"""The HTTP side of the AWS endpoint: one ASGI application for every service."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from caudal.errors import CaudalError, tellable
from caudal.gateway.cloud import Cloud
from caudal.gateway.faults import AwsError, as_aws
from caudal.gateway.s3.proxy import Proxy
from caudal.gateway.signatures import Signatures
from caudal.gateway.wire import Call, Headers, Request, Response, answer, fault, parse
from caudal.hurry import Later, at_once
from caudal.serve.address import is_local_url

THREADS = 64
"""Requests that are worked on at once; a further one waits."""
STREAMS = 1024
"""Answers that go on (subscriptions) at once, beside them: a subscriber takes no other client's place."""
CALLS = 1000
"""Calls of programs of the user's at once, beside them, as AWS has it; a further one is refused.

What a program asks of the endpoint while it runs must not wait for a place that the program itself takes.
"""
BODY_BYTES = 64 << 20
"""The largest request but for S3's; AWS's own limits are below."""
APART_SECONDS = 0.05
"""How long after another client's request one counts as alone again."""
SLOW_SECONDS, REST_SECONDS = 0.1, 1.0
"""An answer that took so long, by a slow disk, has the event loop leave the next ones to threads for a while."""

log = logging.getLogger("caudal.gateway")

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Disconnected(Exception):
    """The client left: nobody waits for an answer, and half a request must not be taken for one."""


class App:
    """Answers AWS's clients; what is for no service of ours is S3's, and goes to `s3` as it is."""

    def __init__(self, cloud: Cloud, s3: Proxy, signatures: Signatures, local: bool) -> None:
        self._cloud = cloud
        self._s3 = s3
        self._signatures = signatures
        self._local = local
        self._models = {name: service.model for name, service in cloud.services.items()}
        quick = [service for service in cloud.services.values() if service.quick]
        self._quick_targets = {f"{service.model.target}.{name}" for service in quick for name in service.quick}
        self._quick_paths = [service for service in quick if service.model.protocol == "rest-json"]
        self._at_work = 0
        self._last: tuple[object, float] = None, 0.0  # who asked last, and when
        self._rests_until = 0.0
        self._threads = ThreadPoolExecutor(THREADS, "aws")
        self._streams = ThreadPoolExecutor(STREAMS, "aws-stream")
        self._callers = ThreadPoolExecutor(CALLS, "aws-call")
        self._calling = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        self._at_work += 1
        try:
            await self._answer(scope, receive, send)
        finally:
            self._at_work -= 1

    def is_quick(self, scope: Scope) -> bool:
        """Whether a request is for a quick operation, by its head."""
        if scope["query_string"]:
            return False
        for name, value in scope["headers"]:
            if name == b"x-amz-target":
                return value.decode("latin-1") in self._quick_targets
        for service in self._quick_paths:
            found = service.model.route(scope["method"], scope["raw_path"].decode("latin-1"))
            if found is not None:
                return found[0].name in service.quick
        return False

    def at_once(self, client: object, scope: Scope, body: bytes) -> Response | None:
        """The answer to a quick operation that `client` asks alone; None for all else, which `__call__` has threads do.

        Called in the event loop's own thread: a request that goes through no other is answered in two thirds of the time.
        Nothing waits there for others (see `hurry`), and where several ask, it is threads that share their commits.
        """
        now, (last, at) = time.monotonic(), self._last
        self._last = client, now
        if self._at_work or now < self._rests_until or (client is not last and now - at < APART_SECONDS):
            return None
        headers = _headers(scope)
        if not self.is_quick(scope) or "/s3/" in headers.get("authorization", ""):
            return None
        path = scope["raw_path"].decode("latin-1")
        try:
            self._guard(headers, path)
            with at_once():
                answered = self._respond(Request(scope["method"], path, "", headers, bytes(body)))
                answered = self._run(answered) if isinstance(answered, Call) else answered
                return answered if answered is not None and isinstance(answered.body, bytes) else None
        except (AwsError, Later):
            return None
        finally:
            if time.monotonic() - now > SLOW_SECONDS:
                self._rests_until = time.monotonic() + REST_SECONDS

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = _headers(scope)
        path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
        is_s3 = self._signatures.service_of(headers, query) == "s3"
        try:
            self._guard(headers, path)
            if is_s3:
                await self._s3(scope, receive, send)
                return
            request = Request(scope["method"], path, query, headers, await _body(receive))
        except AwsError as error:
            refused = fault(None, error, xml=is_s3)
            refused.headers["connection"] = "close"  # its body may be still to come
            await self._send(refused, receive, send)
            return
        except Disconnected:
            return
        response = await asyncio.get_running_loop().run_in_executor(self._threads, self._respond, request)
        if response is None:
            await self._forward(scope, request.body, send)
            return
        await self._send(await self._call(response) if isinstance(response, Call) else response, receive, send)

    async def _call(self, call: Call) -> Response:
        """The answer of a program of the user's."""
        if self._calling >= CALLS:
            code = self._cloud.services[call.model.service].programs[call.operation.name]
            return fault(call, AwsError(code, "Rate Exceeded.", status=429, Reason="ConcurrentInvocationLimitExceeded"))
        self._calling += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._callers, self._run, call)
        finally:
            self._calling -= 1

    async def _live(self, receive: Receive, send: Send) -> None:
        """Until the server ends."""
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await self._s3.close()
        for threads in (self._threads, self._streams, self._callers):
            threads.shutdown(wait=False, cancel_futures=True)
        await send({"type": "lifespan.shutdown.complete"})

    async def _forward(self, scope: Scope, body: bytes, send: Send) -> None:
        """A request without a signature that is no other service's is S3's."""
        sent = False

        async def receive() -> dict[str, Any]:
            nonlocal sent
            if sent:
                return {"type": "http.disconnect"}
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._s3(scope, receive, send)

    def _respond(self, request: Request) -> Response | Call | None:
        """The answer; the call itself if a program of the user's has to give it, None if S3 has to."""
        call: Call | None = None
        try:
            call = parse(self._models, request)
            if call is None:
                return None
            self._signatures.verify(request)
            service = self._cloud.services[call.model.service]
            if not service.serves(call.operation.name):
                told = f"caudal does not serve {call.model.service}:{call.operation.name}; docs/aws.md lists what it serves"
                raise AwsError("UnknownOperationException", told)
        except Exception as error:
            return _failed(call, error)
        return call if call.operation.name in service.programs else self._run(call)

    def _run(self, call: Call) -> Response:
        try:
            return answer(call, getattr(self._cloud.services[call.model.service], call.operation.method)(**call.arguments()))
        except Exception as error:
            return _failed(call, error)

    def _guard(self, headers: Headers, path: str) -> None:
        """A page in a browser may neither ask us by another name nor from another origin; and a path is one."""
        if not path.startswith("/"):  # `*` and `@elsewhere` would become part of another server's name
            raise AwsError("BadRequest", "the request's path does not begin with /")
        host, origin = headers.get("host", "localhost"), headers.get("origin")
        if self._local and not is_local_url(f"//{host}"):
            raise AwsError("AccessDeniedException", "this endpoint answers to localhost and 127.0.0.1 alone", status=403)
        if origin is not None and not is_local_url(origin):
            raise AwsError("AccessDeniedException", "this endpoint answers to no page of another origin", status=403)

    async def _send(self, response: Response, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": response.status, "headers": response.lines()})
        if isinstance(response.body, bytes):
            await send({"type": "http.response.body", "body": response.body})
            return
        await self._stream(response.body, receive, send)

    async def _stream(self, body: Iterator[bytes], receive: Receive, send: Send) -> None:
        """Send an answer as it is made; it ends when the client goes."""
        loop, gone = asyncio.get_running_loop(), asyncio.create_task(_disconnected(receive))
        try:
            while not gone.done() and (part := await loop.run_in_executor(self._streams, next, body, None)) is not None:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()


def _headers(scope: Scope) -> Headers:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def _failed(call: Call | None, error: Exception) -> Response:
    if not isinstance(error, CaudalError):
        what = f"{call.model.service}:{call.operation.name}" if call is not None else "a request"
        log.error("%s: %s", what, tellable(error))
    return fault(call, as_aws(error))


async def _disconnected(receive: Receive) -> None:
    """Until the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _body(receive: Receive) -> bytes:
    """The whole body. Raises AwsError if it is too large, Disconnected if the client left before its end."""
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        part = message.get("body", b"")
        size += len(part)
        if size <= BODY_BYTES:
            parts.append(part)
        if not message.get("more_body"):
            break
    if size > BODY_BYTES:
        raise AwsError("RequestEntityTooLarge", "the request is larger than 64 MiB", status=413)
    return b"".join(parts)
