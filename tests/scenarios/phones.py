"""Simulated phones: each a SIP endpoint of its own, and somebody who uses it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plenary.sip import events as sip
from plenary.sip.config import Datagram, EndpointConfig, Listener
from plenary.sip.endpoint import Endpoint
from plenary.testing.sdp import Media

from .server_host import ADDRESS

if TYPE_CHECKING:
    from .simulation import Simulation

RINGS_S = 60.0
"""How long a phone rings at most."""


@dataclass
class PhoneCall:
    """One call as its phone knows it."""

    phone: Phone
    user: str
    """Unique to this call: what the server knows it by."""
    handle: str
    up: bool = False
    up_since: float = 0.0
    over: str = ""
    """Why it is over: how the endpoint has it. Empty: it is not."""
    status: int = 0
    """With which it was refused."""
    held: bool = False
    offering: bool = False
    """Our re-INVITE is under way."""
    wish: str = ""
    """Direction that this re-INVITE wants."""
    offers_seen: int = 0
    """re-INVITEs of the server."""
    hung_up: bool = False
    """By its user."""
    talking: bool = False
    late: bool = False
    """It has let the server make the offer."""


@dataclass(frozen=True, kw_only=True)
class Manner:
    """What the user does when it rings."""

    rings_after_s: float | None = 0.1
    """None: not at all."""
    answers_after_s: float | None = 1.0
    refuses_with: int = 0
    """0: not."""
    refuses_offers: bool = False
    """488 to any re-INVITE."""


class Phone:
    def __init__(self, sim: Simulation, name: str, host: str) -> None:
        self._sim = sim
        self.name = name
        self.address = (host, 5060)
        self.manner: Callable[[], Manner] = Manner
        self.calls: dict[str, PhoneCall] = {}
        self.ever: list[PhoneCall] = []
        self.there = False
        self._random = sim.stream(f"phone {name}")
        self._versions = itertools.count(1)
        self._numbers = itertools.count(1)
        self.switch_on()

    # --- What its user does --------------------------------------------------------------------------------------

    def dial(self, user: str, *, late: bool = False) -> PhoneCall:
        """Calls `user` of the server. `late`: without an offer."""
        me = f"{self.name}x{next(self._numbers)}"
        call = self._add(PhoneCall(self, me, me, late=late))
        self._note(call, f"calls {user[:8]}{' without an offer' if late else ''}")
        self._endpoint.invite(
            call.handle,
            f"sip:{user}@{ADDRESS[0]}",
            None if late else self._sdp(),
            self.name,
            self._sim.clock.now,
            f"sip:{me}@{self.address[0]}",
        )
        self._react()
        return call

    def hang_up(self, call: PhoneCall) -> None:
        if not call.over:
            call.hung_up = True
            self._note(call, "hangs up" if call.up else "gives up")
            self._endpoint.hang_up(call.handle, self._sim.clock.now)
            self._react()

    def hold(self, call: PhoneCall) -> None:
        self._offer(call, "sendonly")

    def resume(self, call: PhoneCall) -> None:
        self._offer(call, "sendrecv")

    def press(self, call: PhoneCall, digits: str) -> None:
        """The engine hears them, if it has the call's leg."""
        leg = self._sim.leg_of(call)
        self._note(call, f"presses {digits}{'' if leg else ', unheard'}")
        if leg:
            self._sim.engine.fake.press(leg, digits)

    def talk(self, call: PhoneCall, talking: bool) -> None:
        call.talking = talking
        if leg := self._sim.leg_of(call):
            self._sim.engine.fake.talk(leg, talking, self._sim.clock.now)

    def vanish(self) -> None:
        """Without a word: no packet comes from it any more, and none reaches it."""
        self._sim.note(self.name, f"vanishes in {len(self.calls)} calls")
        self.there = False
        self._sim.network.detach(self.address)
        for call in list(self.calls.values()):
            self._over(call, "vanished")

    def switch_on(self) -> None:
        """It is there (again), and remembers nothing."""
        if self.there:
            return
        self.there = True
        tokens = self._sim.stream(f"tokens of {self.name} after {len(self.ever)}")
        self._endpoint = Endpoint(
            EndpointConfig(listeners=(Listener(*self.address),), server_name=self.name),
            lambda: f"{tokens.getrandbits(64):016x}",
            self.name.encode(),
        )
        self._sim.network.attach(self.address, self)

    # --- A node of the network -----------------------------------------------------------------------------------

    def receive(self, data: bytes, source: tuple[str, int], now: float) -> None:
        self._endpoint.receive(data, source, now)
        self._react()

    def datagrams(self) -> Iterable[Datagram]:
        return self._endpoint.datagrams()

    def timeout(self) -> float | None:
        return self._endpoint.timeout()

    def fire(self, now: float) -> None:
        self._endpoint.fire(now)
        self._react()

    # --- Inside --------------------------------------------------------------------------------------------------

    def _add(self, call: PhoneCall) -> PhoneCall:
        self.calls[call.handle] = call
        self.ever.append(call)
        self._sim.by_user[call.user] = call
        return call

    def _note(self, call: PhoneCall, what: str) -> None:
        self._sim.note(call.user, what)

    def _sdp(self, direction: str = "sendrecv") -> str:
        return Media(self.address[0], 40_000, direction=direction).write(next(self._versions))

    def _offer(self, call: PhoneCall, direction: str) -> None:
        if call.up and not call.offering:
            call.offering, call.wish = True, direction
            self._note(call, f"re-INVITE, {direction}")
            self._endpoint.send_offer(call.handle, self._sdp(direction), self._sim.clock.now)
            self._react()

    def _over(self, call: PhoneCall, why: str) -> None:
        call.over, call.up = why, False
        del self.calls[call.handle]

    def _react(self) -> None:
        self._endpoint.changed()
        for event in self._endpoint.events():
            if isinstance(event, sip.Invited):
                self._invited(event)
            elif (call := self.calls.get(event.call)) is not None:
                self._heard(call, event)

    def _heard(self, call: PhoneCall, event: sip.SipEvent) -> None:
        now = self._sim.clock.now
        match event:
            case sip.Answered(sdp=sdp):
                self._note(call, "is answered")
                if call.late and sdp is not None:
                    self._endpoint.acknowledge(call.handle, self._sdp(), now)
                call.up, call.up_since = True, now
                self._sim.judge.told_200(call)
            case sip.Acked():
                pass
            case sip.Refused(status=status):
                call.status = status
                self._note(call, f"is refused: {status}")
                self._over(call, "refused")
            case sip.Ended(reason=reason):
                self._note(call, f"is over: {reason}")
                self._over(call, reason)
            case sip.Offered(sdp=sdp):
                call.offers_seen += 1
                self._note(call, "gets an offer")
                if self.manner().refuses_offers:
                    self._endpoint.refuse_offer(call.handle, 488, now)
                else:
                    self._endpoint.answer_offer(call.handle, self._sdp("sendonly" if call.held else "sendrecv"), now)
            case sip.OfferAnswered():
                call.offering, call.held = False, call.wish != "sendrecv"
                self._note(call, f"now {call.wish}")
            case sip.OfferRefused(status=status):
                call.offering = False
                self._note(call, f"offer refused: {status}")
            case _:
                pass

    def _invited(self, event: sip.Invited) -> None:
        call = self._add(PhoneCall(self, event.user, event.call))
        manner = self.manner()
        now = self._sim.clock.now
        self._note(call, "rings")
        if manner.refuses_with:
            self._endpoint.refuse(call.handle, manner.refuses_with, "", now)
        elif manner.rings_after_s is not None:
            self._sim.agenda.at(now + manner.rings_after_s, lambda: self._ring(call))
        if not manner.refuses_with and manner.answers_after_s is not None:
            self._sim.agenda.at(now + manner.answers_after_s, lambda: self._answer(call))

        self._sim.agenda.at(now + RINGS_S, lambda: self._tire(call))

    def _tire(self, call: PhoneCall) -> None:
        """Nobody is there: a caller whose CANCEL or last word was lost must not keep a phone ringing for ever."""
        if not call.over and not call.up:
            self._endpoint.refuse(call.handle, 480, "", self._sim.clock.now)
            self._react()

    def _ring(self, call: PhoneCall) -> None:
        if not call.over and not call.up:
            self._endpoint.ring(call.handle, self._sim.clock.now)
            self._react()

    def _answer(self, call: PhoneCall) -> None:
        if not call.over and not call.up:
            call.up, call.up_since = True, self._sim.clock.now
            self._note(call, "answers")
            self._endpoint.answer(call.handle, self._sdp(), self._sim.clock.now)
            self._react()
