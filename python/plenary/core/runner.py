"""Runs the actions of a call, one after the other: `flow` says which, `actions` what each does.

The runner is the seat (`actions.base.Seat`) that an action gets: what it may do, and no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from .actions import AnyRunning, prepare_action
from .actions.base import DONE, BadOption, Done, End, Failed, Jump, Outcome, Wait
from .actions.joining import EnterRoom
from .actions.waiting import DigitsReceive
from .commands import DropPrompt, OpenRoom, PreparePrompt, Tone
from .conferencecall import never_joined
from .errors import Invalid
from .events import DigitPressed, Event
from .flow import (
    FlowError,
    FlowState,
    Frame,
    advance,
    conference_frame,
    conferences_in,
    leave_room,
    push,
    take_loop,
)
from .ids import ZERO_ID
from .resources import Action
from .session import PlayOrder
from .variables import DIGITS

if TYPE_CHECKING:
    from .call import CallMachine

LEADS_ELSEWHERE = frozenset({"branch", "condition_variable", "conference_join", "goto"})
"""Actions whose failing leaves the flow without a way to go on."""

CLOSED = "This conference has ended. Good bye."
FULL = "This conference is full. Please try again later. Good bye."
BUSY = "The line is busy. Please try again later. Good bye."


class RunnerState(msgspec.Struct, kw_only=True):
    flow: FlowState
    running: AnyRunning | None = None
    action: str = ""
    """Type of the action that runs."""


def announcement(text: str, reason: str, cause: str) -> Frame:
    """Says why, and lets go."""
    return Frame(
        actions=[
            Action(type="talk", option={"text": text}),
            Action(type="hangup", option={"reason": reason}),
        ],
        announces=cause,
    )


class Runner:
    def __init__(self, call: CallMachine, state: RunnerState) -> None:
        self._call = call
        self.state = state

    # --- What the call wants -------------------------------------------------------------------------------------

    def begin(self) -> None:
        self._follow(DONE)

    def handle(self, event: Event) -> None:
        """Gives an event of the call to the action that runs."""
        running = self.state.running
        if isinstance(event, DigitPressed) and not isinstance(running, DigitsReceive):
            self.state.flow.variables[DIGITS] = event.digit
            self.state.flow.collected = False
        if running is not None:
            self._follow(running.handle(self, event))

    def deadline(self) -> float:
        """0: none."""
        return self.state.running.deadline if self.state.running is not None else 0.0

    def fire(self) -> None:
        running = self.state.running
        if running is not None and 0 < running.deadline <= self.now:
            running.deadline = 0.0
            self._follow(running.fire(self))

    def resume(self, *, restarted: bool) -> None:
        """The media engine is back."""
        if self.state.running is not None:
            self.state.running.resume(self, restarted=restarted)

    def go_on_after(self, conferencecall: str) -> None:
        """The participant was put out of his conference: on with its `post_actions`."""
        moved, above = leave_room(self.state.flow, conferencecall)
        if moved:
            self._stop()
            self._leave(above)
            self._follow(DONE)

    def ring_for_peer(self) -> None:
        if isinstance(self.state.running, EnterRoom):
            self.state.running.ring(self)

    def let_in(self) -> None:
        if isinstance(self.state.running, EnterRoom):
            self.state.running.let_in(self)

    def is_in(self) -> None:
        if isinstance(self.state.running, EnterRoom):
            self.state.running.is_in()

    def abort(self) -> list[Frame]:
        """The call is over. Returns the frames that it was in, the innermost first."""
        self._stop()
        frames, self.state.flow.frames = self.state.flow.frames[::-1], []
        return frames

    def conference(self) -> str:
        """The innermost conference that the call is in, or empty."""
        for frame in reversed(self.state.flow.frames):
            if frame.conference:
                return frame.conference
        return ""

    def conferencecalls(self) -> list[str]:
        return [frame.conferencecall for frame in self.state.flow.frames if frame.conferencecall]

    # --- The seat: what an action may do -------------------------------------------------------------------------

    @property
    def now(self) -> float:
        return self._call.now

    @property
    def prompt_wait_s(self) -> float:
        return self._call.world.settings.prompt_wait_s

    @property
    def engine_ready(self) -> bool:
        return self._call.engine_ready

    @property
    def progressing(self) -> bool:
        return self._call.state.answered

    @property
    def heard(self) -> bool:
        return self._call.state.answered or self._call.state.early

    @property
    def variables(self) -> dict[str, str]:
        return self.state.flow.variables

    def new_id(self) -> str:
        return self._call.world.new_id()

    def note(self, reason: str) -> None:
        self._call.log("action_failed", f"{self.state.action}: {reason}" if self.state.action else reason)

    def answer(self) -> None:
        self._call.answer()

    def be_heard(self) -> None:
        self._call.be_heard()

    def ring(self) -> None:
        self._call.ring()

    def prepare(self, request: str, *, text: str = "", gender: str = "", language: str = "", url: str = "") -> None:
        self._call.world.waiting[request] = self._call.id
        command = (
            PreparePrompt(request=request, url=url)
            if url
            else PreparePrompt(request=request, text=text, gender=gender, language=language)
        )
        self._call.do(command)

    def drop(self, request: str) -> None:
        if self._call.world.waiting.pop(request, None) is not None:
            self._call.do(DropPrompt(request=request))

    def play(self, play: str, *, prompt: str | None = None, tone: Tone | None = None) -> None:
        self._call.session.play(PlayOrder(play=play, prompt=prompt, tone=tone))

    def stop_play(self, play: str) -> None:
        self._call.session.stop_play(play)

    def take_over_digits(self) -> str:
        flow = self.state.flow
        if flow.collected:
            flow.variables[DIGITS] = ""
            flow.collected = False
        return flow.variables.setdefault(DIGITS, "")

    def digits_taken(self) -> None:
        self.state.flow.collected = True

    def start_recording(self, *, duration_ms: int, end_of_silence_ms: int, end_of_key: str) -> None:
        self._call.start_recording(duration_ms, end_of_silence_ms, end_of_key)

    def stop_recording(self) -> bool:
        return self._call.stop_recording("stopped", "recording_stop")

    def take_loop(self, count: int) -> bool:
        return take_loop(self.state.flow, count)

    def join(self, conference: str) -> Outcome:
        world, call, flow = self._call.world, self._call, self.state.flow
        id_ = world.routes.find(conference)
        customer = call.resource.customer_id
        machine = world.conferences.get(id_)
        if machine is None:
            if world.routes.customer_of_ended(id_) != customer:
                return Failed(f"There is no conference {conference}.", fatal=True)
            never_joined(world, customer, id_, call.id, "conference_closed", "the conference is over")
            return self._announce(CLOSED, "the conference is over")
        if machine.resource.customer_id != customer:
            return Failed(f"There is no conference {conference}.", fatal=True)
        if id_ in conferences_in(flow):
            return Failed("The call is in this conference already.")
        member = machine.admit(call)
        if isinstance(member, tuple):
            return self._announce(CLOSED if member[0] == "conference_closed" else FULL, member[1])
        resource = machine.resource
        try:
            push(flow, conference_frame(id_, member.id, resource.pre_actions, resource.post_actions))
        except FlowError as error:
            machine.left(member.id, "failed", str(error))
            return Failed(str(error))
        flow.variables.update(
            {
                "voipbin.conference.id": id_,
                "voipbin.conference.type": resource.type,
                "voipbin.conference.name": resource.name,
                "voipbin.conference.detail": resource.detail,
                "voipbin.conference.participant_count": str(len(resource.conferencecall_ids)),
                "voipbin.conferencecall.id": member.id,
            }
        )
        return DONE

    def enter_room(self) -> Outcome:
        frame = self.state.flow.frames[-1]
        world = self._call.world
        member = world.conferencecalls.get(frame.conferencecall)
        assert member is not None, "whoever was put out is behind the step into the room"
        assert member.live
        conference = world.conferences[frame.conference]
        if conference.at_door(member):
            return Wait()
        cause = "two parties are connected already"
        conference.left(member.id, "failed", cause)
        return self._announce(BUSY, cause, "busy")

    def enter_again(self) -> None:
        conference = self.state.flow.frames[-1].conference
        self._call.do(OpenRoom(conference=conference))
        self._call.session.join(conference)

    def not_let_in(self, reason: str) -> Outcome:
        frame = self.state.flow.frames[-1]
        self._call.session.leave()
        self._call.world.conferences[frame.conference].left(frame.conferencecall, "failed", f"not let in: {reason}")
        return Failed(f"The media engine has not put the call into the room: {reason}.")

    # --- Inside --------------------------------------------------------------------------------------------------

    def _announce(self, text: str, cause: str, reason: str = "normal") -> Outcome:
        flow = self.state.flow
        flow.frames.append(announcement(text, reason, cause))
        return DONE

    def _follow(self, outcome: Outcome) -> None:
        """Goes on as the action that runs has said, until one waits."""
        state = self.state
        while True:
            jump = ""
            match outcome:
                case Wait():
                    return
                case Done():
                    pass
                case Jump():
                    jump = outcome.target.lower() or ZERO_ID
                case Failed():
                    self.note(outcome.reason)
                    if outcome.fatal:
                        state.running = None
                        self._call.flow_ended("failed", outcome.reason)
                        return
                case End():
                    state.running = None
                    frames = state.flow.frames
                    announced = frames[-1].announces if frames else ""
                    self._call.flow_ended(outcome.reason, announced or f"{state.action} action")
                    return
            state.running = None
            try:
                action, left = advance(state.flow, self.now, jump)
            except FlowError as error:
                self.note(str(error))
                self._call.flow_ended("failed", str(error))
                return
            self._leave(left)
            if action is None:
                state.action = ""
                self._call.flow_ended("normal", "its actions are done")
                return
            state.action = action.type
            self._call.runs(action)
            try:
                running: Any = prepare_action(action, state.flow.variables)
            except (Invalid, BadOption) as error:
                outcome = Failed(str(error), fatal=action.type in LEADS_ELSEWHERE)
                continue
            state.running = running
            outcome = running.start(self)

    def _leave(self, frames: list[Frame]) -> None:
        """The flow has left these frames: so has the call their conferences."""
        for frame in frames:
            if frame.conferencecall and frame.conference in self._call.world.conferences:
                self._call.session.leave()
                self._call.world.conferences[frame.conference].left(
                    frame.conferencecall, "flow_ended", "the flow went on elsewhere"
                )

    def _stop(self) -> None:
        if self.state.running is not None:
            self.state.running.stop(self)
            self.state.running = None
