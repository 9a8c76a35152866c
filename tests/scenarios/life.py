"""What phones and the API's user do all day, and what goes wrong meanwhile: drawn from the seed and its `Swarm`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plenary.core import events
from plenary.core.ids import ZERO_ID
from plenary.core.resources import (
    Action,
    Address,
    Call,
    Conference,
    Conferencecall,
    ConferenceType,
    Recording,
    Settings,
)
from plenary.store.views import Page

from .pages import Tab
from .phones import Manner, Phone, PhoneCall
from .server_host import Crash
from .simulation import Simulation
from .story import POST, action

LOOKS_S = 10.0
"""How often it is looked whether somebody is stranded."""
ORDERLY_S = 5.0
"""How long a server that was told to end takes its time."""
CALM_S = 75.0
"""Until every retransmission, recovery and silence of earlier trouble has come to its end."""
FAREWELL_S = 40.0
"""What the last participants have to hear their farewell, at the end."""
QUIET_S = 64 * 0.5 + 60.0
"""After that, nothing may be left."""


class Browsers:
    """People in front of pages. They draw from a stream of their own, and disturb nobody else's."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._sim = life.sim
        self._random = life.sim.stream("browsers")
        self._tabs: list[Tab] = []
        for _ in range(life.sim.swarm.pages):
            self._in_a_while()

    def _in_a_while(self) -> None:
        wait_s = self._random.expovariate(1 / self._sim.swarm.pages_every_s)
        self._sim.agenda.at(self._sim.clock.now + wait_s, self._somebody_does_something)

    def _somebody_does_something(self) -> None:
        if self._life.over:
            return
        self._in_a_while()
        here = [tab for tab in self._tabs if not tab.over]
        rooms = [row for row in self._sim.judge.live.values() if isinstance(row, Conference)]
        if rooms and (not here or (len(here) < 2 * self._sim.swarm.pages and self._random.random() < 0.4)):
            tab = self._sim.tab(f"tab{len(self._tabs)}")
            self._tabs.append(tab)
            tab.join(self._random.choice(rooms).id)
        elif here:
            tab = self._random.choice(here)
            deed = self._random.choice(["reload", "network", "leave", "vanish", "mute", "keys"])
            match deed:
                case "reload":
                    tab.reload()
                case "network":
                    tab.change_network()
                case "leave":
                    tab.leave()
                case "vanish":
                    tab.vanish()
                case "mute":
                    tab.mute(self._random.random() < 0.5)
                case _:
                    tab.press(self._random.choice(["1", "42#"]))


