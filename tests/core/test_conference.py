"""conference.md: "Behaviour that the known implementation gets wrong, and we do not"."""

import pytest
from harness import CUSTOMER, FAREWELL, OTHER_CUSTOMER, WELCOME, Bench, action, talk

from plenary.core import commands as c
from plenary.core import events as e
from plenary.core.errors import Invalid, NotFound, Refusal, WrongState
from plenary.core.ids import NEVER, ZERO_ID
from plenary.core.resources import Settings


@pytest.fixture
def bench() -> Bench:
    return Bench().engine()


def test_it_is_starting_until_the_room_can_take_calls():
    """A status is what is true: `starting` until the room can take calls."""
    bench = Bench(ready=False)
    made = bench.creates()
    assert made.status == "starting"
    assert not bench.all(c.OpenRoom)
    bench.does(e.EngineReady(restarted=True))
    assert bench.fresh == [c.OpenRoom(conference=made.id)]
    assert bench[made.id].status == "progressing"
    assert bench.entries() == ["conference_created", "conference_updated"]


def test_an_empty_one_is_terminated_at_once_with_exactly_one_conference_deleted(bench: Bench):
    """`terminated` at once if nobody is inside, exactly one `conference_deleted`."""
    made = bench.creates()
    gone = bench.deletes(made.id)
    assert gone.status == "terminated"
    assert gone.tm_end == gone.tm_delete != NEVER
    assert bench.entries() == ["conference_created", "conference_updated", "conference_deleted"]
    assert bench.last(c.CloseRoom).conference == made.id


def test_delete_again_answers_the_resource_and_says_nothing(bench: Bench):
    made = bench.creates()
    gone = bench.deletes(made.id)
    assert not bench.switch.holds(made.id)
    again = bench.asks_for(e.DeleteConference, conference=made.id, stored=gone)
    assert again == gone
    assert bench.entries().count("conference_deleted") == 1


def test_delete_while_a_call_still_hears_the_farewell_is_idempotent(bench: Bench):
    made = bench.creates(post_actions=[FAREWELL])
    bench.calls_in(made.id)
    bench.model.talks_forever = True
    gone = bench.deletes(made.id)
    assert bench.switch.holds(made.id)
    assert bench.deletes(made.id) == gone


def test_a_timeout_is_honoured_to_the_second(bench: Bench):
    """A `timeout` is honoured to the second, whatever its value."""
    made = bench.creates(timeout=1)
    bench.passes(0.999)
    assert bench[made.id].status == "progressing"
    bench.passes(0.001)
    assert bench[made.id].status == "terminated"


@pytest.mark.parametrize(
    ("at", "timeout", "alive_until", "over_at"),
    [(5, 20, 19, 20), (5, 7, 6, 7), (5, 0, 1_000_000, None), (5, 3, 4, 5)],
    ids=["lengthened", "shortened", "removed", "already past"],
)
def test_a_put_moves_lengthens_or_removes_the_timeout(bench: Bench, at, timeout, alive_until, over_at):
    """A PUT moves, lengthens or removes it. It counts from creation."""
    made = bench.creates(timeout=10)
    bench.passes(at)
    bench.asks_for(e.UpdateConference, conference=made.id, timeout=timeout)
    if alive_until > at:
        bench.passes(alive_until - at)
        assert bench[made.id].status == "progressing"
    if over_at is not None:
        bench.passes(over_at - max(at, alive_until))
        assert bench[made.id].status == "terminated"
        assert bench.entries().count("conference_deleted") == 1


def test_a_timeout_survives_a_restart_of_the_server(bench: Bench):
    made = bench.creates(timeout=60)
    bench.passes(10)
    bench.restart()
    bench.does(bench.model.ready(restarted=False))
    bench.passes(49)
    assert bench[made.id].status == "progressing"
    bench.passes(1)
    assert bench[made.id].status == "terminated"


def test_a_timeout_that_passed_while_the_server_was_down_is_made_up_for(bench: Bench):
    made = bench.creates(timeout=60)
    bench.restart()
    bench.now += 1_000
    bench.passes(0)
    assert bench[made.id].status == "terminated"


def test_the_timeout_lets_who_is_inside_hear_the_farewell(bench: Bench):
    """`post_actions` run on kick, delete, timeout and connect's end."""
    made = bench.creates(timeout=60, post_actions=[FAREWELL])
    call = bench.calls_in(made.id)
    bench.passes(60)
    assert bench.participant_of(call).reason == "conference_timeout"
    assert bench.spoken() == [FAREWELL.option["text"]]
    assert bench[call].status == "hangup"


