"""The media session of a call: offers and answers between phone and engine, and what the leg in the engine should do.

Theory of operation. A call's leg in the engine is brought about by one offer/answer exchange (RFC 3264), and changed by
further ones. `exchange` says what the one that is under way waits for: an SDP from the engine (`ANSWERING`,
`OFFERING`, ...) or one from the phone (`OFFERED`, `REOFFERED`). Only one is under way at a time; the phone's next offer
waits for its end. `negotiated` says whether sound can flow; that does not change while a later exchange is under way.

Where the leg should be (`room`) and what it should play (`plays`) is kept as the wish that it is, and told to the
engine once the leg is there. So the same few lines serve a late offer, whose leg comes up after the flow has started,
and an engine that was started again.

A browser can't be offered anything: whatever its page wants anew, it asks for (`renewed`). So when its leg is gone, all
that can be done is to wait for it (`AWAITED`); it has `SEAT_HELD_S` for that.

A new engine knows nothing of our legs. Where the phone already has an SDP of the old one, it gets a new offer
(`RECOVERING`, `REOFFERED`); if it has not confirmed the call yet, as soon as it has (`stale`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

import msgspec

from .commands import (
    AnswerOffer,
    ApplySdp,
    CloseLeg,
    Command,
    JoinRoom,
    LeaveRoom,
    OfferLeg,
    OpenLeg,
    Play,
    RefuseOffer,
    SendOffer,
    SetMuted,
    SetProcessing,
    StopPlay,
    Tone,
)
from .events import Event, LegAnswered, LegApplied, LegOffered, LegRefused, LegSnapshot
from .limits import RECOVERIES_MAX, SEAT_HELD_S


class Exchange(StrEnum):
    IDLE = "idle"
    ANSWERING = "answering"
    """The engine answers the phone's first offer."""
    OFFERING = "offering"
    """The engine makes our first offer."""
    OFFERED = "offered"
    """The phone has our offer, or will have it."""
    APPLYING = "applying"
    """The engine takes the phone's answer."""
    REANSWERING = "reanswering"
    """The engine answers a later offer of the phone (re-INVITE, UPDATE)."""
    REOFFERING = "reoffering"
    """The phone's re-INVITE had no offer: the engine makes ours."""
    RECOVERING = "recovering"
    """The leg is being made anew: the engine makes our offer for a re-INVITE."""
    REOFFERED = "reoffered"
    """The phone has our re-INVITE."""
    BACKING_OFF = "backing_off"
    """The phone refused it, because its own was under way (491): once more in a moment."""
    AWAITED = "awaited"
    """The page has to come back with another offer."""


OF_ENGINE = frozenset(Exchange) - {
    Exchange.IDLE,
    Exchange.OFFERED,
    Exchange.REOFFERED,
    Exchange.BACKING_OFF,
    Exchange.AWAITED,
}
"""Exchanges in which the engine is to move."""

AFTER: dict[tuple[Exchange, type[Event]], Exchange] = {
    (Exchange.ANSWERING, LegAnswered): Exchange.IDLE,
    (Exchange.OFFERING, LegOffered): Exchange.OFFERED,
    (Exchange.APPLYING, LegApplied): Exchange.IDLE,
    (Exchange.REANSWERING, LegAnswered): Exchange.IDLE,
    (Exchange.REOFFERING, LegOffered): Exchange.OFFERED,
    (Exchange.RECOVERING, LegOffered): Exchange.REOFFERED,
    **{(exchange, LegRefused): Exchange.IDLE for exchange in OF_ENGINE},
}
"""What the engine's answers lead to. What is not listed is an answer to a repeated command, and ignored."""

RECOVERY = frozenset({Exchange.RECOVERING, Exchange.REOFFERED, Exchange.BACKING_OFF})
"""Our own re-INVITE is under way."""

GLARE_WAIT_S = 2.1
"""How long to wait after a 491: the shortest time of one who made the call, longer than of one who did not (RFC 3261
section 14.1)."""

