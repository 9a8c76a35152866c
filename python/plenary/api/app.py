"""The HTTP application: what happens to every request, whatever it asks for.

    Door        a request id, the key taken out of the address, HEAD, headers that every answer has, metrics
    └─ Litestar routing (404, 405)
       └─ endpoint   one per row of `operations`: key, ids, parameters, body; then its function in `handlers`

Each error leaves as a problem document (`problems`). The access key is taken out of the ASGI scope by `Door` before
anything else sees it, so that no log line of any server can hold it.
"""

import os
import re
from collections.abc import Awaitable, Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote_plus

import msgspec
import structlog
from litestar import Litestar, Request, Response
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from ..core.errors import Refusal
from ..core.wording import printable
from ..store.errors import StoreError
from . import decode, docs, metrics, openapi, problems
from .asked import Answer, Asked
from .credentials import REFUSED, authenticated
from .deps import ApiDeps
from .handlers import Handlers
from .join_page import JoinPage
from .joining import Joining
from .operation import SDP, SDP_MAX, Operation
from .operations import OPERATIONS, ids_of
from .problems import CATALOGUE, Problem
from .reply import FileReply, Reply, disconnected

if TYPE_CHECKING:
    from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

RETRY_AFTER_S = "5"
"""When what is refused for lack of room or because something is away may work: the engine is back within 3 s."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_KEY_PARAMETERS = ("token", "accesskey")
"""In the order in which they win; the header comes last."""

_Endpoint = Callable[[Request[Any, Any, Any]], Awaitable[ASGIResponse]]

_log = structlog.get_logger("plenary.api")
_encoder = msgspec.json.Encoder()


class Exchange:
    """One request and its answer, as `Door` sees them. It is in the scope under `plenary`."""

    __slots__ = ("head", "key", "path", "request_id")

    def __init__(self, request_id: str, path: str, key: str | None, head: bool) -> None:
        self.request_id = request_id
        self.path = path
        self.key = key
        self.head = head


def create_app(deps: ApiDeps) -> "ASGIApp":
    """The ASGI application of the REST API."""
    sources = (_Pages(deps), Joining(deps), Handlers(deps))
    paths: dict[str, dict[str, _Endpoint]] = {}
    for operation in OPERATIONS:
        source = next(source for source in sources if hasattr(source, operation.name))
        endpoint = _endpoint(operation, getattr(source, operation.name), deps)
        paths.setdefault(operation.path, {})[operation.method] = endpoint
    paths["/"] = {"GET": _to_docs}
    files = JoinPage(deps.join_page)
    app = Litestar(
        route_handlers=[
            *(_route(path, endpoints) for path, endpoints in paths.items()),
            _file_route("/join", files.page),
            _file_route("/join/{token:str}", files.page),
            _file_route("/join/assets/{name:str}", files.asset),
        ],
        exception_handlers=cast(Any, {Exception: _routing_failed}),
        openapi_config=None,
        logging_config=None,
        debug=False,
    )
    return Door(app, deps)


class Door:
    """The outermost layer. Kept thin: it is passed by every request."""

    def __init__(self, app: Litestar, deps: ApiDeps) -> None:
        self._app = app
        self._clock = deps.clock
        self._metrics = deps.metrics

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = self._clock()
        method = scope["method"]
        head = method == "HEAD"
        key = _take_key(scope)
        if head:  # the server below still has to know that it is one
            scope = cast("HTTPScope", {**scope, "method": "GET"})
        exchange = Exchange(_request_id(scope), scope["path"], key, head)
        cast(dict[str, Any], scope)["plenary"] = exchange
        extra = [(b"x-request-id", exchange.request_id.encode()), (b"x-content-type-options", b"nosniff")]
        if exchange.path.startswith("/v1.0"):
            extra += _API_HEADERS if scope["method"] != "OPTIONS" else [*_API_HEADERS, *_PREFLIGHT_HEADERS]
        status = 500

        async def forward(message: "Message") -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message["headers"])
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append(_NO_STORE)
                message["headers"] = headers + extra
            elif head and message["type"] == "http.response.body":
                message["body"] = b""
            await send(message)

        try:
            await self._app(scope, receive, forward)
        finally:
            route = cast(dict[str, Any], scope).get("path_template") or "none"
            self._metrics.answered(_known(method), route, status, self._clock() - began)


_NO_STORE = (b"cache-control", b"no-store")
_API_HEADERS = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"x-request-id, content-range, etag, location"),
]
"""Pages of any origin may ask, as credentials are only ever given explicitly: no cookie can be abused."""
_PREFLIGHT_HEADERS = [
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
    (b"access-control-allow-headers", b"authorization, content-type, range, seat, x-request-id"),
    (b"access-control-max-age", b"86400"),
]
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})


_ASKED = ("GET", "POST", "PUT", "PATCH", "DELETE")
"""What operations can have, in the order in which answers name them; HEAD and OPTIONS come by themselves."""


def _known(method: str) -> str:
    """A method as a metric's label: clients may invent any."""
    return method if method in _METHODS else "other"


