"""What must hold after each commit, and what must be left at the end: nothing.

The judge keeps its own copy of all that was ever committed, and compares it with what phones, the API's user and the
engine are told.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import msgspec

from plenary.core import commands
from plenary.core.errors import Refusal
from plenary.core.ids import NEVER
from plenary.core.resources import Call, Conference, Conferencecall, LogEntry, Recording, Resource
from plenary.node import Turn
from plenary.sip.config import PATIENCE
from plenary.store.store import Saved

if TYPE_CHECKING:
    from .pages import Tab
    from .phones import PhoneCall
    from .simulation import Simulation

ORDER: dict[type[Resource], list[str]] = {
    Conference: ["starting", "progressing", "terminating", "terminated"],
    Conferencecall: ["joining", "joined", "leaving", "leaved"],
    Call: ["dialing", "ringing", "progressing", "terminating", "canceling", "hangup"],
    Recording: ["initiating", "recording", "stopping", "ended"],
}
LAST_WORDS: dict[type[Resource], str] = {
    Conference: "conference_deleted",
    Conferencecall: "conferencecall_leaved",
    Call: "call_hangup",
    Recording: "recording_finished",
}
PUT_OUT = frozenset({"kicked", "conference_deleted", "conference_timeout", "peer_left", "failed"})
"""Reasons of a conferencecall after which `post_actions` run: all but those for which the call is over as well."""
FAREWELL = "farewell to "
"""How the text of a conference's `post_actions` begins, before the id of the call."""
PUNCTUAL_S = 1.0
"""A timeout is kept to the second."""
ROUNDED_MS = 10
"""What the lengths of a recording's parts, each in whole milliseconds, may differ from the sum."""
UNDER_WAY_S = 1.0
"""What a BYE takes on a network without loss, with much to spare."""
GRACE_S = PATIENCE + 10.0
"""Until a phone knows that it was hung up, with most of its packets lost."""


