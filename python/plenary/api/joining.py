"""What pages in browsers ask, with a join token or an access key; and the tokens themselves."""

import re
import uuid
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal, TypedDict

import msgspec

from ..core import events
from ..core.ids import ZERO_ID, stamp
from ..core.resources import (
    SCOPES,
    Call,
    CallStatus,
    Conferencecall,
    ConferencecallStatus,
    ConferenceStatus,
    JoinToken,
)
from . import answers, decode, roster
from .asked import Answer, Asked
from .bodies import CreateTokenBody, DigitsBody, ProcessingBody
from .deps import ApiDeps
from .operation import PAGE_NAME_MAX, SDP, WAIT_MAX_S
from .problems import Problem
from .reply import Reply
from .waiting import LongPolls, either, listed, page_of

SHOWN_MAX = 200
"""Participants that one answer shows: 40 KB, and more than a person looks at."""
OFFERS_AT_ONCE = 20
"""Offers of one token, and one more for each of its seats, that are taken one after the other: a page needs one to join
and one for each new path, and all who came by a link have to be back at once when the media engine has died."""
OFFERS_PER_S = 1.0
"""How fast a token that has used them up gets new ones, and a tenth more for each seat."""
CHANGES_AT_ONCE = 20
"""Mutes and keys of one token, and one more for each of its seats, that are taken one after the other: each is written
to disk and to the event log. A person presses no more keys in a row, and all who came by a link may mute at once."""
CHANGES_PER_S = 5.0
"""How fast a token that has used them up gets new ones, and a tenth more for each seat."""
TOKENS_COUNTED = 10_000
"""Tokens whose requests are counted; those that have been quiet the longest are forgotten first."""

_SEAT = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_encoder = msgspec.json.Encoder()


class _About(TypedDict):
    """What every `PageRequest` says."""

    ask: int
    customer: str
    conference: str
    call: str
    token: str | None


class _Conference(msgspec.Struct, frozen=True):
    name: str
    status: ConferenceStatus


_conference = msgspec.json.Decoder(_Conference)
_call = msgspec.json.Decoder(Call)
_member = msgspec.json.Decoder(Conferencecall)