def _request_id(scope: "Scope") -> str:
    """The client's own id of the request if it is a plain word, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return value.decode("ascii")
    return os.urandom(16).hex()


def _take_key(scope: "Scope") -> str | None:
    """The access key, which is taken out of the query on the way."""
    query = scope["query_string"]
    if b"token" in query or b"accesskey" in query or b"%" in query:
        given: dict[str, str] = {}
        rest: list[bytes] = []
        for part in query.split(b"&"):
            name, _, value = part.partition(b"=")
            plain = unquote_plus(name.decode("latin-1"))
            if plain in _KEY_PARAMETERS:
                given.setdefault(plain, unquote_plus(value.decode("latin-1")))
            else:
                rest.append(part)
        if given:
            scope["query_string"] = b"&".join(rest)
            return next(given[name] for name in _KEY_PARAMETERS if name in given)
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, key = value.decode("latin-1").strip().partition(" ")
            return key.strip() if scheme.lower() == "bearer" else None
    return None


@cache
def _described(version: str, address: str) -> tuple[bytes, dict[str, bytes]]:
    """The OpenAPI document, and the pages to read."""
    document = openapi.document(version)
    pages = {
        "reference": docs.reference(document, address),
        "errors": docs.errors(version),
        "actions": docs.actions(version),
        "events": docs.events(version),
    }
    return _encoder.encode(document), pages


class _Pages:
    """The operations that describe the API and the server itself."""

    def __init__(self, deps: ApiDeps) -> None:
        self._metrics = deps.metrics
        self._openapi, self._pages = _described(deps.version, deps.address)

    async def metrics(self, asked: Asked) -> Answer:  # noqa: ARG002
        return Reply(self._metrics.text(), media_type=metrics.CONTENT_TYPE)

    async def openapi_json(self, asked: Asked) -> Answer:  # noqa: ARG002
        return Reply(self._openapi)

    async def docs(self, asked: Asked) -> Answer:  # noqa: ARG002
        return self._page("reference")

    async def docs_errors(self, asked: Asked) -> Answer:  # noqa: ARG002
        return self._page("errors")

    async def docs_actions(self, asked: Asked) -> Answer:  # noqa: ARG002
        return self._page("actions")

    async def docs_events(self, asked: Asked) -> Answer:  # noqa: ARG002
        return self._page("events")

    def _page(self, name: str) -> Reply:
        return Reply(self._pages[name], media_type="text/html", headers=docs.HEADERS)


async def _to_docs(request: Request[Any, Any, Any]) -> ASGIResponse:  # noqa: ARG001
    """Who opens the server in a browser wants something to read."""
    return Reply(b"", status=308, headers={"location": "/docs"})


def _endpoint(operation: Operation, handler: Callable[[Asked], Awaitable[Answer]], deps: ApiDeps) -> _Endpoint:
    """The checks that the row of the table asks for, around its function."""
    names = ids_of(operation)
    public = operation.public or (operation.name == "metrics" and deps.open_metrics)
    strict = operation.path.startswith("/v1.0")
    parameters = frozenset(parameter.name for parameter in operation.query)
    decoder = msgspec.json.Decoder(operation.body) if operation.body else None

    async def checked(request: Request[Any, Any, Any], exchange: Exchange) -> Asked:
        scope = request.scope
        customer, token = "", None
        if not public:
            customer, token = await authenticated(exchange.key, operation, deps)
        ids = {name: decode.uuid(scope["path_params"][name], name) for name in names}
        if token is not None and ids.get("conference_id", token.conference_id) != token.conference_id:
            raise Problem("token_wrong_conference", "This join token is for another conference.")
        query = decode.parse_query(scope["query_string"] if strict else b"")
        for name in query:
            if name not in parameters:
                name = printable(name)
                raise Problem("unknown_parameter", f"There is no parameter '{name}' here.", pointer=f"/{name}")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        body, text = None, ""
        if operation.sdp:
            if headers.get("content-type", "").partition(";")[0].strip().lower() != SDP:
                raise Problem("unsupported_media_type", f"Send the offer with 'Content-Type: {SDP}'.")
            text = decode.utf8(await _body(request.receive, headers.get("content-length", ""), SDP_MAX))
        elif decoder is not None:
            raw = await _body(request.receive, headers.get("content-length", ""))
            body = decode.decode(raw, headers.get("content-type", ""), decoder, required=operation.body_required)
        if not public and (operation.sdp or decoder is not None):
            # A body takes as long as its sender likes: what lets him in has to be good when all of it is there.
            customer, token = await authenticated(exchange.key, operation, deps)
        gone = partial(disconnected, request.receive)
        return Asked(
            customer=customer,
            id=next(iter(ids.values()), ""),
            ids=ids,
            token=token,
            query=query,
            body=body,
            text=text,
            headers=headers,
            disconnected=gone,
        )

    async def endpoint(request: Request[Any, Any, Any]) -> ASGIResponse:
        exchange: Exchange = cast(Any, request.scope)["plenary"]
        try:
            answer = await handler(await checked(request, exchange))
        except (Problem, Refusal) as error:
            return _problem(error, exchange)
        except Exception as error:
            return _problem(_unexpected(error, exchange, operation.name), exchange)
        if isinstance(answer, bytes):
            return Reply(answer)
        if isinstance(answer, Reply | FileReply):
            return answer
        return Reply(_encoder.encode(answer))

    return endpoint


def _file_route(path: str, answer: Callable[[str], Reply]) -> HTTPRouteHandler:
    """A file for browsers, by the only part of its path that changes, if one does."""

    async def dispatch(request: Request[Any, Any, Any]) -> ASGIResponse:
        scope: Any = request.scope
        try:
            return answer(next(iter(scope["path_params"].values()), ""))
        except Problem as error:
            return _problem(error, scope["plenary"])

    return HTTPRouteHandler(path, http_method=cast(Any, ["GET"]), status_code=200)(dispatch)


def _route(path: str, endpoints: dict[str, _Endpoint]) -> HTTPRouteHandler:
    """All that can be asked of one path, with OPTIONS, which is also the preflight of browsers."""
    methods = [name for name in _ASKED if name in endpoints]
    allow = {"allow": _allow(methods)}

    async def dispatch(request: Request[Any, Any, Any]) -> ASGIResponse:
        endpoint = endpoints.get(cast(Any, request.scope)["method"])
        return await endpoint(request) if endpoint else Reply(b"", status=204, headers=allow)

    litestar_path = re.sub(r"{(\w+)}", r"{\1:str}", path)
    return HTTPRouteHandler(litestar_path, http_method=cast(Any, [*methods, "OPTIONS"]), status_code=200)(dispatch)


def _allow(methods: list[str]) -> str:
    """The `Allow` header: what GET can do, HEAD can."""
    return ", ".join([*methods[:1], "HEAD", *methods[1:]] if methods[0] == "GET" else methods) + ", OPTIONS"


async def _body(receive: "Receive", content_length: str, most: int = decode.BODY_MAX) -> bytes:
    """The body, none of which is kept beyond its limit.

    Who closes a connection on which bytes are unread resets it, and the client never sees the answer (RFC 9112,
    section 9.6): so what is too long is read away, up to a limit of its own.
    """
    if content_length.isdigit() and int(content_length[:20]) > decode.BODY_DROPPED_MAX:
        raise _too_large(most)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem("bad_request", "The connection ended before the body did.")
        message = cast(dict[str, Any], message)
        part: bytes = message.get("body", b"")
        size += len(part)
        if size <= most:
            parts.append(part)
        else:
            parts.clear()
        if not message.get("more_body") or size > decode.BODY_DROPPED_MAX:
            break
    if size > most:
        raise _too_large(most)
    return b"".join(parts)


def _too_large(most: int) -> Problem:
    return Problem(
        "body_too_large",
        f"This body may have {most} bytes.",
        headers={"connection": "close"},
    )


def _problem(error: Problem | Refusal, exchange: Exchange) -> Reply:
    status, body, headers = _rendered(error, exchange)
    return Reply(body, status=status, media_type=problems.MEDIA_TYPE, headers=headers)


def _rendered(error: Problem | Refusal, exchange: Exchange) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers of a problem document."""
    headers: dict[str, str] = {}
    if isinstance(error, Problem):
        kind, detail, pointer, headers = error.kind, error.detail, error.pointer, error.headers
    else:
        kind, detail, pointer = problems.of_refusal(error)
    if kind.status == 401:
        headers = {**REFUSED, **headers}
    if kind.status in (429, 503):
        headers = {"retry-after": RETRY_AFTER_S, **headers}
    body = problems.encode(kind, detail, pointer, path=exchange.path, request_id=exchange.request_id)
    return kind.status, body, headers