MEDIA_REFUSALS = {
    "no_common_codec": 488,
    "malformed_sdp": 400,
    "no_ports": 503,
    "too_many_legs": 503,
    "no_answer": 503,
    "encryption_required": 488,
    "encryption_refused": 488,
    "webrtc_off": 503,
}
"""What the phone is told (RFC 3261 section 21) when the engine can't do what its SDP asks for, by reason."""

HELD = frozenset({"recvonly", "inactive"})
"""Directions, seen from us, in which the phone does not want to hear us: it is on hold."""


class PlayOrder(msgspec.Struct, frozen=True, kw_only=True):
    play: str
    prompt: str | None = None
    tone: Tone | None = None


class SessionState(msgspec.Struct, kw_only=True):
    exchange: Exchange = Exchange.IDLE
    negotiated: bool = False
    stale: bool = False
    """What the phone was told of is gone, and it has not confirmed the call yet."""
    local: str = ""
    """Our SDP of the first exchange, or of our re-INVITE."""
    latest: str = ""
    """Our SDP of the newest exchange."""
    remote: str | None = None
    """The phone's SDP that the engine works on; None: it makes an offer."""
    queued: bool = False
    """The phone has made another offer, `next_offer`, meanwhile."""
    next_offer: str | None = None
    direction: str = "sendrecv"
    room: str = ""
    plays: list[PlayOrder] = []
    recoveries: int = 0
    deadline: float = 0.0
    """Until when the engine may take."""
    opened: bool = False
    """The engine was asked for a leg."""
    closed: bool = False
    web: bool = False
    """The peer is a browser."""
    muted: bool = False
    noise_suppression: bool = False
    normaliser: bool = False
    voice_activity: bool = True
    limiter: bool = True
    processing_changed: bool = False
    """Since the leg was opened."""


class Owner(Protocol):
    """The call, as its session sees it."""

    @property
    def id(self) -> str: ...
    @property
    def now(self) -> float: ...
    @property
    def engine_wait_s(self) -> float: ...
    @property
    def engine_ready(self) -> bool: ...
    @property
    def confirmed(self) -> bool:
        """The call is answered, and both sides know."""
        ...

    @property
    def told(self) -> bool:
        """The phone has an SDP of ours that it may answer, or has answered."""
        ...

    def do(self, command: Command) -> None: ...
    def offer_made(self) -> None:
        """Our first offer is there (`local`)."""
        ...

    def media_ready(self) -> None:
        """Sound can flow, for the first time or again."""
        ...

    def media_awaited(self) -> None:
        """The session is gone, and the page has to make it again."""
        ...

    def direction_changed(self) -> None: ...
    def media_failed(self, reason: str, detail: str) -> None:
        """The session has come to nothing: the call cannot go on. Reasons as in `LegRefused`, and `lost`."""
        ...


