"""Hands a request on to S3 as it came, and its answer back, neither held in memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
from yarl import URL

from caudal.errors import CaudalError
from caudal.gateway.s3.buckets import Bucket, listed

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

HOP_BY_HOP = {b"connection", b"keep-alive", b"transfer-encoding", b"expect", b"upgrade", b"te", b"trailer"}
"""Headers that concern one connection; the others, the host's among them, are signed and stay as they are."""
CONTENT_HASH = b"x-amz-content-sha256"
PART_BYTES = 1 << 18
CLOSE = (b"connection", b"close")


class Proxy:
    """An ASGI application that answers what the server answers whose URL `url` gives, once it is there.

    `buckets`, if given, answers for their list, and the server asks nobody for a key: SeaweedFS shows nobody's buckets to those
    whose name it does not check.
    """

    def __init__(self, url: Callable[[], str], buckets: Callable[[], list[Bucket]] | None = None) -> None:
        self._url = url
        self._buckets = buckets
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        try:
            url = await loop.run_in_executor(None, self._url)
            if self._buckets is not None and (scope["method"], scope["path"]) == ("GET", "/"):
                found = await loop.run_in_executor(None, self._buckets)
                await _whole(200, listed(found, scope["query_string"].decode("latin-1")), send)
                return
        except CaudalError:
            await _unavailable(send)
            return
        if self._session is None:
            self._session = aiohttp.ClientSession(
                auto_decompress=False, connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None),
                skip_auto_headers=("user-agent", "accept", "accept-encoding", "content-type"),
            )
        path = scope.get("raw_path", scope["path"].encode()).decode("latin-1")
        query = scope["query_string"].decode("latin-1")
        kept = [(name, value) for name, value in scope["headers"] if name not in HOP_BY_HOP]
        kept = _unsigned(kept) if self._buckets is not None else kept
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in kept]
        has_body = any(name in (b"content-length", b"transfer-encoding") and value != b"0" for name, value in scope["headers"])
        body, has_begun = _Body(receive) if has_body else None, False
        try:
            async with self._session.request(
                scope["method"], URL(url + path + (f"?{query}" if query else ""), encoded=True), headers=headers,
                data=body.parts() if body is not None else None, allow_redirects=False,
            ) as answer:
                has_begun = True
                await _hand_back(answer, send, stays=body is None or body.ended)
        except (aiohttp.ClientError, OSError):  # the client left, or the server died
            if not has_begun:  # an answer that ends too early says so itself
                await _unavailable(send)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


class _Body:
    """A request's body as it comes."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.ended = False

    async def parts(self) -> AsyncIterator[bytes]:
        while not self.ended:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ConnectionResetError("the client left")
            self.ended = not message.get("more_body")
            if message.get("body"):
                yield message["body"]


def _unsigned(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of a body that is sent in chunks, as one whom nobody asks for a key sends them.

    The server reads signed chunks by the key that signed them, also where it checks no signature: then any key is unknown.
    """
    if not dict(headers).get(CONTENT_HASH, b"").startswith(b"STREAMING-"):
        return headers
    kept = [(name, value) for name, value in headers if name not in (b"authorization", CONTENT_HASH)]
    return [*kept, (CONTENT_HASH, b"STREAMING-UNSIGNED-PAYLOAD-TRAILER")]


async def _hand_back(answer: aiohttp.ClientResponse, send: Send, stays: bool) -> None:
    """Send the answer on; the connection does not stay where the answer came before the body: what follows is no request."""
    headers = [(name.lower(), value) for name, value in answer.raw_headers if name.lower() not in HOP_BY_HOP]
    headers += [] if stays else [CLOSE]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    async for part in answer.content.iter_chunked(PART_BYTES):
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _unavailable(send: Send) -> None:
    body = b"<Error><Code>ServiceUnavailable</Code><Message>S3 is starting: try again</Message></Error>"
    await _whole(503, body, send)


async def _whole(status: int, body: bytes, send: Send) -> None:
    headers = [(b"content-type", b"application/xml"), (b"content-length", str(len(body)).encode()), CLOSE]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