def _unexpected(error: Exception, exchange: Exchange, operation: str) -> Problem:
    """Our fault: all of it goes to the log, nothing of it to the client."""
    _log.error("request failed", request_id=exchange.request_id, operation=operation, exc_info=error)
    if isinstance(error, StoreError):
        return Problem("unavailable", "The server can't read its database now.")
    return Problem("internal_error", f"Something went wrong in the server: request {exchange.request_id}.")


def _routing_failed(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """What Litestar found wrong before any endpoint was asked."""
    exchange: Exchange = cast(Any, request.scope)["plenary"]
    status, body, headers = _rendered(_of_routing(error, exchange), exchange)
    return Response(body, status_code=status, media_type=problems.MEDIA_TYPE, headers=headers)


def _of_routing(error: Exception, exchange: Exchange) -> Problem:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 404:
        return Problem("route_not_found", f"There is nothing at {printable(exchange.path)}. See /docs.")
    if status == 405:
        known = (cast(HTTPException, error).headers or {}).get("allow", "").split(", ")
        allow = _allow([name for name in _ASKED if name in known])
        return Problem("method_not_allowed", f"This address knows {allow}.", headers={"allow": allow})
    if 400 <= status < 500:
        return Problem("bad_request", f"{cast(HTTPException, error).detail}.")
    return _unexpected(error, exchange, "routing")


assert all(operation.name.isidentifier() for operation in OPERATIONS)
assert "internal_error" in CATALOGUE