def test_put_replaces_everything_and_resets_what_is_left_out(bench: Bench):
    made = bench.creates(name="a", detail="b", data={"k": 1}, timeout=9, pre_actions=[WELCOME], aliases=["4000"])
    changed = bench.asks_for(e.UpdateConference, conference=made.id, name="new")
    assert (changed.name, changed.detail, changed.data, changed.timeout) == ("new", "", {}, 0)
    assert (changed.pre_actions, changed.settings) == ([], Settings())
    assert (changed.type, changed.tm_create) == (made.type, made.tm_create)
    assert bench.creates(aliases=["4000"])


def test_who_is_inside_keeps_the_actions_he_came_in_with(bench: Bench):
    made = bench.creates(post_actions=[talk("old")])
    bench.calls_in(made.id)
    bench.asks_for(e.UpdateConference, conference=made.id, post_actions=[talk("new")])
    bench.calls_in(made.id)
    bench.deletes(made.id)
    assert sorted(bench.spoken()) == ["new", "old"]


def test_put_on_a_terminated_conference_is_409(bench: Bench):
    """PUT on a terminated conference: 409."""
    made = bench.creates()
    gone = bench.deletes(made.id)
    refused = bench.asks_for(e.UpdateConference, conference=made.id, stored=gone)
    assert isinstance(refused, WrongState)
    assert refused.code == "conference_terminated"


def test_delete_empties_the_room_of_joining_calls_too(bench: Bench):
    """DELETE empties the room of `joining` calls too."""
    bench.model.talks_forever = True
    made = bench.creates(pre_actions=[WELCOME], post_actions=[FAREWELL])
    call = bench.calls_in(made.id)
    assert bench.participant_of(call).status == "joining"
    gone = bench.deletes(made.id)
    assert gone.status == "terminated"
    assert bench.participant_of(call).status == "leaved"
    assert bench.spoken() == [WELCOME.option["text"], FAREWELL.option["text"]]
    assert bench.all(c.StopPlay, call=call)


def test_a_call_to_a_conference_that_is_over_hears_so_and_is_let_go_with_an_event(bench: Bench):
    """A conference that is not `starting` or `progressing` takes no joiner."""
    made = bench.creates()
    bench.deletes(made.id)
    call = bench.calls_in(made.id)
    assert bench.all(c.AnswerCall, call=call)
    assert bench.spoken() == ["This conference has ended. Good bye."]
    assert bench.participant_of(call).reason == "conference_closed"
    assert bench.entries()[-6:] == [
        "call_created", "conferencecall_joining", "conferencecall_leaved", "call_progressing", "call_terminating",
        "call_hangup",
    ]  # fmt: skip


def test_a_call_to_one_that_was_over_before_the_server_started_hears_so_as_well():
    old = Bench().engine()
    gone = old.deletes(old.creates().id)
    bench = Bench().engine()
    assert bench.switch.conference_of(gone.id) == gone.id
    call = bench.calls_in(gone.id, stored=gone)
    assert bench.participant_of(call).reason == "conference_closed"
    assert bench[call].status == "hangup"


def test_a_kick_takes_a_call_out_of_its_pre_actions(bench: Bench):
    """Kick works in every state; a call still in `pre_actions` is taken out of them."""
    bench.model.talks_forever = True
    made = bench.creates(pre_actions=[WELCOME], post_actions=[FAREWELL])
    call = bench.calls_in(made.id)
    kicked = bench.asks_for(e.KickConferencecall, conferencecall=bench.participant_of(call).id)
    assert (kicked.status, kicked.reason) == ("leaved", "kicked")
    assert bench.spoken()[-1] == FAREWELL.option["text"]
    assert not bench.all(c.JoinRoom)


def test_a_kick_takes_a_participant_out_of_the_room(bench: Bench):
    made = bench.creates(post_actions=[FAREWELL])
    call = bench.calls_in(made.id)
    member = bench.participant_of(call)
    kicked = bench.asks_for(e.KickConferencecall, conferencecall=member.id)
    assert kicked.reason == "kicked"
    assert bench.all(c.LeaveRoom, call=call)
    assert bench[made.id].conferencecall_ids == []
    assert bench[call].status == "hangup"
    assert bench.spoken() == [FAREWELL.option["text"]]
    assert bench.asks_for(e.KickConferencecall, conferencecall=member.id, stored=kicked) == kicked


def test_who_is_kicked_can_come_in_again(bench: Bench):
    """A conferencecall is one row for each time that a call joins."""
    made = bench.creates(post_actions=[FAREWELL])
    first = bench.calls_in(made.id)
    bench.asks_for(e.KickConferencecall, conferencecall=bench.participant_of(first).id)
    second = bench.calls_in(made.id)
    assert bench[made.id].conferencecall_ids == [bench.participant_of(second).id]