class Joining:
    def __init__(self, deps: ApiDeps) -> None:
        self._deps = deps
        self._views = deps.views
        self._offers = _Allowance(deps.clock)
        self._changes = _Allowance(deps.clock)
        self._long_polls = LongPolls()

    # --- Tokens --------------------------------------------------------------------------------------------------

    async def create_join_token(self, asked: Asked) -> Answer:
        body = asked.body_as(CreateTokenBody)
        _check_name(body.name, "/name")
        scopes = SCOPES[body.role] if body.scopes is None else tuple(dict.fromkeys(body.scopes))
        beyond = [scope for scope in scopes if scope not in SCOPES[body.role]]
        if beyond or "join" not in scopes:
            raise Problem(
                "bad_scopes",
                f"A {body.role} has 'join' and any of {', '.join(SCOPES[body.role])}.",
                pointer="/scopes",
            )
        conference = _conference.decode(await self._views.conference(asked.customer, asked.id))
        if conference.status in (ConferenceStatus.TERMINATING, ConferenceStatus.TERMINATED):
            raise Problem("conference_terminated", "The conference is over. Create a new one.")
        now = self._deps.wall_clock()
        token = JoinToken(
            id=str(uuid.uuid4()),
            customer_id=asked.customer,
            conference_id=asked.id,
            name=body.name,
            role=body.role,
            scopes=list(scopes),
            seats=body.seats,
            tm_create=stamp(now),
            tm_expire=stamp(int(now) + body.expiry),
        )
        text = await self._deps.tokens.issue(token, int(now) + body.expiry)
        made = answers.CreatedToken(**msgspec.structs.asdict(token), token=text, url=f"/join/{text}")
        return Reply(_encoder.encode(made), status=201)

    async def list_join_tokens(self, asked: Asked) -> Answer:
        await self._views.conference(asked.customer, asked.id)
        return listed(await self._views.join_tokens(asked.customer, page_of(asked.query), asked.id))

    async def revoke_join_token(self, asked: Asked) -> Answer:
        token = await self._deps.tokens.revoke(asked.customer, asked.id, asked.ids["token_id"])
        await self._deps.ask(lambda ask: events.EndToken(ask=ask, customer=asked.customer, token=token.id))
        return token

    async def join_info(self, asked: Asked) -> Answer:
        token = asked.token
        assert token is not None
        conference = _conference.decode(await self._views.conference(token.customer_id, token.conference_id))
        return answers.JoinInfo(
            conference_id=token.conference_id,
            conference_name=conference.name,
            conference_status=conference.status,
            token_id=token.id,
            name=token.name,
            role=token.role,
            scopes=token.scopes,
            tm_expire=token.tm_expire,
            webrtc=self._deps.webrtc,
        )

    # --- In and out ----------------------------------------------------------------------------------------------

    async def join_conference(self, asked: Asked) -> Answer:
        token, seat = asked.token, asked.headers.get("seat", "")
        if seat and not _SEAT.fullmatch(seat):
            raise Problem("bad_seat", "The header Seat has 1 to 64 letters, digits, '-' and '_'.")
        name = asked.query.get("name", "")
        _check_name(name, "/name")
        self._check_offer(asked)
        answer = await self._deps.exchange(
            lambda ask: events.JoinConference(
                ask=ask,
                customer=asked.customer,
                conference=asked.id,
                call=str(uuid.uuid4()),
                sdp=asked.text,
                name=token.name if token is not None and token.name else name,
                seat=seat,
                token=token.id if token is not None else "",
                role=token.role if token is not None else "",
                speaks=token is None or "publish" in token.scopes,
                seats_max=token.seats if token is not None else 0,
                expired=token is not None and token.tm_expire <= stamp(self._deps.wall_clock()),
            )
        )
        headers = {"location": f"/v1.0/conferences/{asked.id}/join/{answer.call}"}
        return Reply(answer.sdp.encode(), status=201, media_type=SDP, headers=headers)

    async def restart_join(self, asked: Asked) -> Answer:
        self._check_offer(asked)
        answer = await self._deps.exchange(lambda ask: events.RestartSession(**_about(asked, ask), sdp=asked.text))
        return Reply(answer.sdp.encode(), media_type=SDP)

    async def leave_join(self, asked: Asked) -> Answer:
        await self._deps.ask(lambda ask: events.LeaveConference(**_about(asked, ask)))
        return Reply(b"", status=204)

    async def mute_join(self, asked: Asked) -> Answer:
        self._check_change(asked)
        await self._deps.ask(lambda ask: events.MuteSelf(**_about(asked, ask), muted=True))
        return await self._you(asked, asked.ids["call_id"])

    async def unmute_join(self, asked: Asked) -> Answer:
        self._check_change(asked)
        await self._deps.ask(lambda ask: events.MuteSelf(**_about(asked, ask), muted=False))
        return await self._you(asked, asked.ids["call_id"])

    async def press_digits(self, asked: Asked) -> Answer:
        body = asked.body_as(DigitsBody)
        self._check_change(asked)
        await self._deps.ask(lambda ask: events.PressDigits(**_about(asked, ask), digits=body.digits))
        return Reply(b"", status=204)

    async def get_join_quality(self, asked: Asked) -> Answer:
        await self._you(asked, asked.ids["call_id"])
        return self._quality(asked.ids["call_id"])

    # --- Who is there ---------------------------------------------------------------------------------------------

    async def list_participants(self, asked: Asked) -> Answer:
        query = asked.query
        wait_s = decode.integer(query, "wait_s", 0, 0, WAIT_MAX_S)
        since = query.get("since", "")
        call = query.get("call_id", "")
        call = decode.uuid(call, "call_id") if call else ""
        await self._views.conference(asked.customer, asked.id)
        if call:
            await self._you(asked, call)
        watched = self._deps.roster
        if wait_s and since == watched.version(asked.id):
            token = asked.token
            who, beyond = (asked.customer, 0) if token is None else (token.id, 2 * token.seats)
            with self._long_polls.one_more(who, beyond):
                await either(watched.wait(asked.id, since, wait_s), asked.disconnected())
        return await self._participants(asked, call)

    async def _participants(self, asked: Asked, call: str) -> answers.Participants:
        version = self._deps.roster.version(asked.id)
        members = self._deps.roster.members(asked.id)
        shown: list[Conferencecall] = []
        if asked.token is None or "roster" in asked.token.scopes:
            shown = members
            if len(members) > SHOWN_MAX:
                first = [member for member in members if member.talking or member.reference_id == call]
                chosen = {member.id for member in [*first, *members][:SHOWN_MAX]}
                shown = [member for member in members if member.id in chosen]
        return answers.Participants(
            version=version,
            total=len(members),
            participants=[self._participant(member, call) for member in shown],
            you=await self._you(asked, call) if call else None,
        )

    def _participant(self, member: Conferencecall, call: str) -> answers.Participant:
        figures = self._deps.statistics(member.reference_id)
        return answers.Participant(
            id=member.id,
            name=member.name,
            kind=member.kind,
            role=member.role,
            talking=member.talking,
            muted=member.muted,
            level_dbfs=None if figures is None or member.muted else round(figures.level_dbfs, 1),
            you=member.reference_id == call,
            tm_joined=member.tm_create,
        )

    async def _you(self, asked: Asked, call: str) -> answers.You:
        """Raises `Problem` if it is not a call that who asks has made."""
        page = self._deps.roster.page(call)
        if page is None:
            page = roster.Page(_call.decode(await self._views.call(asked.customer, call)), None)
        resource, member = page.call, page.member
        theirs = asked.token is None or asked.token.id == resource.source.target
        if (
            not theirs
            or resource.customer_id != asked.customer
            or (resource.source.type, resource.destination.target) != ("web", asked.id)
        ):
            raise Problem("call_not_found", "There is no call with this id.")
        return answers.You(
            call_id=call,
            participant_id="" if member is None else member.id,
            state=_state(resource, member),
            muted=resource.mute_direction == "in",
            can_unmute=asked.token is None or "publish" in asked.token.scopes,
            reconnect=resource.media_lost and resource.status is not CallStatus.HANGUP,
            recorded=self._deps.roster.recorded(asked.id) or resource.recording_id != ZERO_ID,
            reason=(member.reason if member is not None else "") or resource.hangup_reason,
        )

    # --- Others --------------------------------------------------------------------------------------------------

    async def mute_conferencecall(self, asked: Asked) -> Answer:
        self._check_change(asked)
        if asked.token is not None:
            member = _member.decode(await self._views.conferencecall(asked.customer, asked.id))
            if member.conference_id != asked.token.conference_id:
                raise Problem("conferencecall_not_found", "There is no conferencecall with this id.")
        return await self._muted(asked, muted=True)

    async def unmute_conferencecall(self, asked: Asked) -> Answer:
        return await self._muted(asked, muted=False)

    async def _muted(self, asked: Asked, *, muted: bool) -> Answer:
        return await self._one(
            lambda ask: events.MuteConferencecall(
                ask=ask, customer=asked.customer, conferencecall=asked.id, muted=muted
            )
        )

    async def process_conferencecall(self, asked: Asked) -> Answer:
        body = asked.body_as(ProcessingBody)
        return await self._one(
            lambda ask: events.ProcessConferencecall(
                ask=ask,
                customer=asked.customer,
                conferencecall=asked.id,
                noise_suppression=body.noise_suppression,
                normaliser=body.normaliser,
                voice_activity=body.voice_activity,
                limiter=body.limiter,
            )
        )

    async def _one(self, build: Callable[[int], events.Request]) -> Answer:
        result = await self._deps.ask(build)
        assert not isinstance(result, list)
        return result

    # --- Quality -------------------------------------------------------------------------------------------------

    async def get_conferencecall_quality(self, asked: Asked) -> Answer:
        member = _member.decode(await self._views.conferencecall(asked.customer, asked.id))
        return self._quality(member.reference_id)

    async def get_conference_quality(self, asked: Asked) -> Answer:
        await self._views.conference(asked.customer, asked.id)
        return self._deps.quality.of_conference(asked.id)

    def _quality(self, call: str) -> answers.CallQuality:
        found = self._deps.quality.of_call(call)
        if found is None:
            raise Problem("call_without_media", "The call has no media, or has only just got them.")
        return found

    # --- Inside --------------------------------------------------------------------------------------------------

    def _check_offer(self, asked: Asked) -> None:
        if not self._deps.webrtc:
            raise Problem("webrtc_off", "Browsers are switched off on this server (--webrtc-port 0).")
        if not asked.text.startswith("v=0"):
            raise Problem("bad_sdp", "The body is no session description.")
        token = asked.token
        if token is not None and not self._offers.take(
            token.id, OFFERS_AT_ONCE + token.seats, OFFERS_PER_S + token.seats / 10
        ):
            raise Problem("too_many_joins", "Too many offers came with this token. Wait a few seconds.")

    def _check_change(self, asked: Asked) -> None:
        token = asked.token
        if token is None:
            return
        if not self._changes.take(token.id, CHANGES_AT_ONCE + token.seats, CHANGES_PER_S + token.seats / 10):
            raise Problem("too_many_changes", "Too many mutes and keys came with this token. Wait a moment.")