class Session:
    def __init__(self, owner: Owner, state: SessionState) -> None:
        self._owner = owner
        self.state = state

    # --- What the call wants -------------------------------------------------------------------------------------

    def open(self, offer: str | None, conference: str | None = None) -> None:
        """Makes the leg: answers `offer`, or makes our own if there is none."""
        self.state.remote, self.state.local, self.state.opened = offer, "", True
        self._await_engine(Exchange.OFFERING if offer is None else Exchange.ANSWERING)
        self._open_leg(offer, conference)

    def join(self, conference: str) -> None:
        self.state.room = conference
        if self.state.negotiated:
            self._owner.do(JoinRoom(call=self._owner.id, conference=conference))

    def leave(self) -> None:
        if self.state.room:
            self.state.room = ""
            if not self.state.closed:
                self._owner.do(LeaveRoom(call=self._owner.id))

    def play(self, order: PlayOrder) -> None:
        self.state.plays = [*self.state.plays, order]
        if self.state.negotiated:
            self._issue(order)

    def stop_play(self, play: str) -> None:
        """Also right if it has ended, or was never begun."""
        before = len(self.state.plays)
        self.state.plays = [order for order in self.state.plays if order.play != play]
        if len(self.state.plays) < before and not self.state.closed:
            self._owner.do(StopPlay(call=self._owner.id, play=play))

    def play_ended(self, play: str) -> None:
        self.state.plays = [order for order in self.state.plays if order.play != play]

    def mute(self, *, muted: bool) -> None:
        self.state.muted = muted
        if self.state.negotiated:
            self._owner.do(SetMuted(call=self._owner.id, muted=muted))

    def process(self, *, noise_suppression: bool, normaliser: bool, voice_activity: bool, limiter: bool) -> None:
        state = self.state
        state.noise_suppression, state.normaliser = noise_suppression, normaliser
        state.voice_activity, state.limiter = voice_activity, limiter
        state.processing_changed = True
        if state.negotiated:
            self._set_processing()

    def close(self) -> None:
        state = self.state
        state.closed, state.exchange, state.negotiated, state.queued = True, Exchange.IDLE, False, False
        state.room, state.plays, state.deadline = "", [], 0.0
        if state.opened:
            self._owner.do(CloseLeg(call=self._owner.id))

    @property
    def on_hold(self) -> bool:
        return self.state.direction in HELD

    @property
    def under_way(self) -> bool:
        """An exchange of offer and answer has not come to its end."""
        return self.state.exchange not in (Exchange.IDLE, Exchange.AWAITED)

    @property
    def awaits_page(self) -> bool:
        return self.state.exchange is Exchange.AWAITED

    # --- What the phone says -------------------------------------------------------------------------------------

    def offered(self, sdp: str | None) -> None:
        """The phone wants to change the session; None: it wants our offer."""
        state = self.state
        if not self._owner.engine_ready or state.stale:
            self._refuse(500)
        elif state.exchange in RECOVERY or state.queued:
            self._refuse(491)
        elif state.exchange is not Exchange.IDLE:
            state.queued, state.next_offer = True, sdp
        elif sdp is None:
            self._await_engine(Exchange.REOFFERING)
            self._owner.do(OfferLeg(call=self._owner.id))
        else:
            state.remote = sdp
            self._await_engine(Exchange.REANSWERING)
            self._owner.do(ApplySdp(call=self._owner.id, kind="offer", sdp=sdp))

    def renewed(self, sdp: str) -> None:
        """The page offers a session in place of the one it has or had. Not while an exchange is under way."""
        state = self.state
        assert state.web, "phones are answered by `offered`"
        assert not self.under_way, state.exchange
        if state.exchange is Exchange.AWAITED:
            self.open(sdp, state.room or None)
        else:
            self.offered(sdp)

    def confirmed(self, sdp: str | None) -> None:
        """The call stands: with the phone's answer, if what it confirmed was our offer."""
        if self.state.stale:
            self.state.stale = False
            self.recover()
        elif self.state.exchange is Exchange.OFFERED:
            self._apply(sdp)

    def answered(self, sdp: str | None) -> None:
        """The phone answered a later offer of ours."""
        if self.state.exchange in (Exchange.OFFERED, Exchange.REOFFERED):
            self._apply(sdp)

    def refused(self, status: int) -> None:
        """The phone refused our re-INVITE."""
        if self.state.exchange is not Exchange.REOFFERED:
            return
        if status == 491:
            self.state.exchange, self.state.deadline = Exchange.BACKING_OFF, self._owner.now + GLARE_WAIT_S
        else:
            self._failed("lost")

    # --- What the engine says ------------------------------------------------------------------------------------

    def handle(self, event: LegAnswered | LegOffered | LegApplied | LegRefused) -> None:
        state, before = self.state, self.state.exchange
        after = AFTER.get((before, type(event)))
        if after is None:
            return
        state.exchange, state.deadline = after, 0.0
        if isinstance(event, LegAnswered | LegOffered):
            state.latest = event.sdp
        match event:
            case LegAnswered():
                if before is Exchange.REANSWERING:
                    self._owner.do(AnswerOffer(call=self._owner.id, sdp=event.sdp))
                else:
                    state.local = event.sdp
                self._up(event.direction)
            case LegApplied():
                self._up(event.direction)
            case LegOffered():
                if before is Exchange.OFFERING:
                    state.local = event.sdp
                    self._owner.offer_made()
                elif before is Exchange.REOFFERING:
                    self._owner.do(AnswerOffer(call=self._owner.id, sdp=event.sdp))
                else:
                    state.local = event.sdp
                    self._owner.do(SendOffer(call=self._owner.id, sdp=event.sdp))
            case LegRefused():
                state.exchange = before
                self._failed(event.reason, event.detail)

    def leg_lost(self) -> None:
        """The engine let go of the leg on its own."""
        self.state.negotiated = False
        self._drop_offers()
        if self._owner.engine_ready:
            self._restore()

    def fire(self) -> None:
        """The engine has taken too long, or the page; or the time to back off is over."""
        if self.state.exchange is Exchange.BACKING_OFF:
            self._offer_again()
        elif self.state.exchange is Exchange.AWAITED and self._owner.engine_ready:
            self._failed("lost")
        elif self._owner.engine_ready or not self._owner.told:
            self._failed("no_answer")
        else:
            self.state.deadline = self._owner.now + self._owner.engine_wait_s

    def engine_lost(self) -> None:
        self._drop_offers()

    def reconcile(self, leg: LegSnapshot | None) -> None:
        """The engine is back, and this is what it holds of the call."""
        state, owner = self.state, self._owner
        if leg is None:
            state.negotiated = False
            self._drop_offers()
            self._restore()
            return
        match state.exchange:
            case Exchange.ANSWERING | Exchange.OFFERING | Exchange.RECOVERING:
                self._await_engine(state.exchange)
                self._open_leg(state.remote if state.exchange is Exchange.ANSWERING else None)
            case Exchange.APPLYING | Exchange.REANSWERING:
                assert state.remote is not None
                self._await_engine(state.exchange)
                kind = "answer" if state.exchange is Exchange.APPLYING else "offer"
                owner.do(ApplySdp(call=owner.id, kind=kind, sdp=state.remote))
            case Exchange.REOFFERING:
                self._await_engine(state.exchange)
                owner.do(OfferLeg(call=owner.id))
            case _:
                pass
        if state.negotiated:
            if state.room and leg.conference != state.room:
                owner.do(JoinRoom(call=owner.id, conference=state.room))
            for order in state.plays:
                if order.play not in leg.plays:
                    self._issue(order)
            if state.muted != leg.muted:
                owner.do(SetMuted(call=owner.id, muted=state.muted))
            if state.processing_changed:
                self._set_processing()
        if not state.room and leg.conference is not None:
            owner.do(LeaveRoom(call=owner.id))
        wanted = {order.play for order in state.plays}
        for play in leg.plays:
            if play not in wanted:
                owner.do(StopPlay(call=owner.id, play=play))

    def recover(self) -> None:
        """Makes the leg anew, and then tells the phone."""
        state = self.state
        state.negotiated = False
        if state.recoveries >= RECOVERIES_MAX:
            self._owner.media_failed("lost", "")
            return
        state.recoveries += 1
        if state.web:
            state.exchange, state.deadline = Exchange.AWAITED, self._owner.now + SEAT_HELD_S
            self._owner.media_awaited()
            return
        self._await_engine(Exchange.RECOVERING)
        self._open_leg(None, state.room or None)

    # --- Inside --------------------------------------------------------------------------------------------------

    def _open_leg(self, offer: str | None, conference: str | None = None) -> None:
        state = self.state
        state.processing_changed = False
        self._owner.do(
            OpenLeg(
                call=self._owner.id,
                sdp=offer,
                conference=conference,
                like=(state.latest or None) if offer is None else None,
                web=state.web,
                noise_suppression=state.noise_suppression,
                normaliser=state.normaliser,
                voice_activity=state.voice_activity,
                limiter=state.limiter,
            )
        )

    def _set_processing(self) -> None:
        state = self.state
        self._owner.do(
            SetProcessing(
                call=self._owner.id,
                noise_suppression=state.noise_suppression,
                normaliser=state.normaliser,
                voice_activity=state.voice_activity,
                limiter=state.limiter,
            )
        )

    def _await_engine(self, exchange: Exchange) -> None:
        self.state.exchange = exchange
        self.state.deadline = self._owner.now + self._owner.engine_wait_s

    def _offer_again(self) -> None:
        state = self.state
        state.deadline = 0.0
        state.recoveries += 1
        if state.recoveries > RECOVERIES_MAX:
            self._failed("lost")
        else:
            state.exchange = Exchange.REOFFERED
            self._owner.do(SendOffer(call=self._owner.id, sdp=state.local))

    def _apply(self, sdp: str | None) -> None:
        if sdp is None:
            self._failed("malformed_sdp")
            return
        self.state.remote = sdp
        self._await_engine(Exchange.APPLYING)
        self._owner.do(ApplySdp(call=self._owner.id, kind="answer", sdp=sdp))

    def _issue(self, order: PlayOrder) -> None:
        self._owner.do(Play(call=self._owner.id, play=order.play, prompt=order.prompt, tone=order.tone))

    def _refuse(self, status: int, why: str = "") -> None:
        self._owner.do(RefuseOffer(call=self._owner.id, status=status, why=why))

    def _up(self, direction: str) -> None:
        """An exchange is complete."""
        state = self.state
        if direction != state.direction:
            state.direction = direction
            self._owner.direction_changed()
        if not state.negotiated:
            state.negotiated = True
            if state.muted:
                self._owner.do(SetMuted(call=self._owner.id, muted=True))
            if state.room:
                self._owner.do(JoinRoom(call=self._owner.id, conference=state.room))
            for order in state.plays:
                self._issue(order)
            self._owner.media_ready()
        self._next_offer()

    def _next_offer(self) -> None:
        state = self.state
        if state.queued and state.exchange is Exchange.IDLE and not state.closed:
            state.queued = False
            self.offered(state.next_offer)

    def _failed(self, reason: str, detail: str = "") -> None:
        """The exchange under way has come to nothing. The session goes on as it was, if there was one."""
        state, before = self.state, self.state.exchange
        state.exchange, state.deadline = Exchange.IDLE, 0.0
        if before in (Exchange.REANSWERING, Exchange.REOFFERING) or self._page_waits(before):
            self._refuse(MEDIA_REFUSALS.get(reason, 500), reason)
        if not state.negotiated:
            self._owner.media_failed(reason, detail)
        elif reason == "unknown_leg":
            self._drop_offers()
            self._restore()
        else:
            self._next_offer()

    def _drop_offers(self) -> None:
        """The engine cannot answer the phone's offers now: it may ask again."""
        state = self.state
        if state.exchange in (Exchange.REANSWERING, Exchange.REOFFERING) or self._page_waits(state.exchange):
            state.exchange, state.deadline = Exchange.IDLE, 0.0
            self._refuse(500)
        if state.queued:
            state.queued = False
            self._refuse(500)

    def _page_waits(self, exchange: Exchange) -> bool:
        """The page of an answered call waits for the answer to its offer of a whole new session."""
        return self.state.web and self._owner.told and exchange is Exchange.ANSWERING

    def _restore(self) -> None:
        """There is no leg (any more): makes it again, at the point where the call is."""
        state = self.state
        if self._owner.confirmed or (state.web and self._owner.told):
            self.recover()
        elif self._owner.told:
            state.exchange, state.deadline, state.stale = Exchange.IDLE, 0.0, True
        elif state.exchange in (Exchange.ANSWERING, Exchange.OFFERING):
            self.open(state.remote)
        elif state.remote is not None or state.exchange is Exchange.OFFERED:
            # Ready but not sent: a new leg has a new SDP.
            self.open(state.remote if state.exchange is not Exchange.OFFERED else None)