class Judge:
    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self.rows: dict[str, Resource] = {}
        self.live: dict[str, Resource] = {}
        self.log: list[LogEntry] = []
        self.counts: dict[str, int] = defaultdict(int)
        """Events of each kind, for the curious and for reports."""
        self.open_asks = 0
        self._numbers: dict[str, int] = defaultdict(int)
        self._joined: dict[str, set[str]] = defaultdict(set)
        self._last_words: dict[str, int] = defaultdict(int)
        self._gone_at: dict[str, float] = {}
        """Calls that are hung up, and since when."""
        self._deadlines: dict[str, float] = {}
        """Conferences and calls that will end by themselves, and when."""
        self._farewells: set[str] = set()
        """Conferencecalls that are promised a farewell, should they be put out."""
        self._seen: set[str] = set()
        self._reasons: dict[str, set[str]] = defaultdict(set)
        """Call -> why it left conferences."""

    # --- After each commit ---------------------------------------------------------------------------------------

    def committed(self, turn: Turn, now: float) -> None:
        changes = turn.record.changes
        gone_before = set(self._gone_at)
        fixed = {id_: row for id_, row in self.live.items() if isinstance(row, Conference)}
        put_out: list[Conferencecall] = []
        affected: set[str] = set()
        for row in changes.rows:
            self._row(row.resource, row.live, now)
            if isinstance(row.resource, Conferencecall):
                self._promise(row.resource, fixed, put_out)
            if isinstance(row.resource, Conference | Conferencecall):
                one = row.resource
                affected.add(one.id if isinstance(one, Conference) else one.conference_id)
        for entry in changes.log:
            self._entry(entry)
        for conference in affected:
            listed = self.rows[conference]
            assert isinstance(listed, Conference)
            assert set(listed.conferencecall_ids) == self._joined[conference], "who is joined is listed, nobody else"
            assert len(set(listed.conferencecall_ids)) == len(listed.conferencecall_ids)
        texts = {wanted.text for wanted in turn.prepare}
        for one in put_out:
            gone = one.reference_id in self._gone_at
            assert gone or FAREWELL + one.reference_id in texts, f"no farewell to {one}"
        for wanted in turn.prepare:
            self._prepared(wanted, gone_before)
        for reply in turn.replies:
            self._replied(reply)
        self._punctual(now)

    def _row(self, resource: Resource, live: bool, now: float) -> None:
        old = self.rows.get(resource.id)
        order = ORDER[type(resource)]
        if old is not None:
            assert order.index(resource.status) >= order.index(old.status), f"forward only: {old} became {resource}"
        self.rows[resource.id] = resource
        if live:
            self.live[resource.id] = resource
        else:
            self.live.pop(resource.id, None)
        over = resource.status == order[-1]
        match resource:
            case Conference():
                assert (resource.tm_delete != NEVER) == over
                self._deadlines.pop(resource.id, None)
                if resource.timeout and not over:
                    self._deadlines[resource.id] = self._sim.seconds(resource.tm_create) + resource.timeout
            case Conferencecall():
                assert (resource.reason != "") == over, "a reason at the end, and only there"
                joined = self._joined[resource.conference_id]
                joined.add(resource.id) if resource.status == "joined" else joined.discard(resource.id)
                if over:
                    self._reasons[resource.reference_id].add(resource.reason)
            case Call():
                assert (resource.hangup_reason != "") == over
                self._deadlines.pop(resource.id, None)
                if over:
                    self._gone_at.setdefault(resource.id, now)
                else:
                    rings = resource.direction == "outgoing" and resource.status in ("dialing", "ringing")
                    lasts_s = self._sim.settings.dial_timeout_s if rings else self._sim.settings.call_max_s
                    self._deadlines[resource.id] = self._sim.seconds(resource.tm_create) + lasts_s
                self._sim.know(resource)
            case Recording():
                assert (resource.end_reason != "") == over

    def _promise(self, one: Conferencecall, before: dict[str, Conference], put_out: list[Conferencecall]) -> None:
        """He who came in while the conference had a farewell is told it when he is put out."""
        conference = before.get(one.conference_id)
        now = self.rows[one.conference_id]
        if one.id not in self._seen and conference is not None and isinstance(now, Conference):
            texts = [str(action.option.get("text")) for action in conference.post_actions]
            if now.post_actions == conference.post_actions and any(text.startswith(FAREWELL) for text in texts):
                self._farewells.add(one.id)
        self._seen.add(one.id)
        if one.status == "leaved" and one.id in self._farewells and one.reason in PUT_OUT - {"failed"}:
            put_out.append(one)

    def _entry(self, entry: LogEntry) -> None:
        self.log.append(entry)
        self.counts[entry.type] += 1
        if entry.number:
            self._numbers[entry.conference_id] += 1
            assert entry.number == self._numbers[entry.conference_id], "numbers without a gap"
        resource = entry.data
        assert resource is not None
        if entry.type == LAST_WORDS[type(resource)]:
            self._last_words[resource.id] += 1
            assert self._last_words[resource.id] == 1, f"{entry.type} is said once"
        if not entry.type.startswith("call_updated"):
            self._sim.note("log", f"{entry.type} {resource.id[:8]}: {entry.cause}")

    def _prepared(self, wanted: commands.PreparePrompt, gone_before: set[str]) -> None:
        """A farewell is for those who are put out, not for those who went."""
        if wanted.text is not None and wanted.text.startswith(FAREWELL):
            call = self.rows[wanted.text.removeprefix(FAREWELL)]
            assert call.id not in gone_before, "nothing is played to those who are gone"
            assert self._reasons[call.id] & PUT_OUT, f"why a farewell to {call}?"

    def _replied(self, reply: commands.Reply) -> None:
        results: list[Any] = reply.result if isinstance(reply.result, list) else [reply.result]
        for result in results:
            if isinstance(result, Refusal):
                self.counts[f"refusal {result.code}"] += 1
                continue
            stored = self.rows[result.id]
            order = ORDER[type(stored)]
            assert order.index(stored.status) >= order.index(result.status), "told what is written, nothing else"
            if stored.status != result.status:
                assert result.id in self.live or stored.status == order[-1]

    def _punctual(self, now: float) -> None:
        server = self._sim.server
        excused = max(server.up_since, server.stalled_at)
        for id_, deadline in self._deadlines.items():
            late = now - max(deadline, excused)
            assert late <= PUNCTUAL_S, f"{self.rows[id_]} is {late:.3f} s late with its timeout"

    # --- What others are told ------------------------------------------------------------------------------------

    def told_200(self, call: PhoneCall) -> None:
        row = self._sim.row_of(call)
        assert row is not None, "a caller who is told 200 is in the rows"
        assert row.status not in ("dialing", "ringing"), row

    def told_201(self, tab: Tab) -> None:
        assert tab.row is not None, "a page that is told 201 is in the rows"
        assert tab.row.status not in ("dialing", "ringing"), tab.row

    def leg_opened(self, leg: str, *, healthy: bool) -> None:
        assert not healthy, f"the healthy leg {leg} is opened once more"

    def leg_closed(self, leg: str) -> None:
        row = self.rows.get(leg)
        assert row is None or row.status == "hangup", f"the leg of a call that lives is closed: {row}"

    # --- From time to time ---------------------------------------------------------------------------------------

    def loaded(self, saved: Saved) -> None:
        """The store gives back exactly what was committed."""
        assert {row.resource.id: row.resource for row in saved.rows} == self.live
        for id_, row in self.live.items():
            if isinstance(row, Conference):
                assert saved.numbers.get(id_, 0) == self._numbers[id_]

    def nobody_is_stranded(self, now: float) -> None:
        """Who thinks that he is in a call is in one; the server may take its time to reach him."""
        excused = self._sim.server.up_since
        for phone in self._sim.phones:
            for call in phone.calls.values():
                row = self._sim.row_of(call)
                gone = self._gone_at.get(row.id) if row is not None else None
                if call.up and gone is not None and self._sim.server.up:
                    assert now - max(gone, excused, call.up_since) <= GRACE_S, f"{call.user} is stranded: {row}"

    def all_agree(self) -> None:
        """When it has been quiet for a while, phones, server and engine have the same picture."""
        sim, fake, now = self._sim, self._sim.engine.fake, self._sim.clock.now
        members = [row for row in self.live.values() if isinstance(row, Conferencecall)]
        for room in [row for row in self.live.values() if isinstance(row, Conference) and row.status != "terminated"]:
            assert room.status == "progressing"
            assert room.id in fake.rooms(), "a conference has its room"
            inside = {one.reference_id for one in members if one.conference_id == room.id and one.status == "joined"}
            coming = {one.reference_id for one in members if one.conference_id == room.id and one.status == "joining"}
            there = fake.members(room.id)
            assert inside <= there <= inside | coming, f"{inside} joined, {there} in the mix"
        calls = {id_ for id_, row in self.live.items() if isinstance(row, Call)}
        assert fake.legs() <= calls, "a leg without a call"
        for phone in sim.phones:
            for call in phone.calls.values():
                row = sim.row_of(call)
                on_its_way = row is not None and now - self._gone_at.get(row.id, 0.0) < UNDER_WAY_S
                if call.up and not on_its_way:
                    assert row is not None
                    assert row.status == "progressing", f"{call.user} is up, the server says {row}"
                    assert row.id in fake.legs(), f"{call.user} has no leg: {row}"
                    assert row.on_hold == call.held
        for tab in sim.tabs.values():
            if tab.up and not tab.over and tab.row is not None and tab.row.status != "hangup":
                assert tab.row.id in fake.legs(), f"{tab.name} has no leg: {tab.row}"
                assert not tab.row.media_lost, f"{tab.name} was not called back: {tab.row}"
                assert fake.muted(tab.row.id) == (tab.row.mute_direction == "in")
        for recording in [row for row in self.live.values() if isinstance(row, Recording)]:
            assert recording.id in fake.recordings(), f"{recording} is not being recorded"
        assert fake.recordings() <= set(self.live)

    def nothing_is_left(self) -> None:
        sim = self._sim
        assert not self.live, f"at work still: {list(self.live.values())}"
        for id_, resource in self.rows.items():
            assert resource.status == ORDER[type(resource)][-1], resource
            assert self._last_words[id_] == 1, f"the end of {resource} is told"
        fake = sim.engine.fake
        assert not fake.legs(), f"legs {fake.legs()}"
        assert not fake.rooms(), f"rooms {fake.rooms()}"
        assert not fake.recordings(), f"recordings {fake.recordings()}"
        for resource in self.rows.values():
            if isinstance(resource, Recording) and resource.tm_delete == NEVER:
                lost_ms = abs(resource.duration_ms - fake.on_disk_ms[resource.id])
                assert lost_ms <= ROUNDED_MS, f"{resource} has {fake.on_disk_ms[resource.id]} ms on disk"
        server = sim.server
        assert server.endpoint.calls == 0, "dialogs are left"
        assert server.switch.live_calls == server.switch.live_conferences == server.switch.live_recordings == 0
        for phone in sim.phones:
            assert not phone.calls, f"stranded: {[call.user for call in phone.calls.values()]}"
        left = [tab.name for tab in sim.tabs.values() if not tab.over]
        assert not left, f"pages that do not know that it is over: {left}"
        assert self.open_asks == 0, "every request gets a reply, or the server died with it"
        saved = server.store.load()
        assert not saved.rows
        assert not saved.dialogs
        self._log_is_stored()

    def _log_is_stored(self) -> None:
        position, stored = 0, list[bytes]()
        while entries := self._sim.server.store.views.events(self._sim.customer, position):
            assert [at for at, _ in entries] == sorted({at for at, _ in entries})
            assert entries[0][0] > position
            position = entries[-1][0]
            stored += [body for _, body in entries]
        assert stored == [msgspec.json.encode(entry) for entry in self.log], "the log on disk is the log, in order"
