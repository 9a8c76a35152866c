"""Words for stories: conferences, callers, and what they see of each other."""

from __future__ import annotations

from collections.abc import Sequence

from plenary.core import events
from plenary.core.ids import ZERO_ID
from plenary.core.resources import Action, Conference, Conferencecall, ConferenceType

from .judge import FAREWELL
from .phones import PhoneCall
from .server_host import ADDRESS
from .simulation import Simulation


def action(type_: str, id_: str = ZERO_ID, **option: object) -> Action:
    return Action(type=type_, id=id_, option=option)


GREETING = action("talk", text="welcome")
POST = action("talk", text=FAREWELL + "${voipbin.call.id}")


def conference(
    sim: Simulation,
    pre: Sequence[Action] = (),
    post: Sequence[Action] = (),
    type_: str = "conference",
    **fields: object,
) -> Conference:
    """A conference that has begun."""
    sim.run_until(lambda: sim.server.link.ready)
    made = sim.do(
        events.CreateConference, type=ConferenceType(type_), pre_actions=list(pre), post_actions=list(post), **fields
    )
    assert isinstance(made, Conference)
    return made


def caller(sim: Simulation, name: str, room: Conference, *, late: bool = False) -> PhoneCall:
    """Somebody who calls the conference, and is in it."""
    call = sim.phone(name).dial(room.id, late=late)
    sim.run_until(lambda: in_room(sim, call))
    return call


def member(sim: Simulation, call: PhoneCall) -> Conferencecall | None:
    """The participant that this call is, or was last."""
    row = sim.row_of(call)
    mine = [
        one for one in sim.judge.rows.values()
        if isinstance(one, Conferencecall) and row is not None and one.reference_id == row.id
    ]  # fmt: skip
    return mine[-1] if mine else None


def in_room(sim: Simulation, call: PhoneCall) -> bool:
    """The phone is in the call, the API shows him joined, and the engine has him in the room's mix."""
    one, leg = member(sim, call), sim.leg_of(call)
    return call.up and one is not None and one.status == "joined" and leg in sim.engine.fake.members(one.conference_id)


def heard(sim: Simulation, call: PhoneCall) -> list[str]:
    """The prompts that were played to him."""
    row = sim.row_of(call)
    return [prompt.removeprefix("prompt of ") for leg, prompt in sim.engine.played if row and leg == row.id]


def now(sim: Simulation, room: Conference) -> Conference:
    """The conference as it is on disk."""
    row = sim.judge.rows[room.id]
    assert isinstance(row, Conference)
    return row


def said_to(sim: Simulation, call: PhoneCall, since: float = 0.0) -> list[str]:
    """First lines of what the server has sent to this call's phone."""
    return [
        carried.data.split(b"\r\n")[0].decode()
        for carried in sim.network.sent
        if carried.source == ADDRESS and carried.destination == call.phone.address and carried.at >= since
    ]


def close(sim: Simulation) -> None:
    """Everything is ended, and nothing is left."""
    for row in list(sim.judge.live.values()):
        if isinstance(row, Conference) and row.status != "terminated":
            sim.do(events.DeleteConference, conference=row.id)
    sim.run(20.0)
    for row in list(sim.judge.live.values()):
        if not isinstance(row, Conference | Conferencecall) and hasattr(row, "hangup_reason"):
            sim.do(events.HangUpCall, call=row.id)
    sim.run(92.0)
    with sim.told():
        sim.judge.nothing_is_left()
