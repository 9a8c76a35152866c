"""Simulated pages in browsers: each a tab that asks over HTTP, asks again when nobody answers, and keeps its seat."""

from __future__ import annotations

import itertools
import uuid
from typing import TYPE_CHECKING, Any

from plenary.core import events
from plenary.core.errors import Refusal
from plenary.core.resources import Call

if TYPE_CHECKING:
    from .simulation import Simulation

RETRY_S = 0.5
LOOKS_S = 0.5
"""How often the page asks how it stands. (The real one is told at once.)"""
PATIENCE_S = 90.0
"""How long it tries to get in, or back."""
AGAIN = frozenset({"offer_pending", "engine_away", "media_lost", "unavailable", "server_ending", "server_busy"})
"""Refusals after which a page asks once more; with the others it is over."""


class Tab:
    """A tab of a browser, opened with a token of its own."""

    def __init__(self, sim: Simulation, name: str) -> None:
        self._sim = sim
        self.name = name
        self.call = ""
        self.up = False
        """It sends sound, or STUN at least."""
        self.over = ""
        """Why it is; empty: it is not, or has not begun."""
        self.joins = 0
        """Times that it was let in, or back."""
        self._room = ""
        self._asking = False
        self._asking_since = 0.0
        self._leaving = False
        self._ids = sim.stream(f"calls of {name}")
        self._offers = itertools.count(1)
        sim.tabs[name] = self

    # --- What its user does --------------------------------------------------------------------------------------

    def join(self, room: str) -> Tab:
        self._room = room
        self._ask_in()
        self._watch()
        return self

    def reload(self) -> None:
        """The page is loaded anew: another peer, the same seat."""
        if not self.over:
            self._note("reloads")
            self._ask_in()

    def change_network(self) -> None:
        """ICE restart."""
        if self.call and not self.over and not self._asking:
            self._note("restarts ICE")
            self._about(events.RestartSession, self._restarted, sdp=self._offer(new=False))

    def leave(self) -> None:
        if not self.over and not self._leaving:
            self._leaving = True
            self._note("leaves")
            self._leave()

    def vanish(self) -> None:
        """The tab is closed without a word, or its machine sleeps."""
        if not self.over:
            self._note("vanishes")
            self._end("vanished")

    def press(self, digits: str) -> None:
        if self.call and not self.over:
            self._about(events.PressDigits, lambda _: None, digits=digits)

    def mute(self, muted: bool) -> None:
        if self.call and not self.over:
            self._about(events.MuteSelf, lambda _: None, muted=muted)

    # --- Inside --------------------------------------------------------------------------------------------------

    @property
    def row(self) -> Call | None:
        row = self._sim.judge.rows.get(self.call)
        assert row is None or isinstance(row, Call)
        return row

    def _note(self, what: str) -> None:
        self._sim.note(self.name, what)

    def _later(self, seconds: float, what: Any) -> None:
        self._sim.agenda.at(self._sim.clock.now + seconds, what)

    def _end(self, why: str) -> None:
        self.up, self.over = False, why

    def _offer(self, *, new: bool) -> str:
        number = next(self._offers)
        fingerprint = ":".join([f"{number if new else 1:02X}"] * 32)
        lines = ["v=0", f"o=- 1 {number} IN IP4 10.0.2.1", "s=-", "t=0 0", "m=audio 9 UDP/TLS/RTP/SAVPF 111"]
        lines += ["c=IN IP4 0.0.0.0", f"a=ice-ufrag:u{number}", "a=ice-pwd:of-at-least-22-characters", "a=mid:0"]
        lines += [f"a=fingerprint:sha-256 {fingerprint}", "a=rtpmap:111 opus/48000/2", "a=sendrecv"]
        return "\r\n".join(lines) + "\r\n"

    def _ask_in(self) -> None:
        if self._asking or self.over:
            return
        self._asking, self._asking_since = True, self._sim.clock.now
        self._post()

    def _post(self) -> None:
        self._sim.ask(
            events.JoinConference,
            self._answered,
            conference=self._room,
            call=str(uuid.UUID(int=self._ids.getrandbits(128), version=4)),
            sdp=self._offer(new=True),
            name=self.name,
            seat="seat",
            token=self.name,
            seats_max=1,
        )

    def _answered(self, answer: Any) -> None:
        if self.over:
            return
        if answer is None or (isinstance(answer, Refusal) and answer.code in AGAIN):
            if self._sim.clock.now - self._asking_since > PATIENCE_S:
                self._end("gave up")
            else:
                self._later(RETRY_S, self._again)
            return
        self._asking = False
        if isinstance(answer, Refusal):
            self._end(answer.code)
            return
        self._note("is answered")
        self.call, self.up = answer.call, True
        self.joins += 1
        self._sim.judge.told_201(self)

    def _again(self) -> None:
        if not self.over:
            self._post()

    def _about(self, kind: type[events.PageRequest], told: Any, **fields: object) -> None:
        self._sim.ask(kind, told, conference=self._room, call=self.call, token=self.name, **fields)

    def _restarted(self, answer: Any) -> None:
        if answer is None or isinstance(answer, Refusal):
            self._ask_in()

    def _leave(self) -> None:
        if self.over:
            return
        if self.call:
            self._about(events.LeaveConference, self._left)
        elif self._asking:
            self._later(RETRY_S, self._leave)

    def _left(self, answer: Any) -> None:
        if answer is None or (isinstance(answer, Refusal) and answer.code in AGAIN):
            self._later(RETRY_S, self._leave)
        else:
            self._end("left")

    def _watch(self) -> None:
        if self.over:
            return
        row = self.row
        if row is not None and row.status == "hangup":
            self._note(f"hears that it is over: {row.hangup_reason}")
            self._end(row.hangup_reason)
            return
        if row is not None and row.media_lost:
            self._ask_in()
        self._later(LOOKS_S, self._watch)
