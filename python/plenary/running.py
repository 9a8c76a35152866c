"""A whole server with its REST API in this process, from first line to last: what `plenary serve` and the demo run."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncGenerator, Generator
from functools import partial
from pathlib import Path

import structlog
import uvicorn

from .api.answers import SipListener
from .api.app import create_app
from .api.deps import ApiDeps
from .config import Config, ConfigError, Endpoint
from .doors import Customers, LogTail, Quality, RecordingFiles, Tokens, Views, statistics
from .keys import new_key
from .metrics import add_server_metrics
from .patience import PatientProtocol
from .server import Server
from .sip.errors import CannotListen
from .speech.espeak import missing_programs
from .store.store import Store, is_known
from .version import VERSION

log = structlog.get_logger("plenary")

DEFAULT_CUSTOMER = "default"
"""Owner of the key that a server is started with."""
MAX_PORT = 65535
PORTS_TRIED = 100
"""How far from a port that is taken another one is looked for."""
HTTP_BACKLOG = 1024
"""Connections that the kernel holds while we are busy."""
KEEP_ALIVE_S = 75
"""Idle HTTP connections: longer than the longest poll."""
READY_POLL_S = 0.005
HTTP_FAREWELL_S = 2
"""How long answers under way have when the server ends."""


class RunningServer:
    """What is known once the server is up."""

    def __init__(self, server: Server, http: asyncio.Task[None], key: str | None, is_new: bool) -> None:
        self.server = server
        self.config = server.config
        self.new_key = key
        """The access key, if this start has made one. It can't be shown again."""
        self.is_new = is_new
        """No server has had this data folder before."""
        self._http = http

    async def ready(self) -> None:
        """Returns when HTTP answers and calls can be taken. Raises what keeps the server from it."""
        failed = asyncio.create_task(self.failed())
        try:
            while self.server.trouble() and not failed.done():
                await asyncio.sleep(READY_POLL_S)
            if failed.done():
                await failed
        finally:
            failed.cancel()

    async def failed(self) -> None:
        """Returns never, unless something that the server can't live without ends: raises what it ended with."""
        server = asyncio.create_task(self.server.failed())
        try:
            await asyncio.wait([server, self._http], return_when=asyncio.FIRST_COMPLETED)
            await (server if server.done() else self._http)
        finally:
            server.cancel()


@contextlib.asynccontextmanager
async def running(config: Config) -> AsyncGenerator[RunningServer]:
    """A server that is up while the block runs, and that ends its calls cleanly afterwards.

    Raises ConfigError or StoreError with one clear sentence if it can't be started.
    """
    with _listening(config) as http_socket:
        _warn_of_missing_programs()
        is_new = not is_known(config.data)
        store = Store.open(config.data)
        server = Server(config, store)
        try:
            await server.start()
        except CannotListen as failed:
            store.close()
            at = Endpoint(*failed.address)
            raise _cannot_listen("--sip", at, failed.error, config, socket.SOCK_DGRAM) from failed
        async with contextlib.AsyncExitStack() as ending:
            ending.push_async_callback(server.close)
            http = _Http(server, http_socket)
            task = asyncio.create_task(http.serve(sockets=[http_socket]), name="http")
            ending.push_async_callback(_end, http, task)
            ending.push_async_callback(server.stop)
            up = RunningServer(server, task, _ensure_key(store, config.access_key), is_new)
            await up.ready()
            yield up


