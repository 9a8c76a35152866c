"""A switch with everything around it made of a few lines: ids that count, a clock that is told, a model engine.

`Bench` collects what the switch wants done. Nothing answers by itself, unless a story says `bench.engine()`: then a
model of the media engine, of the prompts and of well-behaved phones answers each command at once.
"""

from __future__ import annotations

import itertools
from typing import Any

import msgspec

from plenary.core import commands as c
from plenary.core import events as e
from plenary.core.changes import Row
from plenary.core.errors import Refusal
from plenary.core.ids import ZERO_ID
from plenary.core.resources import Action, Address, Conference, ConferenceType, LogEntry, Resource, Settings
from plenary.core.switch import Switch, SwitchSettings

CUSTOMER = "c0000000-0000-4000-8000-000000000000"
OTHER_CUSTOMER = "c1111111-0000-4000-8000-000000000000"
START = 1_700_000_000.0


def counting_ids() -> Any:
    counter = itertools.count(1)
    return lambda: f"00000000-0000-4000-8000-{next(counter):012x}"


def action(type_: str, id_: str = ZERO_ID, next_id: str = ZERO_ID, **option: Any) -> Action:
    return Action(type=type_, id=id_, next_id=next_id, option=option)


def talk(text: str, **option: Any) -> Action:
    return action("talk", text=text, **option)


WELCOME = talk("Hello. Welcome to the test conference.", gender="female", language="en-US")
FAREWELL = talk("The conference has closed. Thank you. Good bye.", gender="female", language="en-US")


class Bench:
    """One switch, and a record of all that came out of it."""

    def __init__(self, *, ready: bool = True, **settings: Any) -> None:
        self.ids = counting_ids()
        self.settings = SwitchSettings(**settings)
        self.switch = Switch(self.ids, self.settings)
        self.now = START
        self.asks = itertools.count(1)
        self.calls = itertools.count(1)
        self.commands: list[c.Command] = []
        """All commands, ever."""
        self.fresh: list[c.Command] = []
        """Those of the last event."""
        self.rows: dict[str, Row] = {}
        self.log: list[LogEntry] = []
        self.replies: dict[int, Any] = {}
        self.model = Model()
        self.automatic = False
        if ready:
            self.does(e.EngineReady(restarted=True))

    # --- Driving ---

    def does(self, event: e.Event) -> list[c.Command]:
        """Hands in one event. Returns what it led to."""
        return self._turn(self.switch.handle(event, self.now))

    def passes(self, seconds: float) -> list[c.Command]:
        """Lets time pass, firing each timer when it is due."""
        end = self.now + seconds
        out: list[c.Command] = []
        for _ in range(100_000):
            deadline = self.switch.timeout()
            if deadline is None or deadline > end:
                break
            self.now = max(self.now, deadline)
            out += self._turn(self.switch.fire(self.now))
        self.now = end
        return out

    def asks_for(self, kind: type[e.Request], customer: str = CUSTOMER, **fields: Any) -> Any:
        """A request of the API's user. Returns the resource, or the refusal."""
        ask = next(self.asks)
        self.does(kind(ask=ask, customer=customer, **fields))
        return self.replies[ask]

    def engine(self) -> Bench:
        """From now on the model answers."""
        self.automatic = True
        self.answers(self.commands)
        return self

    def restart(self) -> None:
        """kill -9 of the server: a new switch from what was committed. The engine stays."""
        self.switch = Switch(self.ids, self.settings)
        numbers: dict[str, int] = {}
        for entry in self.log:
            numbers[entry.conference_id] = max(numbers.get(entry.conference_id, 0), entry.number)
        self.switch.load([row for row in self.rows.values() if row.live], numbers)

    def _turn(self, commands: list[c.Command]) -> list[c.Command]:
        changes = self.switch.changes()
        ids = [row.resource.id for row in changes.rows]
        assert len(ids) == len(set(ids)), "one row for each resource"
        for row in changes.rows:
            self.rows[row.resource.id] = row
        self.log += changes.log
        self.fresh = commands
        self.commands += commands
        for command in commands:
            if isinstance(command, c.Reply):
                assert command.ask not in self.replies, "one reply for each request"
                self.replies[command.ask] = command.result
        out = list(commands)
        if self.automatic:
            out += self.answers(commands)
        return out

    def answers(self, commands: list[c.Command]) -> list[c.Command]:
        out: list[c.Command] = []
        for command in commands:
            for event in self.model.answer(command):
                out += self.does(event)
        return out

    # --- Shorthands ---

    def creates(self, **fields: Any) -> Conference:
        fields["type"] = ConferenceType(fields.get("type", "conference"))
        if "aliases" in fields:
            fields["settings"] = Settings(aliases=fields.pop("aliases"))
        made = self.asks_for(e.CreateConference, **fields)
        if isinstance(made, Refusal):
            raise made
        return made

    def calls_in(self, user: str, sdp: str | None = "offer", **fields: Any) -> str:
        """A phone calls. Returns the id of its call."""
        call = f"ca11ca11-0000-4000-8000-{next(self.calls):012x}"
        self.does(
            e.CallOffered(
                call=call,
                user=user,
                source=Address(target="ann@phone"),
                destination=Address(target=f"{user}@server"),
                sdp=sdp,
                **fields,
            )
        )
        return call

    def deletes(self, conference: str) -> Any:
        return self.asks_for(e.DeleteConference, conference=conference)

    # --- Looking ---

    def __getitem__(self, id_: str) -> Any:
        """The resource as it was committed last."""
        return self.rows[id_].resource

    def participant_of(self, call: str) -> Any:
        """The newest conferencecall of this call."""
        found = [
            row.resource
            for row in self.rows.values()
            if getattr(row.resource, "reference_id", "") == call and type(row.resource).__name__ == "Conferencecall"
        ]
        return found[-1]

    def last(self, kind: type[Any]) -> Any:
        """The newest command of this kind."""
        return [command for command in self.commands if isinstance(command, kind)][-1]

    def all(self, kind: type[Any], **fields: Any) -> list[Any]:
        """All commands of this kind with these fields."""
        return [x for x in self.commands if isinstance(x, kind) and all(getattr(x, k) == v for k, v in fields.items())]

    def spoken(self) -> list[str]:
        return [command.text or command.url or "" for command in self.all(c.PreparePrompt)]

    def entries(self, conference: str | None = None) -> list[str]:
        """Types of the log's entries."""
        return [entry.type for entry in self.log if conference is None or entry.conference_id == conference]


