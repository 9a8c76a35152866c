"""Who is in which room now, as it is on disk, for those who watch it.

Fed with the rows of each turn after its commit (`apply`). A room's `version` changes with everything that `members` and
`call` show of it; `wait` returns when it does. Someone who talks makes a room change several times a second, for every
page that watches: so those who wait are woken at most once in `WAKE_S`, and find all that has happened meanwhile.
"""

import asyncio
import contextlib
from collections import Counter, OrderedDict
from collections.abc import Iterable

import msgspec

from ..core.changes import Row
from ..core.ids import ZERO_ID
from ..core.resources import (
    Call,
    CallStatus,
    Conference,
    Conferencecall,
    ConferencecallStatus,
    ConferenceStatus,
)

WAKE_S = 0.2
"""How fresh a watched room is: what people take for at once."""
OVER_KEPT = 1_000
"""Calls of browsers that are over, of which their pages can still learn why."""


class Page(msgspec.Struct, frozen=True):
    """A browser's call, and its newest stay in the conference."""

    call: Call
    member: Conferencecall | None


class _Room:
    def __init__(self, version: int) -> None:
        self.version = version
        self.members: dict[str, Conferencecall] = {}
        self.calls: set[str] = set()
        """Calls of browsers that are up."""
        self.recording = False
        self.over = False
        self.waiting: set[asyncio.Future[None]] = set()
        self.quiet_until = 0.0
        self.alarm: asyncio.TimerHandle | None = None


class Roster:
    """`life` names this start of the server: versions of another one are out of date."""

    def __init__(self, life: str) -> None:
        self._life = life
        self._rooms: dict[str, _Room] = {}
        self._versions = 0
        self._calls: dict[str, Call] = {}
        self._stays: dict[str, Conferencecall] = {}
        """Call of a browser -> its newest conferencecall."""
        self._over: OrderedDict[str, Page] = OrderedDict()
        self._by_token: Counter[str] = Counter()
        """Join token -> calls by it that are up."""
        self._closed = False

    def load(self, rows: Iterable[Row]) -> None:
        """What there was when the server started."""
        for row in rows:
            self._take(row)

    def apply(self, rows: Iterable[Row]) -> None:
        """What a turn has changed, now that it is on disk."""
        changed = {conference for row in rows if (conference := self._take(row))}
        for conference in changed:
            room = self._rooms.get(conference)
            if room is not None:
                self._versions += 1
                room.version = self._versions
                self._wake(room)
                self._forget_if_empty(conference, room)

    def close(self) -> None:
        """The server ends: nobody waits any longer."""
        self._closed = True
        for room in self._rooms.values():
            _release(room)

    # --- Looking -------------------------------------------------------------------------------------------------

    def version(self, conference: str) -> str:
        room = self._rooms.get(conference)
        return f"{self._life}-{room.version if room is not None else 0}"

    def members(self, conference: str) -> list[Conferencecall]:
        """Who is in the room, in the order in which they came."""
        room = self._rooms.get(conference)
        joined = [] if room is None else list(room.members.values())
        return [member for member in joined if member.status is ConferencecallStatus.JOINED]

    def recorded(self, conference: str) -> bool:
        """Whether the room is being recorded."""
        room = self._rooms.get(conference)
        return room is not None and room.recording

    def page(self, call: str) -> Page | None:
        """A browser's call that is up, or has been over for not too long."""
        found = self._calls.get(call)
        if found is None:
            return self._over.get(call)
        return Page(found, self._stays.get(call))

    def seated(self, token: str) -> bool:
        """Whether a call that was made by this join token is up."""
        return token in self._by_token

    async def wait(self, conference: str, version: str, timeout_s: float) -> None:
        """Returns when the room has another version than this one, or after `timeout_s`."""
        if self._closed or self.version(conference) != version:
            return
        room = self._rooms.setdefault(conference, _Room(0))
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        room.waiting.add(future)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await future
        finally:
            room.waiting.discard(future)
            self._forget_if_empty(conference, room)

    # --- Inside --------------------------------------------------------------------------------------------------

    def _take(self, row: Row) -> str:
        """Notes it. Returns the conference that it is about, or nothing."""
        match row.resource:
            case Conferencecall() as member:
                room = self._room(member.conference_id)
                if member.status is ConferencecallStatus.LEAVED:
                    room.members.pop(member.id, None)
                else:
                    room.members[member.id] = member
                if member.kind == "web":
                    self._stay(member)
                return member.conference_id
            case Call(source=source, destination=destination) as call if source.type == "web":
                self._call(call, self._room(destination.target))
                return destination.target
            case Conference() as conference:
                recording = conference.recording_id != ZERO_ID
                if conference.id not in self._rooms and not recording:
                    return ""
                room = self._room(conference.id)
                room.over = conference.status is ConferenceStatus.TERMINATED
                changed, room.recording = room.recording != recording, recording
                return conference.id if changed or room.over else ""
            case _:
                return ""

    def _room(self, conference: str) -> _Room:
        room = self._rooms.get(conference)
        if room is None:
            self._versions += 1
            room = self._rooms[conference] = _Room(self._versions)
        return room

    def _forget_if_empty(self, conference: str, room: _Room) -> None:
        empty = not (room.members or room.calls or room.waiting) and (room.over or not room.recording)
        if empty and self._rooms.get(conference) is room:
            del self._rooms[conference]

    def _stay(self, member: Conferencecall) -> None:
        call = member.reference_id
        if call in self._over:
            self._over[call] = Page(self._over[call].call, member)
        elif call in self._calls or member.status is not ConferencecallStatus.LEAVED:
            self._stays[call] = member  # else his call is long over, and nothing would ever take it away again

    def _call(self, call: Call, room: _Room) -> None:
        token = call.source.target
        if call.status is not CallStatus.HANGUP:
            self._by_token[token] += call.id not in self._calls
            self._calls[call.id] = call
            room.calls.add(call.id)
            return
        if self._calls.pop(call.id, None) is not None:
            self._by_token[token] -= 1
            if not self._by_token[token]:
                del self._by_token[token]
        room.calls.discard(call.id)
        self._over[call.id] = Page(call, self._stays.pop(call.id, None))
        if len(self._over) > OVER_KEPT:
            self._over.popitem(last=False)

    def _wake(self, room: _Room) -> None:
        if not room.waiting or room.alarm is not None:
            return
        loop = asyncio.get_running_loop()
        wait_s = room.quiet_until - loop.time()
        if wait_s > 0:
            room.alarm = loop.call_later(wait_s, self._ring, room)
        else:
            self._ring(room)

    def _ring(self, room: _Room) -> None:
        room.alarm = None
        room.quiet_until = asyncio.get_running_loop().time() + WAKE_S
        _release(room)


def _release(room: _Room) -> None:
    for future in room.waiting:
        if not future.done():
            future.set_result(None)
