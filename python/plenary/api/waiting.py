"""What lists and long polls have in common."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Generator

import msgspec

from ..store.views import MAX_PAGE_SIZE, Listing, Page
from . import decode
from .decode import Query
from .operation import PAGE_SIZE_DEFAULT
from .problems import Problem

LONG_POLLS_MAX = 100
"""Requests of one customer that wait for events at once. Each holds a connection; a few per application are plenty."""

_encoder = msgspec.json.Encoder()


class LongPolls:
    """Counts the requests that wait, by who asks."""

    def __init__(self) -> None:
        self._waiting: Counter[str] = Counter()

    @contextlib.contextmanager
    def one_more(self, who: str, beyond: int = 0) -> Generator[None]:
        """Raises Problem if `LONG_POLLS_MAX` and as many `beyond` wait already."""
        most = LONG_POLLS_MAX + beyond
        if self._waiting[who] >= most:
            raise Problem(
                "too_many_long_polls", f"{most} requests of yours wait already: leave out 'wait_s', or try later."
            )
        self._waiting[who] += 1
        try:
            yield
        finally:
            self._waiting[who] -= 1
            if not self._waiting[who]:
                del self._waiting[who]


async def either(first: Awaitable[None], second: Awaitable[None]) -> bool:
    """Waits until one of the two returns, and cancels the other. True if it was only the second."""
    tasks = [asyncio.ensure_future(first), asyncio.ensure_future(second)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            tasks[0].result()
        return not tasks[0].done()
    finally:
        for task in tasks:
            task.cancel()


def page_of(query: Query) -> Page:
    size = decode.integer(query, "page_size", PAGE_SIZE_DEFAULT, 1, MAX_PAGE_SIZE)
    return Page(size=size, token=query.get("page_token", ""))


def conference_of(query: Query) -> str | None:
    text = query.get("conference_id")
    return None if text is None else decode.uuid(text, "conference_id")


def listed(listing: Listing) -> bytes:
    """The rows are JSON already: they are put together, not read."""
    return b'{"result":[%b],"next_page_token":%b}' % (
        b",".join(listing.items),
        _encoder.encode(listing.next_page_token),
    )