class _Http(uvicorn.Server):
    """uvicorn inside our own event loop, which leaves signals to us."""

    def __init__(self, server: Server, bound: socket.socket) -> None:
        deps = ApiDeps(
            ask=server.ask,
            customer_of=Customers(server, asyncio.get_running_loop().time).of,
            views=Views(server),
            log=LogTail(server),
            recordings=RecordingFiles(server),
            statistics=partial(statistics, server),
            exchange=server.exchange,
            tokens=Tokens(server),
            roster=server.roster,
            quality=Quality(server),
            wall_clock=server.now,
            webrtc=server.config.webrtc_port != 0,
            join_page=Path(__file__).parent / "join_page",
            ready=server.trouble,
            sip=[
                SipListener(address=str(Endpoint(bound.advertised_host, bound.port)), srtp=asked.srtp)
                for bound, asked in zip(server.sip.listeners, server.config.sip, strict=True)
            ],
            clock=asyncio.get_running_loop().time,
            version=VERSION,
            address=f"{'https' if server.config.tls else 'http'}://{server.config.http}",
            open_metrics=server.config.http.is_loopback,
        )
        add_server_metrics(deps.metrics, server)
        host, port = bound.getsockname()[:2]
        super().__init__(
            uvicorn.Config(
                create_app(deps),
                host=host,
                port=port,
                http=PatientProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                backlog=HTTP_BACKLOG,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=HTTP_FAREWELL_S,
                ssl_certfile=server.config.tls and server.config.tls.cert,
                ssl_keyfile=server.config.tls and server.config.tls.key,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


async def _end(http: _Http, task: asyncio.Task[None]) -> None:
    http.should_exit = True
    await asyncio.gather(task, return_exceptions=True)


@contextlib.contextmanager
def _listening(config: Config) -> Generator[socket.socket]:
    with _socket(config.http, socket.SOCK_STREAM) as bound:
        try:
            bound.bind((config.http.host, config.http.port))
        except OSError as error:
            raise _cannot_listen("--http", config.http, error, config, socket.SOCK_STREAM) from error
        yield bound


def _socket(where: Endpoint, kind: socket.SocketKind) -> socket.socket:
    """Not bound yet."""
    made = socket.socket(socket.AF_INET6 if where.is_ipv6 else socket.AF_INET, kind)
    if kind == socket.SOCK_STREAM:  # of a datagram's it would let two have one port
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return made


def _free_place(near: Endpoint, kind: socket.SocketKind, config: Config) -> Endpoint | None:
    """A place beside one that is taken: free now, and nothing else that the configuration wants."""
    webrtc = range(config.webrtc_port, config.webrtc_port + config.threads if config.webrtc_port else 0)
    media = range(config.rtp_ports.first, config.rtp_ports.last + 1)
    wanted = {config.http.port, *(one.at.port for one in config.sip)}
    for port in (*range(near.port + 1, near.port + PORTS_TRIED), *range(near.port - 1, near.port - PORTS_TRIED, -1)):
        if not 1024 <= port <= MAX_PORT or port in wanted or port in webrtc or port in media:
            continue
        with _socket(near, kind) as probe, contextlib.suppress(OSError):
            probe.bind((near.host, port))
            return Endpoint(near.host, port)
    return None


def _cannot_listen(
    option: str, where: Endpoint, error: OSError, config: Config, kind: socket.SocketKind
) -> ConfigError:
    # An event loop may have put the system's error behind words of its own.
    original = error.__cause__ or error.__context__ or error
    number = original.errno if isinstance(original, OSError) else error.errno
    if number == errno.EADDRINUSE:
        another = _free_place(where, kind, config)
        hint = f": {option} {another}" if another else ""
        return ConfigError(f"{option}: another program is at {where}. End it, or take another port{hint}.")
    if number == errno.EADDRNOTAVAIL:
        return ConfigError(f"{option}: {where.host} is no address of this machine.")
    if number == errno.EACCES:
        return ConfigError(f"{option}: only root may listen on port {where.port}; take one above 1023.")
    return ConfigError(f"{option}: can't listen on {where}: {original}.")


def _ensure_key(store: Store, given: str) -> str | None:
    """Sees to it that there is a key; returns it if it was made here. One that is given is the only one."""
    customer = store.ensure_customer(DEFAULT_CUSTOMER)
    if given:
        store.revoke_access_keys(customer)
        store.add_access_key(customer, given)
        return None
    if store.has_access_key(customer):
        return None
    key = new_key()
    store.add_access_key(customer, key)
    return key


def _warn_of_missing_programs() -> None:
    for sentence in missing_programs():
        log.warning("no speech: `talk` actions will be skipped", reason=sentence)