def _about(asked: Asked, ask: int) -> _About:
    return {
        "ask": ask,
        "customer": asked.customer,
        "conference": asked.id,
        "call": asked.ids["call_id"],
        "token": None if asked.token is None else asked.token.id,
    }


def _state(call: Call, member: Conferencecall | None) -> Literal["connecting", "entering", "in_room", "after", "over"]:
    if call.status is CallStatus.HANGUP:
        return "over"
    if member is None:
        return "connecting"
    match member.status:
        case ConferencecallStatus.JOINING:
            return "entering"
        case ConferencecallStatus.JOINED:
            return "in_room"
        case _:
            return "after"


def _check_name(name: str, pointer: str) -> None:
    if len(name) > PAGE_NAME_MAX or _CONTROL.search(name):
        raise Problem(
            "bad_name",
            f"A name has at most {PAGE_NAME_MAX} characters, none of them a control character.",
            pointer=pointer,
        )


class _Allowance:
    """How many requests of a kind each token may still make (token bucket)."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Token -> how many were left, and when."""

    def take(self, token: str, at_once: int, per_s: float) -> bool:
        now = self._clock()
        left, at = self._left.pop(token, (float(at_once), now))
        left = min(at_once, left + (now - at) * per_s)
        allowed = left >= 1.0
        self._left[token] = (left - 1.0 if allowed else left, now)
        if len(self._left) > TOKENS_COUNTED:
            self._left.popitem(last=False)
        return allowed
