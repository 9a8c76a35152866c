"""Runs another program on bytes: no shell, an empty environment, a limit on time and on what it may answer."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence

import msgspec

from .errors import AudioTooLarge, SpeechFailed, SpeechTimeout, SpeechUnavailable

_CHUNK = 65_536
_COMPLAINT_MAX = 300
"""Characters of a program's last words that are passed on."""

_END_TIMEOUT_S = 1.0
"""After a kill there is nothing to wait for, unless a program has hidden a child from us."""


class Program(msgspec.Struct, frozen=True):
    """A program by name, and the Debian package that brings it."""

    name: str
    package: str


async def run(program: Program, arguments: Sequence[str], given: bytes, *, limit: int, timeout_s: float) -> bytes:
    """What the program writes when it reads `given`. No argument may come from a user.

    Raises `SpeechUnavailable` (not installed), `SpeechTimeout`, `AudioTooLarge` (more than `limit` bytes),
    `SpeechFailed` (it ended with another status than 0). The program is gone when this returns or raises.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            program.name,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"},
            start_new_session=True,  # Ctrl-C at the terminal is for the server alone
        )
    except FileNotFoundError:
        raise SpeechUnavailable(
            f"The program {program.name} is not installed on the server: apt install {program.package}."
        ) from None
    except OSError as error:
        raise SpeechUnavailable(f"The program {program.name} can't be started: {error.strerror}.") from error
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.timeout(timeout_s):
            feeding = asyncio.ensure_future(_feed(process.stdin, given))
            complaining = asyncio.ensure_future(_read(process.stderr, _CHUNK))
            try:
                said = await _read(process.stdout, limit + 1)
                if len(said) > limit:
                    raise AudioTooLarge("This is more sound than one prompt may have: make it shorter.")
                complaint = await complaining
                status = await process.wait()
            finally:
                feeding.cancel()
                complaining.cancel()
                await asyncio.gather(feeding, complaining, return_exceptions=True)
    except TimeoutError:
        raise SpeechTimeout(f"The program {program.name} took longer than {timeout_s:g} s.") from None
    finally:
        if process.returncode is None:
            await _end(process)
    if status != 0:
        words = " ".join(complaint.decode("utf-8", "replace").split())[:_COMPLAINT_MAX]
        raise SpeechFailed(f"The program {program.name} failed (status {status}{f': {words}' if words else ''}).")
    return said


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kills the program with all that it started. Its pipes are read to their end: asyncio waits for that as well."""
    assert process.stdout is not None
    assert process.stderr is not None
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_END_TIMEOUT_S):
            while await process.stdout.read(_CHUNK):
                pass
            while await process.stderr.read(_CHUNK):
                pass
            await process.wait()


async def _feed(pipe: asyncio.StreamWriter, given: bytes) -> None:
    with contextlib.suppress(ConnectionError):  # a program may have enough before the end
        pipe.write(given)
        await pipe.drain()
    pipe.close()


async def _read(pipe: asyncio.StreamReader, limit: int) -> bytes:
    """All that comes, or its first `limit` bytes and the rest left unread."""
    parts: list[bytes] = []
    missing = limit
    while missing > 0 and (part := await pipe.read(min(missing, _CHUNK))):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
