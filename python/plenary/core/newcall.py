"""How a call begins: a phone calls, a phone is called, or a page joins."""

from __future__ import annotations

from .call import CallMachine
from .callstate import CallState, WebSeat, call_variables
from .events import CallOffered
from .flow import FlowState, Frame
from .resources import Action, Address, Call, CallDirection, CallStatus
from .runner import RunnerState
from .session import SessionState
from .world import World


def incoming(world: World, event: CallOffered, customer: str, conference: str) -> CallMachine:
    """A phone calls a conference. It has no leg yet (`CallMachine.accept`)."""
    resource = Call(
        id=event.call,
        customer_id=customer,
        type="conference",
        source=event.source,
        destination=event.destination,
        status=CallStatus.DIALING,
        direction=CallDirection.INCOMING,
        tm_create=world.stamp,
    )
    return _begun(world, resource, [_join(conference)], conference, f"a call to {event.user} came in")


def web(world: World, id_: str, customer: str, name: str, seat: WebSeat, cause: str) -> CallMachine:
    """A page joins a conference. It has no leg yet (`CallMachine.accept`)."""
    resource = Call(
        id=id_,
        customer_id=customer,
        type="conference",
        source=Address(type="web", target=seat.token, target_name=name),
        destination=Address(type="web", target=seat.conference),
        status=CallStatus.DIALING,
        direction=CallDirection.INCOMING,
        mute_direction="" if seat.speaks else "in",
        tm_create=world.stamp,
    )
    return _begun(world, resource, [_join(seat.conference)], seat.conference, cause, seat)


def outgoing(world: World, customer: str, source: Address, destination: Address, actions: list[Action]) -> CallMachine:
    """A phone is going to be called, as soon as there is an offer for it."""
    resource = Call(
        id=world.new_id(),
        customer_id=customer,
        source=source,
        destination=destination,
        status=CallStatus.DIALING,
        direction=CallDirection.OUTGOING,
        tm_create=world.stamp,
    )
    call = _begun(world, resource, actions, "", "dialled through the API")
    call.state.dial_deadline = world.now + world.settings.dial_timeout_s
    call.session.open(None)
    return call


def _join(conference: str) -> Action:
    return Action(type="conference_join", option={"conference_id": conference})


def _begun(
    world: World, resource: Call, actions: list[Action], home: str, cause: str, seat: WebSeat | None = None
) -> CallMachine:
    state = CallState(
        session=SessionState(
            web=seat is not None,
            muted=seat is not None and not seat.speaks,
            noise_suppression=world.settings.noise_suppression,
            normaliser=world.settings.normaliser,
            voice_activity=world.settings.voice_activity,
        ),
        runner=RunnerState(flow=FlowState(frames=[Frame(actions=actions)], variables=call_variables(resource))),
        max_deadline=world.now + world.settings.call_max_s,
        web=seat,
    )
    call = CallMachine(world, resource, state)
    call.begin(home, cause)
    return call
