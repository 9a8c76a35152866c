"""What pages in browsers ask of the core: to join, to come back to a seat, and what phones do by signalling."""

from functools import partial

from . import newcall
from .call import CallMachine
from .callstate import WebSeat
from .conference import ConferenceMachine, over
from .errors import LimitReached, NotFound, Unavailable, WrongState
from .events import (
    DigitPressed,
    EndToken,
    JoinConference,
    LeaveConference,
    MuteSelf,
    PageRequest,
    PressDigits,
    RestartSession,
)
from .limits import TOKENS_REMEMBERED
from .resources import Call, Conference, Resource
from .world import World

ANOTHER = "Create a new one, or ask whoever invited you for another link."
"""What to do where a conference is over, for who has an access key and for a guest."""


def join(world: World, conference: ConferenceMachine | Conference, request: JoinConference) -> Call:
    """The call of a page that joins, or of the seat that it comes back to. Raises `Refusal`."""
    if not isinstance(conference, ConferenceMachine):
        raise over(conference, ANOTHER)
    if not conference.takes_joiners:
        raise over(conference.resource, ANOTHER)
    if request.token in world.tokens_ended:
        raise WrongState("token_revoked", "This join token was taken back.")
    if not world.engine_ready:
        raise _engine_away()
    seat = WebSeat(
        conference=conference.id,
        token=request.token,
        seat=request.seat or request.call,
        role=request.role,
        speaks=request.speaks,
    )
    seated = world.calls.get(world.seats.get(seat, ""))
    if seated is not None:
        return _renew(world, seated, request.sdp)
    if request.expired:
        raise WrongState("token_expired", "This join token has expired, and its seat is not taken any more.")
    if len(world.calls) >= world.settings.calls_max:
        raise LimitReached("too_many_calls", "The server has too many calls at the moment. Try later.")
    if len(conference.members) >= world.settings.participants_max:
        raise LimitReached("conference_full", "The conference is full.")
    taken = sum(other.token == request.token for other in world.seats) if request.seats_max else 0
    if 0 < request.seats_max <= taken:
        raise LimitReached("token_in_use", f"{taken} are in by this link, and it lets in no more.")
    call = newcall.web(world, request.call, request.customer, request.name, seat, "a page joins")
    call.accept(request.sdp, conference.id)
    return call.resource


def ask(world: World, request: PageRequest) -> Call:
    """Does what a page wants of the call that it has made. Raises `Refusal`."""
    call = world.calls.get(request.call)
    resource = call.resource if call is not None else request.stored
    if (
        resource is None
        or resource.customer_id != request.customer
        or (resource.source.type, resource.destination.target) != ("web", request.conference)
    ):
        raise NotFound("call_not_found", "There is no such call.")
    if call is None or not call.live:
        if isinstance(request, LeaveConference):
            return resource
        raise WrongState("call_over", "This call is over.")
    if call.state.web is None or request.token not in (None, call.state.web.token):
        raise NotFound("call_not_found", "There is no such call.")
    match request:
        case RestartSession():
            if call.session.awaits_page:
                raise WrongState("media_lost", "The media of this call are gone: join again with its seat.")
            return _renew(world, call, request.sdp)
        case LeaveConference():
            call.leaves()
        case MuteSelf():
            himself = (request.token or "") == call.state.web.token
            who = "himself" if himself else "through the API"
            call.mute(f"{'muted' if request.muted else 'unmuted'} {who}", muted=request.muted, himself=himself)
        case PressDigits():
            for digit in request.digits:
                world.later(partial(call.handle, DigitPressed(call=call.id, digit=digit)))
        case _:
            raise AssertionError(f"no request of a page: {request}")
    return call.resource


def end_token(world: World, request: EndToken) -> list[Resource]:
    """Who came by it is hung up, and who is on his way in by it, since it was still good, will be refused."""
    world.tokens_ended[request.token] = None
    if len(world.tokens_ended) > TOKENS_REMEMBERED:
        del world.tokens_ended[next(iter(world.tokens_ended))]
    ended: list[Resource] = []
    for seat, id_ in list(world.seats.items()):
        call = world.calls[id_]
        if seat.token == request.token and call.resource.customer_id == request.customer:
            call.let_go("normal", "its join token was taken back", "token_revoked")
            ended.append(call.resource)
    return ended


def _renew(world: World, call: CallMachine, offer: str) -> Call:
    if not world.engine_ready:
        raise _engine_away()
    if call.session.under_way:
        raise WrongState("offer_pending", "An offer of this page is being answered. Try once more in a moment.")
    call.comes_back(offer)
    return call.resource


def _engine_away() -> Unavailable:
    return Unavailable("engine_away", "The media engine is being started again. Try once more in a moment.")
