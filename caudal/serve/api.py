"""The HTTP API: items, events, recommendations, health. Its description is at /schema/openapi.json.

A write is answered once it is durable. Every error is `{"error": …, "hint": …}`, and no request is logged: its path
may name a person.
"""

import asyncio
import logging
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from litestar import Litestar, Request, Response, delete, get, post, put
from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException, PermissionDeniedException
from litestar.handlers.base import BaseRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.params import FromPath, FromQuery, QueryParameter

from caudal.contract import Contract
from caudal.errors import (
    BackendError,
    CaudalError,
    ConditionFailed,
    Conflict,
    DataError,
    InvalidItem,
    NotFound,
    Throttled,
    Unavailable,
    UsageError,
)
from caudal.ingest.events import EventLog
from caudal.ingest.items import decode_item, encode_item, read_key
from caudal.ingest.store import ABSENT, PRESENT, Put
from caudal.records import Item
from caudal.serve.address import is_loopback
from caudal.serve.answer import Recommendation
from caudal.serve.bodies import takes
from caudal.serve.health import ShopHealth
from caudal.serve.live import LiveShop
from caudal.serve.shop import Shop

BODY_BYTES = 16 << 20
"""Largest body of a request."""
WRITERS = 32
"""Writes in flight: the store commits those that wait together."""

T = TypeVar("T")
AnyRequest = Request[Any, Any, Any]
Key = Annotated[
    list[str] | None, QueryParameter(name="key", description="the key's values, in the order of its columns")
]

_log = logging.getLogger("caudal.serve")
_raws = msgspec.json.Decoder(list[msgspec.Raw])

STATUS: tuple[tuple[type[CaudalError], int], ...] = (
    (NotFound, 404), (ConditionFailed, 409), (Conflict, 409), (UsageError, 400), (DataError, 400),
    (Throttled, 429), (Unavailable, 503),
    (BackendError, 500),
)


class Problem(msgspec.Struct, frozen=True):
    """Why a request was not served."""

    error: str
    hint: str


class Written(msgspec.Struct, frozen=True):
    """A durable write."""

    event_id: str | None
    """Of the change; None if nothing changed."""


class WrittenBatch(msgspec.Struct, frozen=True):
    """Durable writes."""

    event_ids: list[str | None]


