"""A recording over HTTP: ranges and validators (RFC 9110, sections 13 and 14)."""

import pytest

from plenary.api import reply
from plenary.api.download import byte_range
from plenary.api.problems import Problem

from .fake import Client, FakeServer

SOUND = bytes(range(256)) * 4


@pytest.fixture
def path(server: FakeServer) -> str:
    return f"/v1.0/recordingfiles/{server.a_recording(SOUND).id}"


def test_the_whole_file_comes_as_wav_with_a_name(client: Client, server: FakeServer, path: str):
    answer = client.get(path)
    assert (answer.status_code, answer.content) == (200, SOUND)
    assert answer.headers["content-type"] == "audio/wav"
    assert answer.headers["content-length"] == "1024"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-disposition"] == f'attachment; filename="recording-{path.rpartition("/")[2]}.wav"'
    assert all(file.closed for file in server.files.values())


@pytest.mark.parametrize(
    ("header", "content_range", "content"),
    [
        ("bytes=0-9", "bytes 0-9/1024", SOUND[:10]),
        ("bytes=0-0", "bytes 0-0/1024", SOUND[:1]),
        ("bytes=1000-", "bytes 1000-1023/1024", SOUND[1000:]),
        ("bytes=1000-5000", "bytes 1000-1023/1024", SOUND[1000:]),
        ("bytes=-10", "bytes 1014-1023/1024", SOUND[-10:]),
        ("bytes=-5000", "bytes 0-1023/1024", SOUND),
        ("Bytes= 5-6 ", "bytes 5-6/1024", SOUND[5:7]),
    ],
)
def test_a_range_is_answered_with_206(client: Client, path: str, header: str, content_range: str, content: bytes):
    answer = client.get(path, headers={"range": header})
    assert (answer.status_code, answer.content) == (206, content)
    assert answer.headers["content-range"] == content_range
    assert answer.headers["content-length"] == str(len(content))


@pytest.mark.parametrize("header", ["bytes=1024-", "bytes=5000-6000", "bytes=-0"])
def test_a_range_outside_the_file_is_answered_with_416(client: Client, server: FakeServer, path: str, header: str):
    answer = client.get(path, headers={"range": header})
    assert (answer.status_code, answer.json()["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["content-range"] == "bytes */1024"
    assert all(file.closed for file in server.files.values())


@pytest.mark.parametrize(
    "header", ["seconds=0-1", "bytes=a-b", "bytes=-", "bytes=9-5", "bytes=0-1,5-6", "bytes", "bytes=" + "9" * 400 + "-"]
)
def test_a_range_that_we_do_not_serve_is_ignored(client: Client, path: str, header: str):
    """RFC 9110, section 14.2."""
    assert client.get(path, headers={"range": header}).status_code == 200


def test_a_resumed_download_starts_again_if_the_file_has_grown(client: Client, server: FakeServer, path: str):
    """`If-Range` (RFC 9110, section 13.1.5)."""
    etag = client.get(path).headers["etag"]
    for file in server.files.values():
        file.closed = False
    wanted = {"range": "bytes=1000-", "if-range": etag}
    assert client.get(path, headers=wanted).status_code == 206
    for file in server.files.values():
        file.closed, file.content = False, SOUND + b"more"
    assert client.get(path, headers=wanted).status_code == 200


@pytest.mark.parametrize(("tags", "status"), [("{}", 304), ('"x", W/{}', 304), ("*", 304), ('"x"', 200)])
def test_what_the_client_has_is_not_sent_again(client: Client, server: FakeServer, path: str, tags: str, status: int):
    etag = client.send("HEAD", path).headers["etag"]
    for file in server.files.values():
        file.closed = False
    answer = client.get(path, headers={"if-none-match": tags.format(etag)})
    assert (answer.status_code, answer.headers["etag"]) == (status, etag)
    assert len(answer.content) == (0 if status == 304 else 1024)


def test_head_tells_the_length_and_reads_nothing(client: Client, server: FakeServer, path: str):
    answer = client.send("HEAD", path)
    assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "1024", b"")
    assert [(file.bytes_read, file.closed) for file in server.files.values()] == [(0, True)]


def test_a_long_file_is_read_in_pieces(client: Client, path: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reply, "CHUNK", 100)
    assert client.get(path).content == SOUND


def test_an_empty_file_is_no_error(client: Client, server: FakeServer):
    path = f"/v1.0/recordingfiles/{server.a_recording(b'').id}"
    assert client.get(path).content == b""


def test_a_recording_without_sound_says_so(client: Client, server: FakeServer):
    answer = client.get(f"/v1.0/recordingfiles/{server.a_recording().id}")
    assert (answer.status_code, answer.json()["code"]) == (404, "recording_has_no_file")


@pytest.mark.parametrize("size", range(4))
@pytest.mark.parametrize("header", [f"bytes={a}-{b}" for a in ["", 0, 1, 2, 3, 9] for b in ["", 0, 1, 2, 3, 9]])
def test_every_range_lies_within_the_file(header: str, size: int):
    try:
        found = byte_range(header, size)
    except Problem:
        return
    if found is not None:
        first, length = found
        assert 0 <= first < first + length <= size
