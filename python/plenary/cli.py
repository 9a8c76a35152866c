"""The command line: `plenary serve`, `plenary demo`, `plenary customer`.

Every error that a user can bring about ends in one line on standard error and status 2.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Generator
from ipaddress import ip_address
from pathlib import Path

import cyclopts
import structlog
import uvloop
from cyclopts.argument import ArgumentCollection
from cyclopts.config import Env, Toml

from .config import Config, ConfigError, Settings, check_file, unknown_variables
from .keys import new_key
from .logs import log_to_stderr
from .patience import raise_file_limit
from .running import DEFAULT_CUSTOMER, running
from .store.store import Store
from .version import VERSION

log = structlog.get_logger("plenary")


class UserError(Exception):
    """Something that the user can mend; the message says how."""


def _file(app: cyclopts.App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Fills in what the command line and the environment have left open, from the file that `--config` names."""
    named = arguments.get("--config")
    if named.tokens:
        path = check_file(Path(named.tokens[0].value))
        Toml(path, use_commands_as_keys=False, allow_unknown=True)(app, commands, arguments)


app = cyclopts.App(
    name="plenary",
    help="A conference server that people program: phones call in, REST decides, everybody hears everybody.",
    version=VERSION,
)
serving = cyclopts.App(name="serve", config=[Env("PLENARY_", command=False), _file])
customer = cyclopts.App(
    name="customer",
    help="Customers (tenants) and their access keys: each sees only what is his. The server may be running.",
    config=[Env("PLENARY_", command=False), _file],
)
app.command(serving)
app.command(customer)