class Model:
    """What a media engine, a speech service and patient phones answer to each command."""

    def __init__(self) -> None:
        self.legs: dict[str, dict[str, Any]] = {}
        self.rooms: set[str] = set()
        self.recordings: set[str] = set()
        self.direction = "sendrecv"
        self.talks_forever = False
        """Prompts do not end by themselves."""
        self.prompts_fail = False
        self.away = False
        self.phones_answer = True

    def answer(self, command: c.Command) -> list[e.Event]:
        if self.away and not isinstance(command, (c.PlaceCall, c.AnswerCall, c.SendOffer)):
            return []
        match command:
            case c.OpenLeg():
                self.legs[command.call] = {
                    "room": None,
                    "plays": [],
                    "negotiated": command.sdp is not None,
                    "web": command.web,
                    "muted": False,
                }
                if command.sdp is None:
                    return [e.LegOffered(call=command.call, sdp="our offer")]
                return [e.LegAnswered(call=command.call, sdp="our answer", direction=self.direction)]
            case c.ApplySdp():
                if command.call not in self.legs:
                    return [e.LegRefused(call=command.call, reason="unknown_leg")]
                self.legs[command.call]["negotiated"] = True
                if command.kind == "offer":
                    return [e.LegAnswered(call=command.call, sdp="our new answer", direction=self.direction)]
                return [e.LegApplied(call=command.call, direction=self.direction)]
            case c.OfferLeg():
                return [e.LegOffered(call=command.call, sdp="our new offer")]
            case c.CloseLeg():
                return [e.LegClosed(call=command.call)] if self.legs.pop(command.call, None) else []
            case c.OpenRoom():
                self.rooms.add(command.conference)
            case c.CloseRoom():
                self.rooms.discard(command.conference)
            case c.JoinRoom():
                self.legs[command.call]["room"] = command.conference
                return [e.LegJoined(call=command.call, conference=command.conference)]
            case c.LeaveRoom():
                if command.call in self.legs:
                    self.legs[command.call]["room"] = None
            case c.Play():
                if self.talks_forever:
                    self.legs[command.call]["plays"].append(command.play)
                    return []
                return [e.PlayEnded(call=command.call, play=command.play, reason="finished")]
            case c.StopPlay():
                plays = self.legs.get(command.call, {}).get("plays", [])
                if command.play in plays:
                    plays.remove(command.play)
                    return [e.PlayEnded(call=command.call, play=command.play, reason="stopped")]
            case c.PreparePrompt():
                if self.prompts_fail:
                    return [e.PromptFailed(request=command.request, reason="no voice")]
                return [e.PromptReady(request=command.request, prompt="hash", duration_ms=1_000)]
            case c.StartRecording():
                self.recordings.add(command.recording)
                return [e.RecordingStarted(recording=command.recording)]
            case c.StopRecording():
                if command.recording in self.recordings:
                    self.recordings.discard(command.recording)
                    return [e.RecordingEnded(recording=command.recording, reason="stopped", duration_ms=1_000)]
            case c.SetMuted():
                self.legs[command.call]["muted"] = command.muted
            case c.AnswerCall() if self.legs.get(command.call, {}).get("web"):
                return []
            case c.AnswerCall():
                return [e.CallAcked(call=command.call, sdp="phone's answer" if "offer" in command.sdp else None)]
            case c.PlaceCall() if self.phones_answer:
                return [e.CallRinging(call=command.call), e.CallAnswered(call=command.call, sdp="phone's answer")]
            case c.SendOffer():
                return [e.SdpAnswered(call=command.call, sdp="phone's answer")]
            case _:
                pass
        return []

    def ready(self, *, restarted: bool) -> e.EngineReady:
        """The engine connects, with what it holds."""
        if restarted:
            self.legs, self.rooms, self.recordings = {}, set(), set()
        self.away = False
        legs = [
            e.LegSnapshot(
                call=call,
                conference=leg["room"],
                direction=self.direction,
                negotiated=leg["negotiated"],
                plays=list(leg["plays"]),
                muted=leg["muted"],
            )
            for call, leg in self.legs.items()
        ]
        return e.EngineReady(
            restarted=restarted, legs=legs, conferences=sorted(self.rooms), recordings=sorted(self.recordings)
        )


def same(left: Resource, right: Resource) -> bool:
    return msgspec.json.encode(left) == msgspec.json.encode(right)