class Life:
    """Everything that happens by itself. `run` lets it happen; `end` puts an end to all of it."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.random = sim.stream("life")
        self.over = False
        swarm = sim.swarm
        for number in range(swarm.phones):
            phone = sim.phone(f"p{number}")
            phone.manner = self._manner
            self._again_and_again(swarm.calls_every_s, lambda phone=phone: self._call(phone))
        self._again_and_again(swarm.asks_every_s, self._ask)
        self._browsers = Browsers(self)
        self._again_and_again(swarm.server_crash_every_s, self._crash_server)
        self._again_and_again(swarm.engine_crash_every_s, sim.engine.crash)
        self._again_and_again(swarm.link_breaks_every_s, sim.engine.break_link)
        self._again_and_again(swarm.refusals_every_s, sim.engine.refuse_one)
        self._again_and_again(swarm.disk_full_every_s, self._fill_disk)
        sim.agenda.at(sim.clock.now + LOOKS_S, self._look)
        self._create(timeout=0)

    def run(self, seconds: float) -> None:
        self.sim.run(seconds)

    def end(self) -> None:
        """Trouble ends, everybody is put out; after a while nothing may be left."""
        sim = self.sim
        self.over = True
        sim.network.path = type(sim.network.path)()
        sim.engine.delay_s = 0.001
        sim.server.disk_full_until = 0.0
        sim.server.crash_next = None
        sim.run(ORDERLY_S)
        sim.run_until(lambda: sim.server.up and sim.server.link.ready and not sim.judge.open_asks, within_s=300.0)
        sim.run(CALM_S)
        with sim.told():
            sim.judge.all_agree()
        for id_ in self._live(Conference):
            sim.do(events.DeleteConference, conference=id_)
        sim.run(FAREWELL_S)
        for id_ in self._live(Call):
            sim.do(events.HangUpCall, call=id_)
        sim.run(QUIET_S)
        with sim.told():
            sim.judge.nothing_is_left()

    # --- Now and then --------------------------------------------------------------------------------------------

    def _again_and_again(self, mean_s: float, what: Callable[[], object]) -> None:
        if not mean_s:
            return

        def once() -> None:
            if not self.over:
                what()
                self.sim.agenda.at(self.sim.clock.now + self.random.expovariate(1 / mean_s), once)

        self.sim.agenda.at(self.sim.clock.now + self.random.expovariate(1 / mean_s), once)

    def _later(self, mean_s: float, what: Callable[[], object]) -> None:
        self.sim.agenda.at(
            self.sim.clock.now + self.random.expovariate(1 / mean_s), lambda: None if self.over else what()
        )

    def _look(self) -> None:
        self.sim.judge.nobody_is_stranded(self.sim.clock.now)
        self.sim.agenda.at(self.sim.clock.now + LOOKS_S, self._look)

    # --- Trouble -------------------------------------------------------------------------------------------------

    def _crash_server(self) -> None:
        server = self.sim.server
        if not server.up or server.crash_next is not None:
            return
        draw = self.random.random()
        if draw < 0.1:
            server.stop()
            self.sim.agenda.at(self.sim.clock.now + ORDERLY_S, self._ended_orderly)
        elif draw < 0.4:
            server.crash()
            self._start_server_later()
        else:
            server.crash_next = self.random.choice(list(Crash))
            self._start_when_down()

    def _ended_orderly(self) -> None:
        """It has hung up, and takes the engine with it."""
        if self.sim.server.up:
            self.sim.server.crash("at its end")
            self.sim.engine.crash()
            self._start_server_later()

    def _start_when_down(self) -> None:
        if self.sim.server.up:
            self.sim.agenda.at(self.sim.clock.now + 0.1, self._start_when_down)
        else:
            self._start_server_later()

    def _start_server_later(self) -> None:
        mean = self.sim.swarm.server_away_s
        self.sim.agenda.at(self.sim.clock.now + self.random.uniform(0, 2 * mean), self._start_server)

    def _start_server(self) -> None:
        if not self.sim.server.up:
            self.sim.server.start()

    def _fill_disk(self) -> None:
        self.sim.server.disk_full_until = self.sim.clock.now + self.random.uniform(0, 2 * self.sim.swarm.disk_full_s)

    # --- Phones --------------------------------------------------------------------------------------------------

    def _manner(self) -> Manner:
        draw = self.random
        return Manner(
            rings_after_s=draw.choice([0.05, 0.5, 3.0, None]),
            answers_after_s=draw.choice([0.2, 1.0, 5.0, 19.9, None]),
            refuses_with=486 if draw.random() < 0.15 else 0,
            refuses_offers=draw.random() < 0.1,
        )

    def _call(self, phone: Phone) -> None:
        """Calls, or does something in the calls that it has."""
        draw = self.random
        if not phone.there:
            if draw.random() < 0.5:
                phone.switch_on()
        elif len(phone.calls) >= 2 and draw.random() < 0.7:
            self._in_call(draw.choice(list(phone.calls.values())))
        else:
            users = [*self._live(Conference)] * 4 + [*self._ended(Conference)][-3:] + ["4000", "nobody"]
            self._live_through(phone.dial(draw.choice(users), late=draw.random() < 0.2))

    def _live_through(self, call: PhoneCall) -> None:
        """What somebody does in a call, at some pace, until he has had enough."""
        draw = self.random
        for _ in range(draw.randrange(6)):
            self._later(15.0, lambda: self._in_call(call))
        self._later(draw.choice([0.3, 4.0, 30.0, 90.0]), lambda: self._leave(call))

    def _in_call(self, call: PhoneCall) -> None:
        if call.over or not call.phone.there:
            return
        draw, phone = self.random, call.phone
        match draw.randrange(5):
            case 0:
                phone.press(call, draw.choice(["1", "2", "12#", "*", "77"]))
            case 1 if call.held:
                phone.resume(call)
            case 1:
                phone.hold(call)
            case 2 | 3:
                phone.talk(call, not call.talking)
            case _:
                pass

    def _leave(self, call: PhoneCall) -> None:
        if call.over or not call.phone.there:
            return
        if self.random.random() < self.sim.swarm.vanishing:
            call.phone.vanish()
        elif call.user != call.handle and not call.up:
            return  # it rings; who called will tire of it
        else:
            call.phone.hang_up(call)

    # --- The API's user ------------------------------------------------------------------------------------------

    def _live(self, kind: type[Any]) -> list[str]:
        return [id_ for id_, row in self.sim.judge.live.items() if isinstance(row, kind)]

    def _ended(self, kind: type[Any]) -> list[str]:
        judge = self.sim.judge
        return [id_ for id_, row in judge.rows.items() if isinstance(row, kind) and id_ not in judge.live]

    def _some(self, kind: type[Any]) -> str:
        """One of these, mostly one that lives."""
        live, ended = self._live(kind), self._ended(kind)
        if live and (not ended or self.random.random() < 0.85):
            return self.random.choice(live)
        return self.random.choice([*ended, ZERO_ID])

    def _ask(self) -> None:
        draw = self.random
        asks: dict[Callable[[], object], float] = {
            self._create: 4.0 if len(self._live(Conference)) < 3 else 0.5,
            self._update: 1.0,
            lambda: self.sim.ask(events.DeleteConference, conference=self._some(Conference)): 1.0,
            lambda: self.sim.ask(events.KickConferencecall, conferencecall=self._some(Conferencecall)): 3.0,
            lambda: self.sim.ask(
                events.StartConferenceRecording, conference=self._some(Conference), duration=draw.choice([0, 20])
            ): 2.0,
            lambda: self.sim.ask(events.StopConferenceRecording, conference=self._some(Conference)): 1.0,
            lambda: self.sim.ask(events.DeleteRecording, recording=self._some(Recording)): 1.0,
            lambda: self.sim.ask(events.HangUpCall, call=self._some(Call)): 1.0,
            self._dial: 3.0,
            self._list: 1.0,
        }
        draw.choices(list(asks), list(asks.values()))[0]()

    def _actions(self) -> list[Action]:
        draw = self.random
        some = [
            action("talk", text="welcome", digits_handle=draw.choice(["", "next"])),
            action("play", stream_urls=["http://sounds.example/1.wav", "http://sounds.example/2.wav"]),
            action("sleep", duration=draw.choice([0, 1_500, 12_000])),
            action("digits_receive", duration=8_000, length=draw.choice([0, 2]), key="#"),
            action("beep"),
            action("answer"),
            action("recording_start", beep_start=draw.random() < 0.5, end_of_key=draw.choice(["none", "*"])),
            action("recording_stop"),
            action("variable_set", key="name", value="${voipbin.call.digits}"),
        ]
        return [draw.choice(some) for _ in range(draw.choice([0, 1, 1, 2, 3]))]

    def _create(self, timeout: int | None = None) -> None:
        draw = self.random
        self.sim.ask(
            events.CreateConference,
            type=draw.choice([ConferenceType.CONFERENCE] * 3 + [ConferenceType.CONNECT]),
            timeout=draw.choice([0, 0, 20, 90]) if timeout is None else timeout,
            pre_actions=self._actions(),
            post_actions=draw.choice([[POST], [POST], []]),
            settings=Settings(aliases=["4000"] if draw.random() < 0.3 else []),
        )

    def _update(self) -> None:
        draw = self.random
        self.sim.ask(
            events.UpdateConference,
            conference=self._some(Conference),
            timeout=draw.choice([0, 0, 1, 60]),
            pre_actions=self._actions(),
            post_actions=[POST],
        )

    def _dial(self) -> None:
        draw = self.random
        phones = draw.sample(self.sim.phones, min(len(self.sim.phones), draw.choice([1, 1, 2])))
        ends = [Address(target=f"{phone.name}d{draw.getrandbits(40):x}@{phone.address[0]}") for phone in phones]
        join = [action("conference_join", conference_id=self._some(Conference))]
        self.sim.ask(
            events.CreateCalls,
            source=Address(target=draw.choice(["", "4000"])),
            destinations=ends,
            actions=self._actions() + (join if join[0].option["conference_id"] != ZERO_ID else []),
        )

    def _list(self) -> None:
        """The list shows what is committed and not deleted, page after page."""
        sim, token, shown = self.sim, "", 0
        while True:
            page = sim.server.store.views.conferences(sim.customer, Page(size=2, token=token))
            shown += len(page.items)
            token = page.next_page_token
            if not token:
                break
        there = [row for row in sim.judge.rows.values() if isinstance(row, Conference) and row.status != "terminated"]
        assert shown == len(there), "listed is what is there"
