"""The API's doors to the server: reads of the database and of files, each in a thread: no call waits for a disk."""

import hashlib
from collections.abc import Callable, Mapping
from statistics import median

import msgspec

from .api import credentials
from .api.answers import CallQuality, CallStatistics, ConferenceQuality, DelayFigures
from .api.joining import SHOWN_MAX
from .api.problems import Problem
from .core.errors import NotFound
from .core.ids import NEVER, stamp
from .core.resources import JoinToken
from .media import quality
from .media.messages import LegStats
from .recordings.files import OpenRecording
from .server import Server
from .store.views import Listing, Page
from .web import tokens

KEYS_REMEMBERED = 1_000
"""Access keys in use at the same time; beyond that all are looked up anew."""
KEY_REMEMBERED_S = 5.0
"""How long a key that was taken back may still be good."""


class Customers:
    """`api.deps.ApiDeps.customer_of` over the store, which asks it once in a while for each key that is in use.

    Only good keys are remembered, and of those the hash: guesses fill nothing, and no key stays in memory.
    """

    def __init__(self, server: Server, clock: Callable[[], float]) -> None:
        self._server = server
        self._clock = clock
        self._known: dict[bytes, tuple[str, float]] = {}

    async def of(self, key: str) -> str | None:
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
        customer, until = self._known.get(digest, (None, 0.0))
        if customer is not None and self._clock() < until:
            return customer
        customer = await self._server.read(self._server.store.customer_of, key)
        self._known.pop(digest, None)
        if customer is not None:
            if len(self._known) >= KEYS_REMEMBERED:
                self._known.clear()
            self._known[digest] = (customer, self._clock() + KEY_REMEMBERED_S)
        return customer


class Views:
    """`api.deps.Views` over the store."""

    def __init__(self, server: Server) -> None:
        self._read = server.read
        self._views = server.store.views

    async def conference(self, customer: str, id: str) -> bytes:
        return await self._read(self._views.conference, customer, id)

    async def conferencecall(self, customer: str, id: str) -> bytes:
        return await self._read(self._views.conferencecall, customer, id)

    async def recording(self, customer: str, id: str) -> bytes:
        return await self._read(self._views.recording, customer, id)

    async def call(self, customer: str, id: str) -> bytes:
        return await self._read(self._views.call, customer, id)

    async def conferences(self, customer: str, page: Page) -> Listing:
        return await self._read(self._views.conferences, customer, page)

    async def conferencecalls(self, customer: str, page: Page, conference: str | None = None) -> Listing:
        return await self._read(self._views.conferencecalls, customer, page, conference)

    async def recordings(self, customer: str, page: Page) -> Listing:
        return await self._read(self._views.recordings, customer, page)

    async def calls(self, customer: str, page: Page) -> Listing:
        return await self._read(self._views.calls, customer, page)

    async def join_tokens(self, customer: str, page: Page, conference: str) -> Listing:
        return await self._read(self._views.join_tokens, customer, page, conference)

    async def events(self, customer: str, after: int, limit: int, conference: str | None) -> list[tuple[int, bytes]]:
        return await self._read(self._views.events, customer, after, limit, conference)


def statistics(server: Server, call: str) -> CallStatistics | None:
    """What the engine last said of the call's media."""
    found = server.statistics_of(call)
    if found is None:
        return None
    return CallStatistics(
        call_id=call, **{name: getattr(found, name) for name in CallStatistics.__struct_fields__ if name != "call_id"}
    )