class Api:
    """The routes over one shop; `local` if only this machine may ask."""

    def __init__(self, shop: Shop, live: LiveShop, local: bool) -> None:
        self._shop, self._live = shop, live
        self._threads = ThreadPoolExecutor(WRITERS, thread_name_prefix="write")
        self._logs = {name: EventLog(shop.stream, found) for name, found in shop.contracts.items() if not found.key}
        self.app = Litestar(
            route_handlers=self._routes(), guards=[*([_local] if local else []), _same_origin, _known_parameters],
            request_max_body_size=BODY_BYTES, logging_config=None, debug=False,
            exception_handlers={CaudalError: _refuse, HTTPException: _refuse_http, Exception: _fail},
            openapi_config=OpenAPIConfig(
                title="caudal", version=_version(), path="/schema",
                render_plugins=[JsonRenderPlugin(path="/openapi.json")],
            ),
        )

    def close(self) -> None:
        self._threads.shutdown()

    async def _off_loop(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _routes(self) -> list[Any]:
        shop, live = self._shop, self._live
        keyed = [contract for contract in shop.contracts.values() if contract.key]
        events = [contract for contract in shop.contracts.values() if not contract.key]

        @get("/health", summary="Whether answers can be trusted, measured from the data")
        async def health() -> Response[ShopHealth]:
            found = await self._off_loop(live.health)
            return Response(found, status_code=200 if found.ready else 503)

        @get("/v1/recommend/{user:str}", summary="The best items for a shopper, each with its reason")
        async def recommend(
            user: FromPath[str], n: FromQuery[int] = 10, slot: FromQuery[str] = "new",
            item: FromQuery[str | None] = None, recommender: FromQuery[str | None] = None,
        ) -> Recommendation:
            return live.recommend(user, n, slot, item, recommender)

        @get("/v1/items/{table:str}", summary="One item")
        async def get_item(table: FromPath[str], key: Key = None) -> Response[bytes]:
            place = _key(self._keyed(table), key)
            item = await self._off_loop(lambda: shop.store.get(table, place))
            if item is None:
                raise NotFound(f"{table}: no item of that key")
            return Response(encode_item(item), media_type="application/json")

        @put("/v1/items/{table:str}", summary="Write an item, replacing one of the same key",
             operation_class=takes(keyed, one=True, many=False))
        async def put_item(table: FromPath[str], request: AnyRequest) -> Written:
            """`If-None-Match: *` writes only if there is none yet, `If-Match: *` only if there is one."""
            self._keyed(table)
            item = _item(await request.body())
            expect = _expectation(request)
            return Written(await self._off_loop(lambda: shop.store.put(table, item, expect)))

        @delete("/v1/items/{table:str}", summary="Remove an item", status_code=200)
        async def delete_item(table: FromPath[str], key: Key = None) -> Written:
            place = _key(self._keyed(table), key)
            return Written(await self._off_loop(lambda: shop.store.delete(table, place)))

        @post("/v1/items/{table:str}/batch", summary="Write items, all or none", status_code=200,
              operation_class=takes(keyed, one=False, many=True))
        async def put_items(table: FromPath[str], request: AnyRequest) -> WrittenBatch:
            self._keyed(table)
            writes = [Put(table, item) for item in _items(await request.body())]
            return WrittenBatch(await self._off_loop(lambda: shop.store.write(writes)))

        @post("/v1/events/{table:str}", summary="Append an event, or a list", status_code=200,
              operation_class=takes(events, one=True, many=True))
        async def append(table: FromPath[str], request: AnyRequest) -> WrittenBatch:
            log = self._events(table)
            body = await request.body()
            events = _items(body) if body.lstrip()[:1] == b"[" else [_item(body)]
            return WrittenBatch(list(await self._off_loop(lambda: log.append(events))))

        return [health, recommend, get_item, put_item, delete_item, put_items, append]

    def _keyed(self, table: str) -> Contract:
        contract = self._contract(table)
        if not contract.key:
            raise NotFound(f"{table} holds events, not items", hint=f"POST them to /v1/events/{table}")
        return contract

    def _events(self, table: str) -> EventLog:
        if self._contract(table).key:
            raise NotFound(f"{table} holds items, not events", hint=f"PUT them to /v1/items/{table}")
        return self._logs[table]

    def _contract(self, table: str) -> Contract:
        if table not in self._shop.contracts:
            raise NotFound(f"no table {table}", hint=f"there is {', '.join(self._shop.contracts) or 'none'}")
        return self._shop.contracts[table]


def _item(body: bytes) -> Item:
    """The item in a body. Raises InvalidItem if it is not a JSON object."""
    try:
        item = decode_item(body)
    except (msgspec.DecodeError, ValueError, AttributeError, RecursionError):
        raise _not_json("object", '{"column": value, …}') from None
    if not isinstance(item, dict):
        raise _not_json("object", '{"column": value, …}')
    return item


def _items(body: bytes) -> list[Item]:
    try:
        parts = _raws.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise _not_json("list", '[{"column": value, …}, …]') from None
    return [_item(bytes(part)) for part in parts]


def _not_json(kind: str, example: str) -> InvalidItem:
    return InvalidItem(f"the body is not a JSON {kind}", hint=f"send {example} in UTF-8")


def _expectation(request: AnyRequest) -> Any:
    absent, present = request.headers.get("if-none-match"), request.headers.get("if-match")
    if absent not in (None, "*") or present not in (None, "*") or (absent and present):
        raise UsageError("an item has no versions to match", hint="send If-None-Match: * or If-Match: *, not both")
    return ABSENT if absent else PRESENT if present else None


def _key(contract: Contract, given: list[str] | None) -> tuple[Any, ...]:
    return read_key(contract, given or [], f"write ?{'&'.join(f'key=<{name}>' for name in contract.key)}")


def _local(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Let no page read or write here through a name of its own that it has pointed at this machine."""
    host = connection.headers.get("host", "localhost")
    if not _is_local(f"//{host}"):
        raise PermissionDeniedException("this API answers to localhost and 127.0.0.1 alone")


def _same_origin(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Let no page of another site read or write through a browser on this machine."""
    origin = connection.headers.get("origin")
    if origin is None or _is_local(origin):
        return
    if _hostname(origin) != _hostname(f"//{connection.headers.get('host', '')}"):
        raise PermissionDeniedException("a page of another site may not ask here")


def _known_parameters(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Refuse a query parameter that the route has not: it would be ignored, and its sender not know."""
    query = connection.query_params
    known = _parameters(handler) if query else ()
    unknown = sorted({name for name in query if name not in known})
    if unknown:
        raise UsageError(f"no query parameter {', '.join(name[:40] for name in unknown[:5])}",
                         hint=f"this route takes {', '.join(known) or 'none'}")


@lru_cache(64)
def _parameters(handler: BaseRouteHandler) -> tuple[str, ...]:
    found = handler.parsed_fn_signature.parameters
    return tuple(name for name in found if name not in ("request", "user", "table"))


@lru_cache(256)
def _is_local(url: str) -> bool:
    return is_loopback(_hostname(url))


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _refuse(_: AnyRequest, error: CaudalError) -> Response[Problem]:
    status = next((code for kind, code in STATUS if isinstance(error, kind)), 500)
    return _problem(status, str(error), error.hint)


def _refuse_http(_: AnyRequest, error: HTTPException) -> Response[Problem]:
    extra = error.extra if isinstance(error.extra, list) else []
    told = [f"{part.get('key', '')}: {part.get('message', '')}" for part in extra if isinstance(part, dict)]
    hints = {404: "the routes are at /schema/openapi.json", 413: f"send at most {BODY_BYTES} bytes a request"}
    # The framework's own text may quote the request, which may name a person.
    texts = {400: "; ".join(told) or "the request cannot be read", 404: "no such route"}
    return _problem(error.status_code, texts.get(error.status_code, error.detail), hints.get(error.status_code, ""))


def _fail(_: AnyRequest, error: Exception) -> Response[Problem]:
    # Where it happened, not what it says: its text may hold a person's data.
    _log.error("%s\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
    return _problem(500, f"a fault of caudal's: {type(error).__name__}", "the log says where; please report it")


def _problem(status: int, error: str, hint: str) -> Response[Problem]:
    headers = {"retry-after": "1"} if status in (429, 503) else {}
    return Response(Problem(error, hint), status_code=status, headers=headers, media_type="application/json")


def _version() -> str:
    try:
        return version("caudal")
    except PackageNotFoundError:
        return "from source"
