"""The door of browsers, as `sip` is that of phones: HTTP requests that carry offers, and the answers to them.

A page asks to join or for another path, and waits. What it asks goes to the switch as a request, whose reply only says
which call it is about; the answer for the page is the command that a phone would get as well:

    AnswerCall, AnswerOffer                200 or 201, with our SDP
    RefuseCall, RefuseOffer, HangUp        a refusal

So there is at most one request for each call that waits; the switch sees to that. Nothing here outlives the server: a
page whose request died with it asks again, with its seat.

Sans-I/O, as the other doors: drain `answers` and `refusals` after each turn.
"""

from collections.abc import Iterable

import msgspec

from ..core import commands, events
from ..core.changes import Row
from ..core.errors import Invalid, LimitReached, Refusal, Unavailable, Unprocessable, WrongState
from ..core.resources import Call

DoorCommand = commands.AnswerCall | commands.AnswerOffer | commands.RefuseCall | commands.RefuseOffer | commands.HangUp


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Our SDP for the page that asked."""

    ask: int
    call: str
    sdp: str


def web_calls(rows: Iterable[Row]) -> list[str]:
    """Those of the calls that browsers have made."""
    return [row.resource.id for row in rows if isinstance(row.resource, Call) and row.resource.source.type == "web"]


class WebDoor:
    """`calls` are those of browsers that the server before this one had."""

    def __init__(self, calls: Iterable[str] = ()) -> None:
        self._calls = set(calls)
        self._asked: set[int] = set()
        """Requests that the switch is about to reply to."""
        self._waiting: dict[str, int] = {}
        """Call -> the request that waits for its SDP."""
        self._answers: list[Answer] = []
        self._refusals: list[commands.Reply] = []

    def holds(self, call: str) -> bool:
        """Whether this call is a browser's."""
        return call in self._calls

    def asked(self, request: events.JoinConference | events.RestartSession) -> None:
        """The switch is going to reply to this."""
        self._asked.add(request.ask)

    def replied(self, reply: commands.Reply) -> commands.Reply | None:
        """The switch has replied. None: who asked has to wait for the SDP."""
        if reply.ask not in self._asked:
            return reply
        self._asked.discard(reply.ask)
        if not isinstance(reply.result, Call):
            return reply
        self._calls.add(reply.result.id)
        self._waiting[reply.result.id] = reply.ask
        return None

    def perform(self, command: commands.Command) -> None:
        """Does what the switch wants of a browser's call; what only a phone can be told is not said."""
        match command:
            case commands.AnswerCall(call=call, sdp=sdp) | commands.AnswerOffer(call=call, sdp=sdp):
                ask = self._waiting.pop(call, None)
                if ask is not None:
                    self._answers.append(Answer(ask=ask, call=call, sdp=sdp))
            case commands.RefuseOffer(call=call, why=why):
                self._refuse(call, why)
            case commands.RefuseCall(call=call, why=why):
                self._refuse(call, why)
                self._calls.discard(call)
            case commands.HangUp(call=call):
                self._refuse(call, "over")
                self._calls.discard(call)
            case _:
                pass

    def answers(self) -> list[Answer]:
        drained, self._answers = self._answers, []
        return drained

    def refusals(self) -> list[commands.Reply]:
        drained, self._refusals = self._refusals, []
        return drained

    def _refuse(self, call: str, why: str) -> None:
        ask = self._waiting.pop(call, None)
        if ask is not None:
            self._refusals.append(commands.Reply(ask=ask, result=refusal(why)))


def refusal(why: str) -> Refusal:
    """What a page is told when its session comes to nothing, by the reason in `LegRefused`."""
    match why:
        case "malformed_sdp":
            return Invalid(
                "bad_sdp",
                "No browser makes such an offer. It needs v=0 as its first line, and an audio stream over "
                "UDP/TLS/RTP/SAVPF that has a=ice-ufrag and a=ice-pwd of a full ICE agent, and a=fingerprint:sha-256.",
            )
        case "no_common_codec":
            return Unprocessable(
                "no_common_codec", "The offer has no audio stream, or one with none of the codecs of this server."
            )
        case "no_ports" | "too_many_legs":
            return LimitReached("too_many_calls", "The server has too many calls at the moment. Try later.")
        case "webrtc_off":
            return Unavailable("webrtc_off", "Browsers are switched off on this server (--webrtc-port 0).")
        case "over":
            return WrongState("call_over", "This call is over.")
        case "unknown_leg":
            return WrongState("media_lost", "The media of this call are gone: join again with its seat.")
        case _:
            return Unavailable("engine_away", "The media engine does not answer. Try once more in a moment.")
