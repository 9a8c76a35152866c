"""Which action comes next.

A flow is a stack of frames. A frame is a list of actions and the place in it; the lowest holds the call's own actions.
`conference_join` pushes one that holds the conference's `pre_actions`, the step into the room, and its `post_actions`,
and goes on behind itself when that frame is through.

The next action is, in this order: the target of a jump; the action that `next_id` names; the one behind in the list;
what the frame below goes on with; nothing (the flow is over). Names are looked for in the current frame, then in those
below it, which leaves the frames above. Who is behind the step into the room can't go back before it: to come in
again is to join again.
"""

import msgspec

from .ids import ZERO_ID
from .limits import FRAMES_MAX, STEPS_MAX, STEPS_PER_SECOND_MAX
from .resources import Action

ENTER_ROOM = "enter_room"
"""Type of the step between `pre_actions` and `post_actions`. Nobody can send it: it is no registered action."""


class FlowError(Exception):
    """The flow cannot go on: a jump leads nowhere, or it has run for too long. The call is hung up."""


class Frame(msgspec.Struct, kw_only=True):
    actions: list[Action]
    index: int = -1
    """The current action; -1: before the first."""
    room: int = -1
    """Index of the step into the room; -1: this frame is not a conference's."""
    conference: str = ""
    conferencecall: str = ""
    announces: str = ""
    """Why the call is let go, where this frame only tells the caller so."""
    loops: dict[int, int] = {}
    """Index of a `goto` -> jumps that it still makes in this round."""

    def place_of(self, target: str) -> int:
        """Index of the action with this id among those that can be gone to from here; -1: none."""
        first = self.room + 1 if self.index > self.room >= 0 else 0
        for place in range(first, len(self.actions)):
            if self.actions[place].id == target:
                return place
        return -1


class FlowState(msgspec.Struct, kw_only=True):
    frames: list[Frame]
    variables: dict[str, str] = {}
    steps: int = 0
    burst: int = 0
    burst_start: float = 0.0
    collected: bool = False
    """The digits in `voipbin.call.digits` are what a finished `digits_receive` took: the next one starts anew."""


def conference_frame(conference: str, conferencecall: str, before: list[Action], after: list[Action]) -> Frame:
    step = Action(type=ENTER_ROOM, option={"conference_id": conference})
    return Frame(
        actions=[*before, step, *after], room=len(before), conference=conference, conferencecall=conferencecall
    )


def push(flow: FlowState, frame: Frame) -> None:
    """Raises `FlowError` if it is nested too deeply."""
    if len(flow.frames) >= FRAMES_MAX:
        raise FlowError(f"More than {FRAMES_MAX} lists of actions run within one another.")
    flow.frames.append(frame)


def advance(flow: FlowState, now: float, jump: str = "") -> tuple[Action | None, list[Frame]]:
    """Goes to the next action. `jump` is the id to go to (`ZERO_ID` is one that is never found), or empty.

    Returns the action (None: the flow is over) and the frames that were left on the way. Raises `FlowError`.
    """
    _count(flow, now)
    target = jump
    if not target and flow.frames:
        frame = flow.frames[-1]
        if frame.index >= 0 and frame.actions[frame.index].next_id != ZERO_ID:
            target = frame.actions[frame.index].next_id
    if target:
        return _go_to(flow, target)
    left: list[Frame] = []
    while flow.frames:
        frame = flow.frames[-1]
        if frame.index + 1 < len(frame.actions):
            frame.index += 1
            return frame.actions[frame.index], left
        left.append(flow.frames.pop())
        # Behind the action that pushed the frame: its own `next_id` counts.
        if flow.frames:
            below = flow.frames[-1]
            if below.index >= 0 and below.actions[below.index].next_id != ZERO_ID:
                action, more = _go_to(flow, below.actions[below.index].next_id)
                return action, [*left, *more]
    return None, left


def leave_room(flow: FlowState, conferencecall: str) -> tuple[bool, list[Frame]]:
    """Puts the flow behind the step into the room of this participant, so that `post_actions` come next.

    Returns whether it was before or in the room (if not, nothing changes) and the frames above, which are left.
    """
    for depth, frame in enumerate(flow.frames):
        if frame.conferencecall == conferencecall:
            if frame.index > frame.room:
                return False, []
            above = flow.frames[depth + 1 :]
            del flow.frames[depth + 1 :]
            frame.index = frame.room
            return True, above[::-1]
    return False, []


def take_loop(flow: FlowState, count: int) -> bool:
    """Whether the `goto` that is current jumps once more. Once through, it is ready for another round."""
    frame = flow.frames[-1]
    rest = frame.loops.get(frame.index, count)
    if rest <= 0:
        frame.loops.pop(frame.index, None)
        return False
    frame.loops[frame.index] = rest - 1
    return True


def conferences_in(flow: FlowState) -> set[str]:
    return {frame.conference for frame in flow.frames if frame.conference}


def _go_to(flow: FlowState, target: str) -> tuple[Action, list[Frame]]:
    if target != ZERO_ID:
        for depth in range(len(flow.frames) - 1, -1, -1):
            place = flow.frames[depth].place_of(target)
            if place >= 0:
                left = flow.frames[depth + 1 :][::-1]
                del flow.frames[depth + 1 :]
                flow.frames[depth].index = place
                return flow.frames[depth].actions[place], left
    raise FlowError(f"There is no action with the id {target} to go to.")


def _count(flow: FlowState, now: float) -> None:
    flow.steps += 1
    if flow.steps > STEPS_MAX:
        raise FlowError(f"The call has executed {STEPS_MAX} actions.")
    if now - flow.burst_start >= 1.0:
        flow.burst, flow.burst_start = 0, now
    flow.burst += 1
    if flow.burst > STEPS_PER_SECOND_MAX:
        raise FlowError(f"The actions go round in a loop that waits for nothing ({STEPS_PER_SECOND_MAX} in a second).")