def test_an_alias_leads_to_its_conference_and_is_free_again_when_that_is_over(bench: Bench):
    made = bench.creates(aliases=["4000"])
    call = bench.calls_in("4000")
    assert bench.participant_of(call).conference_id == made.id
    taken = bench.asks_for(e.CreateConference, type=made.type, settings=Settings(aliases=["1", "4000"]))
    assert (taken.code, taken.status, taken.path) == ("alias_taken", 409, "/settings/aliases/1")
    bench.deletes(made.id)
    assert bench.creates(aliases=["4000"])


def test_what_is_another_customers_is_not_found(bench: Bench):
    """404 for what is another customer's."""
    made = bench.creates()
    call = bench.calls_in(made.id)
    for request in (
        (e.DeleteConference, {"conference": made.id}),
        (e.UpdateConference, {"conference": made.id}),
        (e.StartConferenceRecording, {"conference": made.id}),
        (e.StopConferenceRecording, {"conference": made.id}),
        (e.KickConferencecall, {"conferencecall": bench.participant_of(call).id}),
        (e.HangUpCall, {"call": call}),
        (e.DeleteRecording, {"recording": ZERO_ID}),
    ):
        assert isinstance(bench.asks_for(request[0], customer=OTHER_CUSTOMER, **request[1]), NotFound)


def test_a_large_conference_is_emptied_in_one_turn_with_one_update():
    bench = Bench().engine()
    made = bench.creates()
    for _ in range(200):
        bench.calls_in(made.id)
    before = len(bench.log)
    bench.deletes(made.id)
    said = [entry.type for entry in bench.log[before:]]
    assert said.count("conference_updated") == said.count("conference_deleted") == 1
    assert said.count("conferencecall_leaved") == said.count("call_hangup") == 200


BAD = [
    ({"name": "x" * 256}, "/name"),
    ({"detail": "x" * 4_097}, "/detail"),
    ({"data": {"k": "x" * 65_536}}, "/data"),
    ({"timeout": -1}, "/timeout"),
    ({"timeout": 10**12}, "/timeout"),
    ({"pre_actions": [WELCOME] * 101}, "/pre_actions"),
    ({"post_actions": [talk("x" * 9_000)] * 40}, "/post_actions"),
    ({"aliases": ["a b"]}, "/settings/aliases/0"),
    ({"aliases": ["ok", ""]}, "/settings/aliases/1"),
    ({"aliases": ["x" * 65]}, "/settings/aliases/0"),
    ({"aliases": ["same", "same"]}, "/settings/aliases/1"),
    ({"aliases": [CUSTOMER]}, "/settings/aliases/0"),
    ({"aliases": [str(n) for n in range(11)]}, "/settings/aliases"),
    ({"pre_actions": [action("dance")]}, "/pre_actions/0/type"),
    ({"post_actions": [WELCOME, action("ai_talk")]}, "/post_actions/1/type"),
]


@pytest.mark.parametrize(("fields", "path"), BAD, ids=[path for _, path in BAD])
def test_a_bad_request_is_400_with_the_path_of_the_field(bench: Bench, fields, path):
    with pytest.raises(Invalid) as refused:
        bench.creates(**fields)
    assert refused.value.path == path
    assert bench.entries() == []


def test_limits_on_conferences_are_429():
    bench = Bench(conferences_per_customer_max=2).engine()
    bench.creates()
    made = bench.creates()
    with pytest.raises(Refusal, match="Delete one first"):
        bench.creates()
    bench.deletes(made.id)
    assert bench.creates()


def test_numbers_are_gapless_within_each_conference(bench: Bench):
    first, second = bench.creates(), bench.creates()
    for made in (first, second, first):
        bench.does(e.CallEnded(call=bench.calls_in(made.id), reason="bye"))
    for made in (first, second):
        numbers = [entry.number for entry in bench.log if entry.conference_id == made.id]
        assert numbers == list(range(1, len(numbers) + 1))


def test_talking_shows_in_the_participant_and_not_in_the_log(bench: Bench):
    made = bench.creates()
    call = bench.calls_in(made.id)
    before = len(bench.log)
    bench.does(e.TalkingChanged(call=call, talking=True))
    assert bench.participant_of(call).talking
    assert len(bench.log) == before
    bench.does(e.CallEnded(call=call, reason="bye"))
    assert not bench.participant_of(call).talking


def test_who_has_talked_since_before_he_came_in_is_shown_to_talk(bench: Bench):
    """The engine tells of a beginning once, and he may have begun while the greeting was spoken."""
    bench.model.talks_forever = True
    call = bench.calls_in(bench.creates(pre_actions=[talk("Welcome.")]).id)
    bench.does(e.TalkingChanged(call=call, talking=True))
    assert not bench.participant_of(call).talking
    bench.model.talks_forever = False
    bench.does(e.PlayEnded(call=call, play=bench.last(c.Play).play, reason="finished"))
    assert bench.participant_of(call).status == "joined"
    assert bench.participant_of(call).talking
