"""A participant: one call in one conference, once.

    joining ──▶ joined ──▶ leaving ──▶ leaved
       └───────────┴──────────────────────▲

`leaving` is said when somebody wants him out (kick, the conference's end, his peer's leaving); who goes on his own is
`leaved` at once. Every participant ends as `leaved`, with a reason.
"""

from __future__ import annotations

from typing import Any

import msgspec

from .resources import Conferencecall, ConferencecallStatus
from .world import World

TRANSITIONS: dict[ConferencecallStatus, frozenset[ConferencecallStatus]] = {
    ConferencecallStatus.JOINING: frozenset(
        {ConferencecallStatus.JOINED, ConferencecallStatus.LEAVING, ConferencecallStatus.LEAVED}
    ),
    ConferencecallStatus.JOINED: frozenset({ConferencecallStatus.LEAVING, ConferencecallStatus.LEAVED}),
    ConferencecallStatus.LEAVING: frozenset({ConferencecallStatus.LEAVED}),
    ConferencecallStatus.LEAVED: frozenset(),
}


class ConferencecallMachine:
    def __init__(self, world: World, resource: Conferencecall) -> None:
        self._world = world
        self.resource = resource

    @classmethod
    def create(
        cls, world: World, customer: str, conference: str, call: str, cause: str, **shown: Any
    ) -> ConferencecallMachine:
        """`shown`: what else its resource says of the call."""
        machine = cls(
            world,
            Conferencecall(
                id=world.new_id(),
                customer_id=customer,
                conference_id=conference,
                reference_id=call,
                status=ConferencecallStatus.JOINING,
                tm_create=world.stamp,
                **shown,
            ),
        )
        world.conferencecalls[machine.id] = machine
        world.touch(machine)
        world.log("conferencecall_joining", machine.resource, conference, cause)
        return machine

    @property
    def id(self) -> str:
        return self.resource.id

    @property
    def live(self) -> bool:
        return self.resource.status is not ConferencecallStatus.LEAVED

    def dump(self) -> bytes:
        return b""

    def deadline(self) -> float | None:
        return None

    def fire(self) -> None:
        raise AssertionError("has no timer")

    def joined(self) -> None:
        self._to(ConferencecallStatus.JOINED, "entered the room")

    def leave(self, reason: str, cause: str, *, asked: bool) -> None:
        """Out of the conference, at once. `asked`: somebody else wants it."""
        if not self.live:
            return
        self.resource = msgspec.structs.replace(self.resource, reason=reason, talking=False)
        if asked:
            self._to(ConferencecallStatus.LEAVING, cause)
        self._to(ConferencecallStatus.LEAVED, cause)

    def talks(self, talking: bool) -> None:
        """Only the resource shows it: in the log, it would drown everything else."""
        if self.live and self.resource.talking != talking:
            self.resource = msgspec.structs.replace(self.resource, talking=talking)
            self._world.touch(self)

    def shows(self, cause: str, **fields: Any) -> None:
        """What the resource says of the call has changed."""
        if self.live:
            self.resource = msgspec.structs.replace(self.resource, tm_update=self._world.stamp, **fields)
            self._world.touch(self)
            self._world.log("conferencecall_updated", self.resource, self.resource.conference_id, cause)

    def _to(self, status: ConferencecallStatus, cause: str) -> None:
        assert status in TRANSITIONS[self.resource.status], (self.resource.status, status)
        self.resource = msgspec.structs.replace(self.resource, status=status, tm_update=self._world.stamp)
        self._world.touch(self)
        self._world.log(f"conferencecall_{status}", self.resource, self.resource.conference_id, cause)


def never_joined(world: World, customer: str, conference: str, call: str, reason: str, cause: str) -> None:
    """The trail of a join that was refused."""
    ConferencecallMachine.create(world, customer, conference, call, cause).leave(reason, cause, asked=False)
