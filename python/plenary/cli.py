"""The command line: `plenary serve`, `plenary demo`, `plenary customer`.

Every error that a user can bring about ends in one line on standard error and status 2.
"""

import asyncio
import contextlib
import os
import signal
import sys
import tomllib
from pathlib import Path
from typing import Annotated

import cyclopts
import uvloop
from cyclopts.config import Env, Toml

from .config import Config, ConfigError, Settings
from .keys import new_key
from .logs import log_to_stderr
from .running import running
from .version import VERSION

app = cyclopts.App(
    name="plenary",
    help="A conference server that people program: phones call in, REST decides, everybody hears everybody.",
    version=VERSION,
    config=Env("PLENARY_", command=False),
)


class UserError(Exception):
    """Something that the user can mend; the message says how."""


@app.command
def serve(settings: Settings = Settings()) -> None:  # noqa: B008  (frozen)
    """Start the server and stay until SIGTERM or Ctrl-C, which hang up every call.

    Each setting can also be given as PLENARY_… in the environment, or in a TOML file named by --config or
    PLENARY_CONFIG (`http = "127.0.0.1:8080"`).
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


customer = cyclopts.App(name="customer", help="Customers (tenants): each sees only what is his.")
app.command(customer)


@customer.command
def add(name: str, *, data: Path = Settings.data) -> None:
    """Make a customer with an access key of his own, and print the key. The server must not be running.

    Parameters
    ----------
    name
        Unique name. An existing customer gets one more key.
    data
        Data folder of the server.
    """
    from .store.store import Store

    store = Store.open(data)
    try:
        key = new_key()
        id = store.ensure_customer(name)
        store.add_access_key(id, key)
    finally:
        store.close()
    print(f"customer    {id}\naccess key  {key}")  # noqa: T201


def main() -> None:
    """Entry point of the `plenary` command."""
    from .media.errors import MediaError
    from .store.errors import StoreError

    try:
        app.meta(sys.argv[1:], exit_on_error=False, print_error=False)
    except cyclopts.CycloptsError as error:
        print(f"plenary: {' '.join(str(error).split())}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except (ConfigError, UserError, StoreError, MediaError) as error:
        print(f"plenary: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


@app.meta.default
def _with_file(
    *tokens: Annotated[str, cyclopts.Parameter(show=False, allow_leading_hyphen=True)],
    config: Annotated[Path | None, cyclopts.Parameter(env_var="PLENARY_CONFIG", help="TOML file of settings.")] = None,
) -> None:
    if config is not None:
        try:
            tomllib.loads(config.read_text())
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise UserError(f"--config: {config} can't be read as TOML: {reason}.") from error
        app.config = (Env("PLENARY_", command=False), Toml(config, use_commands_as_keys=False))
    app(tokens, exit_on_error=False, print_error=False)


async def _serve(config: Config) -> None:
    """Runs until SIGTERM or SIGINT; a second one does not wait for the farewell."""
    os.umask(0o077)  # recordings and keys are nobody else's business
    log_to_stderr()
    this = asyncio.current_task()
    assert this is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, this.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        async with running(config) as server:
            print(_banner(config, server.new_key), flush=True)  # noqa: T201
            await server.failed()


def _banner(config: Config, key: str | None) -> str:
    """What the user needs next: where things are, and a line that works as it stands."""
    known = key or "YOUR_ACCESS_KEY"
    who = "anyone may call" if config.sip_anonymous else f"{len(config.sip_users)} users may call"
    lines = [
        f"Plenary {VERSION} is up.",
        "",
        f"  REST   http://{config.http}/v1.0    (to read: http://{config.http}/docs)",
        f"  SIP    sip:<conference id or alias>@{config.sip}    (UDP; {who})",
        f"  Data   {config.data}",
    ]
    if key:
        lines += [f"  Key    {key}    (shown this once; keep it)"]
    lines += [
        "",
        "Make a conference that you can call as sip:first@" + str(config.sip) + ":",
        "",
        f"  curl -s 'http://{config.http}/v1.0/conferences' -H 'Authorization: Bearer {known}' \\",
        """    -H 'Content-Type: application/json' -d '{"type": "conference", "name": "first", "settings": """
        """{"aliases": ["first"]},""",
        """         "pre_actions": [{"type": "talk", "option": {"text": "Welcome.", "gender": "female", """
        """"language": "en-US"}}]}'""",
        "",
    ]
    return "\n".join(lines)