class Tokens:
    """`api.deps.Tokens` over the store, which asks it once in a while for each token that is in use."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._known: dict[str, tuple[JoinToken, float]] = {}
        """Good ones, by id, and until when they need not be asked for."""
        self._revocations = 0
        """How many were taken back: what was read before one of them may be out of date, and is not remembered."""

    def looks_like_one(self, text: str) -> bool:
        return tokens.looks_like_one(text)

    async def issue(self, token: JoinToken, expires: int) -> str:
        await self._server.write(self._server.store.add_join_token, token)
        return tokens.sign(token, expires, self._server.join_key)

    async def verify(self, text: str) -> JoinToken:
        now = self._server.now()
        try:
            id, expires = tokens.verify(text, self._server.join_key)
        except tokens.BadToken:
            raise Problem(
                "invalid_credentials", "This is no join token of this server.", headers=credentials.REFUSED
            ) from None
        if expires <= now and not self._server.roster.seated(id):
            raise Problem("token_expired", "This join token has expired.", headers=credentials.REFUSED)
        known, until = self._known.get(id, (None, 0.0))
        if known is not None and now < until:
            return known
        before = self._revocations
        found = await self._server.read(self._server.store.join_token, id)
        if found is None or found.tm_delete != NEVER:
            raise Problem("token_revoked", "This join token was taken back.", headers=credentials.REFUSED)
        if before == self._revocations:
            if len(self._known) >= KEYS_REMEMBERED:
                self._known.clear()
            self._known[id] = (found, now + KEY_REMEMBERED_S)
        return found

    async def revoke(self, customer: str, conference: str, id: str) -> JoinToken:
        store = self._server.store
        await self._server.read(store.views.conference, customer, conference)
        found = await self._server.read(store.join_token, id)
        if found is None or (found.customer_id, found.conference_id) != (customer, conference):
            raise NotFound("token_not_found", "There is no join token with this id.")
        if found.tm_delete == NEVER:
            found = msgspec.structs.replace(found, tm_delete=stamp(self._server.now()))
            await self._server.write(store.change_join_token, found)
        self._known.pop(id, None)
        self._revocations += 1
        return found


class Quality:
    """`api.deps.Quality`: what the engine last said, in the words of `media.quality`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def of_call(self, call: str) -> CallQuality | None:
        found = self._server.statistics_of(call)
        if found is None:
            return None
        members = {member.reference_id: member.id for member in self._server.roster.members(found.room or "")}
        delays = quality.compared(self._in_room(members))
        return _quality(found, members.get(call, ""), quality.mouth_to_ear(found, delays))

    def of_conference(self, conference: str) -> ConferenceQuality:
        members = {member.reference_id: member.id for member in self._server.roster.members(conference)}
        legs = self._in_room(members)
        delays = quality.compared(legs)
        room = quality.of_room(delays)
        shown = legs[:SHOWN_MAX]
        each = [_quality(leg, members[leg.leg], quality.mouth_to_ear(leg, delays)) for leg in shown]
        scores, model = quality.opinions_in_room(legs, room.median_ms)
        return ConferenceQuality(
            conference_id=conference,
            mouth_to_ear_ms=_rounded(room.median_ms),
            mouth_to_ear_worst_ms=_rounded(room.worst_ms),
            worst_speaker_id=members.get(room.worst_speaker, ""),
            worst_listener_id=members.get(room.worst_listener, ""),
            mos=round(median(scores), 2) if scores else None,
            mos_worst=round(min(scores), 2) if scores else None,
            mos_model=model,
            participants=each,
        )

    def _in_room(self, members: Mapping[str, str]) -> list[LegStats]:
        return [found for call in members if (found := self._server.statistics_of(call)) is not None]


def _quality(leg: LegStats, member: str, mouth_to_ear_ms: float | None) -> CallQuality:
    delay = quality.delay_of(leg)
    opinion = quality.opinion(leg, mouth_to_ear_ms)
    score, model = opinion or (None, None)
    return CallQuality(
        call_id=leg.leg,
        conferencecall_id=member,
        codec=leg.codec,
        sample_rate_hz=leg.sample_rate_hz,
        transport=leg.transport,
        delay=DelayFigures(**{stage: _rounded(ms) for stage, ms in msgspec.structs.asdict(delay).items()}),
        mouth_to_ear_ms=_rounded(mouth_to_ear_ms),
        loss_percent=_rounded(leg.loss_percent),
        loss_out_percent=_rounded(leg.loss_out_percent),
        jitter_ms=round(leg.jitter_ms, 3),
        concealed_ms=leg.concealed_ms,
        fec_ms=leg.fec_ms,
        stretched_ms=leg.stretched_ms,
        starved=leg.starved,
        mos=None if score is None else round(score, 2),
        mos_model=model,
        words=None if score is None else quality.words(score),
    )


def _rounded(figure: float | None) -> float | None:
    """To what is worth telling: microseconds of milliseconds."""
    return None if figure is None else round(figure, 3)


class LogTail:
    """`api.deps.LogTail` over the server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def position(self) -> int:
        return self._server.last_position

    async def wait(self, customer: str, after: int, timeout_s: float) -> None:
        await self._server.wait_for_events(customer, after, timeout_s)


class RecordingFile:
    """`api.deps.RecordingFile` over the parts on disk."""

    def __init__(self, server: Server, recording: OpenRecording) -> None:
        self._read = server.read
        self._recording = recording

    @property
    def size(self) -> int:
        return self._recording.size

    async def read(self, offset: int, length: int) -> bytes:
        return await self._read(self._recording.read, offset, length)

    async def close(self) -> None:
        await self._read(self._recording.close)


class RecordingFiles:
    """`api.deps.RecordingFiles` over the data folder."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def open(self, recording: str) -> RecordingFile | None:
        found = await self._server.read(self._server.files.open, recording)
        return None if found is None else RecordingFile(self._server, found)