@serving.default
def serve(settings: Settings = Settings(), *, config: Path | None = None) -> None:  # noqa: ARG001, B008
    """Start the server and stay until SIGTERM or Ctrl-C, which hang up every call.

    Each setting can also be given in the environment, as PLENARY_…, or in a TOML file: `http = "0.0.0.0:8080"`,
    `sip_users = ["ann:secret", "bob:secret2"]`. The command line wins over the environment, and that over the file.

    Parameters
    ----------
    config
        TOML file of settings.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(Config.from_settings(settings)))


@app.command
def demo(*, exit: bool = False) -> None:
    """Hold a whole conference on this machine, before your eyes, and measure what each caller hears.

    Parameters
    ----------
    exit
        End afterwards, with status 0 only if everything was measured to be true. Default: stay up, to be tried.
    """
    from .demo import run_demo

    sys.exit(asyncio.run(run_demo(stay=not exit)))


@customer.command
def add(name: str, /, *, data: Path = Settings.data, config: Path | None = None) -> None:  # noqa: ARG001
    """Make a customer with an access key of his own, or give an existing one a further key; prints the key.

    Parameters
    ----------
    name
        Unique name. The one that a server starts with is called `default`.
    data
        Data folder of the server.
    config
        TOML file of the server's settings, for its data folder.
    """
    if not name.strip():
        raise UserError("A customer has a name.")
    with _store(data) as store:
        key = new_key()
        id = store.ensure_customer(name)
        store.add_access_key(id, key)
    print(f"customer    {id}\naccess key  {key}")  # noqa: T201


@customer.command(name="list")
def list_(*, data: Path = Settings.data, config: Path | None = None) -> None:  # noqa: ARG001
    """List the customers, and how many keys each has. Keys themselves are not kept, only their hashes.

    Parameters
    ----------
    data
        Data folder of the server.
    config
        TOML file of the server's settings, for its data folder.
    """
    with _store(data) as store:
        for id, name, keys in store.customers():
            print(f"{id}  {keys:>3} {'key ' if keys == 1 else 'keys'}  {name}")  # noqa: T201


@customer.command
def revoke(name: str, /, *, data: Path = Settings.data, config: Path | None = None) -> None:  # noqa: ARG001
    """Take all keys from a customer. What is his stays; `customer add` gives him a new key. A server that is running
    may take a key that was in use for five seconds more.

    Parameters
    ----------
    name
        Whose.
    data
        Data folder of the server.
    config
        TOML file of the server's settings, for its data folder.
    """
    with _store(data) as store:
        found = next((id for id, known, _ in store.customers() if known == name), None)
        if found is None:
            raise UserError(f"There is no customer called {name}: see `plenary customer list`.")
        number = store.revoke_access_keys(found)
    print(f"{number} keys of {name} are good for nothing any more.")  # noqa: T201


@contextlib.contextmanager
def _store(data: Path) -> Generator[Store]:
    if not data.is_dir():
        raise UserError(f"--data: there is no data folder {data}; it is the one that the server was started with.")
    store = Store.open_beside(data)
    try:
        yield store
    finally:
        store.close()


def main() -> None:
    """Entry point of the `plenary` command."""
    from .media.errors import MediaError
    from .store.errors import StoreError

    try:
        app(sys.argv[1:], exit_on_error=False, print_error=False)
    except cyclopts.CycloptsError as error:
        print(f"plenary: {' '.join(str(error).split())}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except (ConfigError, UserError, StoreError, MediaError) as error:
        print(f"plenary: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


async def _serve(config: Config) -> None:
    """Runs until SIGTERM or SIGINT; a second one does not wait for the farewell."""
    os.umask(0o077)  # recordings and keys are nobody else's business
    log_to_stderr()
    raise_file_limit()
    for sentence in unknown_variables(os.environ):
        log.warning(sentence)
    this = asyncio.current_task()
    assert this is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, this.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        async with running(config) as server:
            print(_banner(config, server.new_key, is_new=server.is_new), flush=True)  # noqa: T201
            try:
                await server.failed()
            finally:
                print("Hanging up every call, then good bye.", flush=True)  # noqa: T201


_SRTP = {
    "never": "never encrypted",
    "optional": "encrypted if the phone wants it",
    "required": "encrypted phones only",
}


def _webrtc_ports(config: Config) -> str:
    last = config.webrtc_port + config.threads - 1
    return str(last) if last == config.webrtc_port else f"{config.webrtc_port}-{last}"


def _banner(config: Config, key: str | None, *, is_new: bool) -> str:
    """What the user needs next: where things are, and at the first start a line that works as it stands."""
    callers = len(config.sip_users)
    who = "anyone may call" if config.sip_anonymous else f"{callers} user{'s' * (callers != 1)} may call"
    http = config.http.as_reached_at(config.public_address)
    places = [(one.at.as_reached_at(config.public_address), one.srtp) for one in config.sip]
    sip = places[0][0]
    scheme = "https" if config.tls else "http"
    lines = [
        f"Plenary {VERSION} is up{'' if is_new else ' again'}.",
        "",
        f"  REST   {scheme}://{http}/v1.0    (to read: {scheme}://{http}/docs)",
        f"  SIP    sip:<conference id or alias>@{sip}    (UDP; {_SRTP[places[0][1]]}; {who})",
        *(f"         sip:<conference id or alias>@{other}    (UDP; {_SRTP[srtp]})" for other, srtp in places[1:]),
    ]
    if config.webrtc_port:
        lines.append(f"  Web    {scheme}://{http}/join/<token>    (media: UDP and TCP {_webrtc_ports(config)})")
    lines.append(f"  Data   {config.data}")
    if key:
        lines += [f"  Key    {key}    (shown this once; keep it)"]
    elif not config.access_key:
        program = sys.argv[0] if Path(sys.argv[0]).name == "plenary" else f"{sys.executable} -m plenary"
        lines += [
            "  Key    as printed at the first start; another one makes",
            f"         {program} customer add {DEFAULT_CUSTOMER} --data {config.data}",
        ]
    if is_new and config.webrtc_port and ip_address(config.public_address).is_loopback:
        lines += [
            f"  Note   Firefox sends no sound to {config.public_address}; other browsers on this machine do. For it,",
            "         start with --public-address and another address of this machine.",
        ]
    if not config.http.is_loopback and config.tls is None:
        lines += [
            "  Note   REST is open to other machines without TLS: keys travel readable, and browsers let no page use",
            "         the microphone. Give --http-cert and --http-key, or put a TLS proxy in front.",
        ]
    if not is_new:
        return "\n".join([*lines, ""])
    lines += [
        "",
        f"Make a conference that you can call as sip:hello@{sip}:",
        "",
        f"  curl -s '{scheme}://{http}/v1.0/conferences' -H 'Authorization: Bearer {key or 'YOUR_ACCESS_KEY'}' \\",
        """    -H 'Content-Type: application/json' \\""",
        """    -d '{"type": "conference", "name": "hello", "settings": {"aliases": ["hello"]},""",
        """         "pre_actions": [{"type": "talk", "option": {"text": "Welcome."}}]}'""",
        "",
    ]
    return "\n".join(lines)
