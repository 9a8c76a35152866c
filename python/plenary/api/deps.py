"""What the API needs from the rest of the server: the typed doors that `create_app` is handed.

Everything that blocks (database, files) is behind an `async` method; whoever implements it chooses the thread.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..core.events import JoinConference, Request, RestartSession
from ..core.resources import JoinToken, Resource
from ..store.views import Listing, Page
from .answers import CallQuality, CallStatistics, ConferenceQuality, SipListener
from .metrics import Metrics
from .roster import Roster

Ask = Callable[[Callable[[int], Request]], Awaitable[Resource | list[Resource]]]
"""Puts a request to the switch: `ask(lambda number: HangUpCall(ask=number, customer=..., call=...))`.

Returns what the `Reply` holds once it is on disk, or raises the `Refusal`.
"""


class SdpAnswer(Protocol):
    @property
    def call(self) -> str: ...
    @property
    def sdp(self) -> str: ...


Exchange = Callable[[Callable[[int], JoinConference | RestartSession]], Awaitable[SdpAnswer]]
"""Has an offer answered: returns the answer once it is on disk that it was given, or raises the `Refusal`."""


class Tokens(Protocol):
    def looks_like_one(self, text: str) -> bool:
        """Whether it is a join token, good or not, and no access key."""
        ...

    async def issue(self, token: JoinToken, expires: int) -> str:
        """Keeps and signs it; `expires` in seconds since the epoch. Raises `LimitReached`."""
        ...

    async def verify(self, text: str) -> JoinToken:
        """The token that is good; one that has expired still is for as long as a call by it is up. Raises `Problem`."""
        ...

    async def revoke(self, customer: str, conference: str, id: str) -> JoinToken:
        """Takes it back, if that was not done before. Raises `NotFound`."""
        ...


class Quality(Protocol):
    def of_call(self, call: str) -> CallQuality | None:
        """None: it has no media (any more), or they are too young to have any figures."""
        ...

    def of_conference(self, conference: str) -> ConferenceQuality: ...


class Views(Protocol):
    """`store.views.Views`, each read awaited: what is on disk, of one customer.

    A resource is its JSON as the API sends it. What is another customer's raises `NotFound`, as what never was; a page
    token that no page gave raises `Invalid`.
    """

    async def conference(self, customer: str, id: str) -> bytes: ...

    async def conferences(self, customer: str, page: Page) -> Listing: ...

    async def conferencecall(self, customer: str, id: str) -> bytes: ...

    async def conferencecalls(self, customer: str, page: Page, conference: str | None = None) -> Listing:
        """`conference` None: of all conferences."""
        ...

    async def recording(self, customer: str, id: str) -> bytes: ...

    async def recordings(self, customer: str, page: Page) -> Listing: ...

    async def call(self, customer: str, id: str) -> bytes: ...

    async def calls(self, customer: str, page: Page) -> Listing: ...

    async def join_tokens(self, customer: str, page: Page, conference: str) -> Listing:
        """Those of one conference that were not taken back."""
        ...

    async def events(self, customer: str, after: int, limit: int, conference: str | None) -> list[tuple[int, bytes]]:
        """Up to `limit` entries of the log beyond position `after`, in order: (position, JSON of the `LogEntry`)."""
        ...


class LogTail(Protocol):
    """The end of the event log, of all customers together."""

    def position(self) -> int:
        """Position of the last entry on disk, 0 if there is none."""
        ...

    async def wait(self, customer: str, after: int, timeout_s: float) -> None:
        """Returns as soon as there is an entry of the customer's beyond position `after`, or after `timeout_s`, or when
        the server is about to end."""
        ...


class RecordingFile(Protocol):
    """A recording as one WAV file, as long as it was when it was opened."""

    @property
    def size(self) -> int:
        """Bytes, header included."""
        ...

    async def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`; both are within the file."""
        ...

    async def close(self) -> None: ...


class RecordingFiles(Protocol):
    async def open(self, recording: str) -> RecordingFile | None:
        """None: nothing has been written yet, or the files are gone."""
        ...


@dataclass(frozen=True, kw_only=True)
class ApiDeps:
    ask: Ask
    customer_of: Callable[[str], Awaitable[str | None]]
    """The customer whose access key this is, None if it is nobody's."""
    views: Views
    log: LogTail
    recordings: RecordingFiles
    statistics: Callable[[str], CallStatistics | None]
    """Of a call, by id; None: it has no media (any more), or they are too young to have any figures."""
    exchange: Exchange
    tokens: Tokens
    roster: Roster
    quality: Quality
    ready: Callable[[], list[str]]
    """Why the server is not ready to take calls, a sentence each. Empty: it is."""
    sip: list[SipListener]
    """Where phones call."""
    clock: Callable[[], float]
    """Seconds, monotonic: how long requests take and long polls have left."""
    wall_clock: Callable[[], float]
    """Seconds since the epoch."""
    version: str
    webrtc: bool = True
    """Whether browsers are let in."""
    join_page: Path | None = None
    """Folder of the join page as it was built; None: it was not."""
    address: str = "http://127.0.0.1:8080"
    """Where users reach the API: the curl lines of the documentation go there."""
    metrics: Metrics = field(default_factory=Metrics)
    open_metrics: bool = False
    """`/metrics` needs no key. For a listener that only programs on this machine reach."""
