"""`plenary serve` as a command: what it prints, what it takes, and how it says no."""

import asyncio
import os
import re
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from serving import KEY, POLL_S, UNTIL_S, Serving, is_running, serving, talk, until

from plenary.cli import main
from plenary.config import Settings, unknown_variables
from plenary.testing.phone import Phone
from ports import free_port, free_ports

START_S = 40
WITHOUT_OURS = {name: value for name, value in os.environ.items() if not name.startswith("PLENARY_")}
COMMAND = [sys.executable, "-m", "plenary"]


@dataclass
class Ended:
    status: int
    out: str
    error: str


async def run(*arguments: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> Ended:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *arguments, cwd=cwd, env=WITHOUT_OURS | (env or {}),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        out, error = await asyncio.wait_for(process.communicate(), START_S)
    except TimeoutError:
        process.kill()
        raise AssertionError(f"{arguments}: it has not ended") from None
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), error.decode())


def left_behind(data: Path) -> list[int]:
    """Processes that have to do with this data folder."""
    wanted, found = str(data).encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (process / "cmdline").read_bytes() and is_running(int(process.name)):
                found.append(int(process.name))
        except OSError:
            continue
    return found


class Started:
    """A server that is started by hand, with nothing but these arguments; `banner` is what it prints."""

    def __init__(self, *arguments: str, env: dict[str, str] | None = None, is_known: bool = False) -> None:
        """`is_known`: the data folder is one of a server before."""
        self._arguments, self._env, self._is_known = arguments, env or {}, is_known

    async def __aenter__(self) -> "Started":
        self._process = await asyncio.create_subprocess_exec(
            *COMMAND, "serve", *self._arguments, env=WITHOUT_OURS | self._env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.banner = ""
        async with asyncio.timeout(START_S):
            last = "  Data " if self._is_known else "-d '"
            while last not in self.banner or not self.banner.endswith("\n\n"):
                line = await self._process.stdout.readline()
                assert line, (await self._process.stderr.read()).decode()
                self.banner += line.decode()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.terminate()
        _, error = await asyncio.wait_for(self._process.communicate(), 15)
        self.error = error.decode()
        assert self._process.returncode == 0, self.error


def rtp_ports() -> str:
    first = free_ports(20)
    return f"{first}-{first + 19}"


def places() -> tuple[str, str]:
    return f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"


async def test_the_first_start_prints_a_key_and_a_line_that_works(tmp_path: Path):
    """The curl line makes a conference that can be called at the SIP address beside it; later starts keep the key."""
    http, sip = places()
    arguments = ("--http", http, "--sip", sip, "--data", str(tmp_path / "data"), "--rtp-ports", rtp_ports())
    async with Started(*arguments) as first:
        key = re.search(r"^ *Key +(\S+)", first.banner, re.MULTILINE)
        assert key is not None, first.banner
        assert f"@{sip}" in first.banner
        line = re.search(r"^ *curl .*?\}'$", first.banner, re.MULTILINE | re.DOTALL)
        assert line is not None, first.banner
        made = await asyncio.create_subprocess_shell(line[0], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, error = await made.communicate()
        assert b'"id"' in out, (out, error)
        async with Phone("ann") as ann:
            await ann.call(f"sip:hello@{sip}")
            await until(lambda: len(ann.heard().pcm) > 4000, "the greeting")
        assert "Firefox sends no sound to 127.0.0.1" in first.banner
    async with Started(*arguments, is_known=True) as again, httpx.AsyncClient() as rest:
        assert key[1] not in again.banner
        assert "is up again" in again.banner
        assert "curl" not in again.banner, "who starts it again knows"
        listed = await rest.get(f"http://{http}/v1.0/conferences", headers={"Authorization": f"Bearer {key[1]}"})
        assert [one["name"] for one in listed.json()["result"]] == ["hello"]
    assert left_behind(tmp_path / "data") == []


async def test_settings_come_from_file_and_environment(tmp_path: Path):
    """The command line wins over the environment, and that over the file."""
    (http, sip), (other_http, _) = places(), places()
    file = tmp_path / "plenary.toml"
    file.write_text(
        f'http = "{other_http}"\nsip = "{sip}"\nrtp_ports = "{rtp_ports()}"\ndata = "{tmp_path / "from-file"}"\n'
        'sip_users = ["ann:secret"]\n'
    )
    env = {"PLENARY_CONFIG": str(file), "PLENARY_HTTP": http, "PLENARY_ACCESS_KEY": KEY, "PLENARY_DATA": "/nowhere"}
    async with Started("--data", str(tmp_path / "data"), env=env) as started, httpx.AsyncClient() as rest:
        assert f"http://{http}/v1.0" in started.banner
        assert f"@{sip}" in started.banner
        assert "Key " not in started.banner, "the key is known to who has set it"
        listed = await rest.get(f"http://{http}/v1.0/conferences", headers={"Authorization": f"Bearer {KEY}"})
        assert listed.status_code == 200
    assert (tmp_path / "data" / "plenary.sqlite3").exists()
    assert not (tmp_path / "from-file").exists()


async def test_help_lists_every_setting():
    shown = (await run("serve", "--help", env={"COLUMNS": "200"})).out
    for name in Settings.__dataclass_fields__:
        assert f"--{name.replace('_', '-')}" in shown
        assert f"PLENARY_{name.upper()}" in shown


def serve(folder: Path, *instead: str) -> list[str]:
    """Arguments that would do, but for those that are given."""
    http, sip = places()
    given = {"--http": http, "--sip": sip, "--rtp-ports": rtp_ports(), "--data": str(folder / "data")}
    given |= dict(zip(instead[::2], instead[1::2], strict=True))
    return ["serve", *(part for pair in given.items() for part in pair)]


def wrong_with(status: int, out: str, error: str, names: str) -> str:
    """Empty if it was refused as it should be: status 2, and one line that names what to change."""
    lines = [line for line in error.splitlines() if line.strip()]
    right = status == 2 and len(lines) == 1 and names in lines[0] and lines[0].startswith("plenary: ") and not out
    return "" if right else f"status {status}\n{out}{error}"


async def test_what_keeps_it_from_starting_is_told_in_one_line(tmp_path: Path):
    """No traceback, nothing left behind, and nothing done to another server."""
    async with serving(tmp_path / "taken") as other:
        (tmp_path / "file").write_text("no folder")
        damaged = tmp_path / "damaged"
        damaged.mkdir()
        (damaged / "plenary.sqlite3").write_bytes(b"no database at all" * 500)
        cases: dict[str, tuple[list[str], str]] = {
            "HTTP port taken": (serve(tmp_path, "--http", other.http), "--http"),
            "SIP port taken": (serve(tmp_path, "--sip", other.sip), "another program is at"),
            "second SIP port taken": (
                [*serve(tmp_path, "--data", str(tmp_path / "second")), "--sip", other.sip],
                f"another program is at {other.sip}",
            ),
            "folder taken": (serve(tmp_path, "--data", str(other.data)), "in use by another server"),
            "folder is a file": (serve(tmp_path, "--data", str(tmp_path / "file")), str(tmp_path / "file")),
            "folder can't be made": (serve(tmp_path, "--data", "/proc/no/folder"), "/proc/no/folder"),
            "damaged database": (serve(tmp_path, "--data", str(damaged)), "plenary.sqlite3"),
        }

        async def judge(name: str, arguments: list[str], names: str) -> str:
            ended = await run(*arguments)
            wrong = wrong_with(ended.status, ended.out, ended.error, names)
            return wrong and f"{name}: {wrong}"

        wrong = await asyncio.gather(*(judge(name, *case) for name, case in cases.items()))
        assert "".join(wrong) == ""
        for folder in ("data", "damaged", "second"):
            assert left_behind(tmp_path / folder) == []
        assert (await other.get("/conferences"))["result"] == [], "the one that was there goes on"


@pytest.mark.parametrize(
    ("instead", "names"),
    [
        (("--http", "127.0.0.1"), "--http"),
        (("--http", "203.0.113.9:8080"), "--http"),
        (("--rtp-ports", "many"), "--rtp-ports"),
        (("--media-threads", "two"), "--media-threads"),
        (("--orphan-timeout", "0"), "--orphan-timeout"),
        (("--public-address", "here"), "--public-address"),
        (("--sip-users", "ann"), "--sip-users"),
        (("--access-key", "x"), "--access-key"),
        (("--sip", "0.0.0.0:5070"), "--sip-users"),
        (("--sip-srtp", "sometimes"), "--sip-srtp"),
        (("--sip", "127.0.0.1:5070?srtp=sometimes"), "sometimes"),
        (("--codecs", "opus,mp3"), "--codecs"),
        (("--codecs", "opus,Opus"), "--codecs"),
        (("--webrtc-port", "80"), "--webrtc-port"),
        (("--recording-rate", "44100"), "--recording-rate"),
        (("--http-key", "{folder}/key.pem"), "--http-cert"),
        (("--colour", "blue"), "--colour"),
        (("--config", "{folder}/none.toml"), "none.toml"),
        (("--config", "{folder}/bad.toml"), "bad.toml"),
        (("--config", "{folder}/unknown.toml"), "colour"),
    ],
)
def test_a_setting_that_can_not_be_used(
    instead: tuple[str, str],
    names: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    """Two of them: an address of another machine; one that all can reach, where nobody may call."""
    (tmp_path / "bad.toml").write_text("http = \n")
    (tmp_path / "unknown.toml").write_text('colour = "blue"\n')
    option, value = instead
    monkeypatch.setattr(sys, "argv", ["plenary", *serve(tmp_path, option, value.format(folder=tmp_path))])
    with pytest.raises(SystemExit) as ended:
        main()
    out, error = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    assert wrong_with(ended.value.code, out, error, names) == ""
    assert not (tmp_path / "data").exists()


async def test_the_port_that_is_offered_instead_is_free_and_not_another_of_ours(tmp_path: Path):
    """The next is a second place for phones, the one after it is taken by a stranger."""
    first = free_ports(4)
    with socket.socket(type=socket.SOCK_DGRAM) as taken, socket.socket(type=socket.SOCK_DGRAM) as stranger:
        taken.bind(("127.0.0.1", first))
        stranger.bind(("127.0.0.1", first + 2))
        arguments = [*serve(tmp_path, "--sip", f"127.0.0.1:{first}"), "--sip", f"127.0.0.1:{first + 1}"]
        ended = await run(*arguments)
    assert f"take another port: --sip 127.0.0.1:{first + 3}." in ended.error


def test_a_variable_that_is_no_setting_is_told_with_the_one_that_was_meant():
    """But a platform that sets some of its own keeps nobody from starting."""
    given = ["PLENARY_HTTP", "PLENARY_CONFIG", "PLENARY_RTP_PROTS", "PLENARY_SERVICE_HOST", "PATH"]
    assert unknown_variables(given) == [
        "There is no setting PLENARY_RTP_PROTS; did you mean PLENARY_RTP_PORTS?",
        "There is no setting PLENARY_SERVICE_HOST; `plenary serve --help` lists them.",
    ]


async def test_customers_and_keys_are_made_and_taken_while_the_server_runs(tmp_path: Path):
    """A new key is good at once; one that was taken is good for as long as it is remembered. Where the data folder is
    says the command line or, if it does not, the environment of the server."""
    async with serving(tmp_path / "data") as server:
        data = ("--data", str(server.data))
        key = re.search(r"^access key +(\S+)", (await run("customer", "add", "ann", *data)).out, re.MULTILINE)
        assert key is not None
        ann = {"Authorization": f"Bearer {key[1]}"}
        assert (await server.rest.get("/conferences", headers=ann)).status_code == 200
        env = {"PLENARY_DATA": str(server.data), "PLENARY_HTTP": "127.0.0.1:1"}
        assert "1 key   ann" in (await run("customer", "list", env=env)).out
        assert (await run("customer", "add", "bob", env=env)).status == 0
        assert (await run("customer", "revoke", "bob", env=env)).status == 0
        assert "no data folder" in (await run("customer", "list", "--data", str(tmp_path / "none"), env=env)).error
        assert (await run("customer", "revoke", "ann", *data)).status == 0
        async with asyncio.timeout(UNTIL_S):
            while (await server.rest.get("/conferences", headers=ann)).status_code != 401:
                await asyncio.sleep(POLL_S)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_folder_that_can_not_be_written(tmp_path: Path):
    folder = tmp_path / "data"
    folder.mkdir(mode=0o500)
    ended = await run("serve", "--data", str(folder), "--http", places()[0], "--sip", places()[1])
    assert (ended.status, str(folder) in ended.error) == (2, True)


async def test_without_speech_the_call_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """No espeak-ng: one line at the start; a greeting is skipped, and the event log says why."""
    monkeypatch.setenv("PATH", str(tmp_path))
    async with serving(tmp_path / "data") as server, Phone("ann") as ann:
        log = server.data.with_suffix(".log").read_text()
        assert sum("espeak-ng is not installed" in line for line in log.splitlines()) == 1, log
        conference = (await server.create(pre_actions=[talk("Welcome.")]))["id"]
        await ann.call(f"sip:{conference}@{server.sip}")
        await server.until_inside(conference, 1)
        failed = [event for event in await server.events(conference) if event["type"] == "action_failed"]
        assert [("talk" in event["cause"], "espeak-ng" in event["cause"]) for event in failed] == [(True, True)]


def test_a_server_is_ended_by_its_tests(tmp_path: Path):
    """`serving` itself: neither server nor engine is left behind."""

    async def story() -> Serving:
        async with serving(tmp_path / "data") as server:
            assert left_behind(server.data) != []
            return server

    server = asyncio.run(story())
    asyncio.run(until(lambda: left_behind(server.data) == [], "the engine has ended"))
