"""Fetching sound by URL: what a server must not be talked into, and what is told when it fails."""

import asyncio
import ipaddress
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from plenary.speech.errors import AudioForbidden, AudioMalformed, AudioTooLarge, AudioUnreachable, PromptError
from plenary.speech.fetch import Fetcher, is_public
from plenary.speech.sound import Sound
from plenary.speech.wav import write

from .signals import tone

BEEP = Sound(16000, tone(440, seconds=0.1))
FILE = write(BEEP)


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


class WebServer:
    """Answers each path with the bytes it was given, and remembers what was asked."""

    def __init__(self, pages: dict[str, bytes]) -> None:
        self.pages = pages
        self.asked: list[bytes] = []
        self.port = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(request)
        page = self.pages.get(request.split()[1].decode())
        if page is None:  # says nothing at all
            await reader.read()
        else:
            writer.write(page)
        writer.close()

    def __call__(self, visit: Callable[["WebServer"], Coroutine[Any, Any, Sound]]) -> Sound:
        async def both() -> Sound:
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            async with server:
                return await visit(self)

        return asyncio.run(both())


def fetched(path: str, pages: dict[str, bytes], **options: Any) -> Sound:
    fetcher = Fetcher(allow_private=True, **options)
    return WebServer(pages)(lambda server: fetcher.fetch(f"http://127.0.0.1:{server.port}{path}"))


def test_a_wav_file_is_fetched():
    assert fetched("/beep.wav?x=1", {"/beep.wav?x=1": answer(FILE)}) == BEEP


def test_the_connection_goes_to_the_address_that_was_looked_at_and_the_name_is_told():
    """The name is looked up once: a second look could give another address (DNS rebinding)."""
    looked: list[tuple[str, int]] = []

    async def look_up(host: str, port: int) -> list[str]:
        looked.append((host, port))
        return ["127.0.0.1"] if len(looked) == 1 else ["127.0.0.99"]

    server = WebServer({"/a": answer(b"", "302 Found", "Location: /b"), "/b": answer(FILE)})
    fetcher = Fetcher(allow_private=True, look_up=look_up)
    assert server(lambda s: fetcher.fetch(f"http://sounds.example:{s.port}/a")) == BEEP
    assert looked == [("sounds.example", server.port)]
    for request in server.asked:
        assert f"\r\nHost: sounds.example:{server.port}\r\n".encode() in request


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/x.wav",
        "http://localhost/x.wav",
        "http://[::1]/x.wav",
        "http://[::ffff:10.0.0.1]/x.wav",
        "http://169.254.169.254/latest/meta-data",
        "http://0.0.0.0/",
        "http://0x7f.1/",
        "http://2130706433/",
        "https://192.168.1.1/",
        "ftp://example.com/x.wav",
        "file:///etc/passwd",
        "/etc/passwd",
        "http://",
        "http:///x",
        "",
        "http://example.com/" + "x" * 3000,
        "http://[::1",
        "http://example.com:99999/",
        "http://exa\nmple.com/",
    ],
)
def test_a_url_that_leads_into_our_own_networks_or_nowhere_is_not_fetched(url: str):
    with pytest.raises((AudioForbidden, AudioUnreachable)):
        asyncio.run(Fetcher().fetch(url))


def test_a_name_that_leads_into_our_own_networks_is_not_fetched():
    async def look_up(_host: str, _port: int) -> list[str]:
        return ["10.0.0.1", "fe80::1%eth0", "::1"]

    with pytest.raises(AudioForbidden, match="does not fetch from"):
        asyncio.run(Fetcher(look_up=look_up).fetch("https://sounds.example/x.wav"))


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1", True),
        *[(address, False) for address in ("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.1.1")],
        *[(address, False) for address in ("100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "240.0.0.1")],
        *[(address, False) for address in ("::", "::1", "fe80::1", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1")],
        *[(address, False) for address in ("::ffff:127.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::", "2001:0:1::1")],
        ("64:ff9b::808:808", True),
    ],
)
def test_public_is_what_belongs_to_the_internet_at_large(address: str, public: bool):
    assert is_public(ipaddress.ip_address(address)) is public


@pytest.mark.parametrize(
    ("page", "error", "words"),
    [
        (answer(b"", "404 Not Found"), AudioUnreachable, "status 404"),
        (answer(b"<html>hello</html>"), AudioMalformed, "no WAV file"),
        (answer(FILE, "200 OK", "Content-Encoding: gzip"), AudioMalformed, "compressed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nRIFF", AudioUnreachable, "could not be fetched"),
        (b"hello, I am no web server\r\n\r\n", AudioUnreachable, "could not be fetched"),
        (answer(b"", "302 Found", "Location: http://other.example/x.wav"), AudioForbidden, "another host"),
        (answer(b"", "302 Found", "Location: file:///etc/passwd"), AudioForbidden, "another host"),
        (answer(b"", "302 Found", "Location: /x"), AudioUnreachable, "more than 3 times"),
        (answer(b"", "302 Found", "Location: http://[::1"), AudioUnreachable, "could not be fetched"),
        (answer(bytes(10 * 1024 * 1024 + 1)), AudioTooLarge, "more than 10 MiB"),
        (b"", AudioUnreachable, "could not be fetched"),
    ],
)
def test_what_can_not_be_played_is_told_in_a_sentence(page: bytes, error: type[PromptError], words: str):
    with pytest.raises(error, match=words):
        fetched("/x", {"/x": page})


def test_a_server_that_says_nothing_is_given_up():
    with pytest.raises(AudioUnreachable, match=r"did not come within 0.05 s"):
        fetched("/silent", {}, timeout_s=0.05)


def test_a_host_that_nobody_knows_is_told():
    async def look_up(_host: str, _port: int) -> list[str]:
        raise OSError

    with pytest.raises(AudioUnreachable, match="not known"):
        asyncio.run(Fetcher(look_up=look_up).fetch("http://nowhere.example/"))
