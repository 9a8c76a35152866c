"""Actions and how one follows the other: voipbin-api.md 3.2 to 3.9, with its weak spots mended."""

import msgspec
import pytest
from harness import FAREWELL, WELCOME, Bench, action, talk

from plenary.api.examples import PIN
from plenary.core import commands as c
from plenary.core import events as e
from plenary.core.actions import ACTIONS, check_actions
from plenary.core.errors import Invalid
from plenary.core.ids import ZERO_ID
from plenary.core.resources import Action
from plenary.core.variables import assign

A, B, C = (f"{digit * 8}-0000-4000-8000-000000000000" for digit in "abc")


@pytest.fixture
def bench() -> Bench:
    return Bench().engine()


def runs(bench: Bench, *actions: Action) -> str:
    """A call into a conference with these `pre_actions`."""
    return bench.calls_in(bench.creates(pre_actions=list(actions)).id)


def variables(bench: Bench, call: str) -> dict[str, str]:
    return bench.switch._world.calls[call].state.runner.flow.variables


# --- Order ---


def test_actions_run_in_the_order_of_the_list(bench: Bench):
    runs(bench, talk("1"), talk("2"), talk("3"))
    assert bench.spoken() == ["1", "2", "3"]
    assert len(bench.all(c.JoinRoom)) == 1


def test_next_id_is_an_explicit_successor(bench: Bench):
    runs(bench, talk("1", next_id=B), talk("skipped"), talk("2", id_=B))
    assert bench.spoken() == ["1", "2"]


def test_a_jump_to_an_action_that_is_not_there_ends_the_call(bench: Bench):
    """Only what a variable names can still be nowhere when the action runs."""
    call = runs(bench, action("variable_set", key="there", value=B), action("goto", target_id="${there}", loop_count=1))
    assert bench[call].hangup_reason == "failed"
    assert "action_failed" in bench.entries()


def test_goto_jumps_as_often_as_it_says(bench: Bench):
    """`loop_count: 2` jumps twice."""
    runs(bench, talk("again", id_=A), action("goto", target_id=A, loop_count=2))
    assert bench.spoken() == ["again"] * 3


def test_an_inner_loop_runs_in_each_round_of_an_outer_one(bench: Bench):
    """Mends 3.9: "an inner loop inside an outer loop runs only during the first outer round"."""
    runs(bench, talk("x", id_=A), action("goto", target_id=A, loop_count=1), action("goto", target_id=A, loop_count=1))
    assert bench.spoken() == ["x"] * 4


def test_a_nested_conference_returns_behind_its_join(bench: Bench):
    inner = bench.creates(pre_actions=[talk("in")], post_actions=[talk("out")])
    call = runs(bench, action("conference_join", conference_id=inner.id), talk("back"))
    assert bench[call].conference_id == inner.id
    bench.asks_for(e.KickConferencecall, conferencecall=bench[inner.id].conferencecall_ids[0])
    assert bench.spoken() == ["in", "out", "back"]
    outer = bench[call].conference_id
    assert outer != inner.id
    assert len(bench[outer].conferencecall_ids) == 1


def test_a_jump_out_of_a_conference_leaves_it(bench: Bench):
    """A nested flow can jump out into its caller, who says where to."""
    inner = bench.creates(pre_actions=[action("goto", target_id="${back}", loop_count=1)])
    call = runs(bench, action("variable_set", key="back", value=A),
                action("conference_join", conference_id=inner.id), talk("skipped"), talk("landed", id_=A))  # fmt: skip
    assert bench.spoken() == ["landed"]
    reasons = [row.resource.reason for row in bench.rows.values() if getattr(row.resource, "reference_id", "") == call]
    assert reasons == ["", "flow_ended"] or sorted(reasons) == ["", "flow_ended"]


def test_from_post_actions_there_is_no_way_back_before_the_room(bench: Bench):
    before = [action("variable_set", key="in", value=A), talk("in", id_=A)]
    made = bench.creates(pre_actions=before, post_actions=[action("goto", target_id="${in}", loop_count=9)])
    call = bench.calls_in(made.id)
    bench.deletes(made.id)
    assert bench.spoken() == ["in"]
    assert bench[call].hangup_reason == "failed"


def test_joining_the_conference_one_is_in_is_refused(bench: Bench):
    """9.6: refuse conference-in-conference recursion."""
    made = bench.creates()
    bench.asks_for(e.UpdateConference, conference=made.id,
                   post_actions=[action("conference_join", conference_id=made.id), FAREWELL])  # fmt: skip
    call = bench.calls_in(made.id)
    bench.asks_for(e.KickConferencecall, conferencecall=bench.participant_of(call).id)
    assert bench.entries().count("conferencecall_joining") == 1
    assert bench.spoken() == [FAREWELL.option["text"]]
    assert bench[call].hangup_reason == "normal"


def test_a_conference_of_another_customer_cannot_be_joined(bench: Bench):
    """Mends C29."""
    other = bench.asks_for(e.CreateConference, customer=A, type=bench.creates().type)
    call = runs(bench, action("conference_join", conference_id=other.id))
    assert bench[call].hangup_reason == "failed"
    assert bench[other.id].conferencecall_ids == []


@pytest.mark.parametrize(
    "actions",
    [
        [action("goto", id_=A, target_id=A, loop_count=1_000)],
        [action("variable_set", id_=A, next_id=A, key="x", value="y")],
        [action("sleep", id_=A, next_id=A)],
        [action("branch", id_=A, default_target_id=A)],
    ],
    ids=["goto", "next_id", "sleep 0", "branch"],
)
def test_a_loop_that_waits_for_nothing_is_cut_quickly_and_says_so(bench: Bench, actions):
    call = runs(bench, *actions)
    assert bench[call].hangup_reason == "failed"
    assert [entry.cause for entry in bench.log if entry.type == "action_failed"] == [
        f"{actions[0].type}: The actions go round in a loop that waits for nothing (200 in a second)."
    ]


def test_a_menu_that_waits_can_go_round_for_hours(bench: Bench):
    call = runs(bench, action("sleep", id_=A, next_id=A, duration=1_000))
    bench.passes(7_200)
    assert bench[call].status == "dialing"
    bench.passes(3_600)
    assert bench[call].hangup_reason == "failed"


# --- Variables ---


def test_variables_of_call_and_conference_are_put_in(bench: Bench):
    made = bench.creates(
        name="Board", pre_actions=[talk("${voipbin.call.source.target} in ${voipbin.conference.name}")]
    )
    bench.calls_in(made.id)
    assert bench.spoken() == ["ann@phone in Board"]


def test_unknown_variables_are_empty_and_values_are_not_expanded_again(bench: Bench):
    runs(bench, action("variable_set", key="a", value="$"), action("variable_set", key="b", value="${a}{c}"),
         action("variable_set", key="c", value="never"), talk("<${b}${nothing}>"))  # fmt: skip
    assert bench.spoken() == ["<${c}>"]


def test_a_value_cannot_inject_options(bench: Bench):
    """Substituted variables can't inject JSON."""
    evil = '", "language": "xx", "digits_handle": "next'
    runs(bench, action("variable_set", key="name", value=evil), talk("Hello ${name}", language="en-US"))
    assert bench.last(c.PreparePrompt).text == f"Hello {evil}"
    assert bench.last(c.PreparePrompt).language == "en-US"


def test_an_option_that_substitution_makes_bad_fails_that_action_only(bench: Bench):
    runs(bench, talk("${nothing}"), talk("next"))
    assert bench.spoken() == ["next"]
    assert bench.entries().count("action_failed") == 1


def test_too_many_or_too_long_variables_fail(bench: Bench):
    many = [action("variable_set", id_=A, key="k${voipbin.call.digits}", value="x" * 30_000)]
    doubled = [action("variable_set", key="x", value="x" * 32_000), talk("${x}${x}${x}")]
    runs(bench, *many, *doubled)
    assert bench.entries().count("action_failed") == 1
    assert len(bench.all(c.JoinRoom)) == 1


def test_branch_goes_where_the_digits_say_and_empties_them(bench: Bench):
    actions = [
        action("branch", target_ids={"1": A, "2": B}, default_target_id=C, id_=ZERO_ID),
        talk("one", id_=A, next_id=C), talk("two", id_=B), talk("end", id_=C),
    ]  # fmt: skip
    call = runs(bench, action("sleep", duration=1_000), *actions)
    bench.does(e.DigitPressed(call=call, digit="2"))
    bench.passes(1)
    assert bench.spoken() == ["two", "end"]
    assert variables(bench, call)["voipbin.call.digits"] == ""


def test_branch_without_a_way_ends_the_call(bench: Bench):
    call = runs(bench, action("branch", target_ids={"1": A}), talk("one", id_=A))
    assert bench[call].hangup_reason == "failed"


@pytest.mark.parametrize(
    ("options", "holds"),
    [
        ({"condition": "==", "value_string": "12"}, True),
        ({"condition": "!=", "value_string": "12"}, False),
        ({"condition": "<", "value_string": "2"}, True),
        ({"condition": ">", "value_type": "number", "value_number": 2}, True),
        ({"condition": "<=", "value_type": "number", "value_number": 11.5}, False),
        ({"condition": ">=", "value_type": "length", "value_length": 2}, True),
        ({"condition": "==", "value_type": "number", "value_number": 12, "variable": "abc"}, False),
        ({"condition": "==", "value_string": "12", "variable": "x"}, True),
        ({"condition": "==", "value_string": "x", "variable": "x"}, False),
        ({"condition": "==", "value_string": "incoming", "variable": "voipbin.call.direction"}, True),
        ({"condition": "==", "value_string": "y", "variable": "y"}, True),
    ],
)
def test_condition_variable_compares_the_variable_with_the_value(bench: Bench, options: dict, holds: bool):
    """The order of the operands is: variable, condition, value. A bare name is a variable if there is one of it."""
    options = {"variable": "${x}", "false_target_id": A, **options}
    runs(bench, action("variable_set", key="x", value="12"), action("condition_variable", **options),
         talk("true"), talk("false", id_=A))  # fmt: skip
    assert bench.spoken() == (["true", "false"] if holds else ["false"])


def test_the_value_of_a_variable_is_never_taken_for_a_name(bench: Bench):
    """Who calls chooses his display name: it must not reach the variables."""
    option = {"variable": "${x}", "value_string": "incoming", "false_target_id": A}
    runs(bench, action("variable_set", key="x", value="voipbin.call.direction"), action("condition_variable", **option),
         talk("true"), talk("false", id_=A))  # fmt: skip
    assert bench.spoken() == ["false"]


def test_a_conference_can_be_chosen_by_keys(bench: Bench):
    target = bench.creates(aliases=["42"])
    call = runs(bench, action("digits_receive", duration=9_000, length=2),
                action("conference_join", conference_id="${voipbin.call.digits}"))  # fmt: skip
    for digit in "42":
        bench.does(e.DigitPressed(call=call, digit=digit))
    assert len(bench[target.id].conferencecall_ids) == 1


# --- Keys (3.8) ---


def collected(bench: Bench, keys: str, **option) -> str:
    call = runs(bench, action("digits_receive", **{"duration": 5_000, **option}))
    for key in keys:
        bench.does(e.DigitPressed(call=call, digit=key))
    return call


def test_digits_receive_answers_first(bench: Bench):
    """A phone that is still ringing sends no keys: to wait for them unanswered would be to wait for nothing."""
    call = runs(bench, action("digits_receive", duration=5_000, length=1))
    assert bench[call].status == "progressing"
    assert bench[call].action.type == "digits_receive"


def test_digits_receive_ends_at_its_length(bench: Bench):
    call = collected(bench, "12", length=2)
    assert bench[call].status == "progressing"
    assert variables(bench, call)["voipbin.call.digits"] == "12"


def test_digits_receive_ends_at_its_key_which_stays_in_the_result(bench: Bench):
    call = collected(bench, "12#", key="#*")
    assert bench[call].status == "progressing"
    assert variables(bench, call)["voipbin.call.digits"] == "12#"


def test_digits_receive_ends_at_its_time_with_what_there_is(bench: Bench):
    call = collected(bench, "12")
    bench.passes(4.9)
    assert bench[call].action.type == "digits_receive"
    bench.passes(0.1)
    assert bench[call].status == "progressing"
    assert variables(bench, call)["voipbin.call.digits"] == "12"


def test_a_key_pressed_just_before_counts(bench: Bench):
    call = runs(bench, action("sleep", duration=100), action("digits_receive", duration=5_000, length=1))
    bench.does(e.DigitPressed(call=call, digit="7"))
    bench.passes(0.1)
    assert bench[call].status == "progressing"


def test_what_one_collection_took_does_not_end_the_next(bench: Bench):
    """Mends F7: "leftovers end the next collection at once"."""
    call = runs(bench, *[action("digits_receive", duration=5_000, length=2)] * 2)
    for digit in "12":
        bench.does(e.DigitPressed(call=call, digit=digit))
    assert bench[call].action.type == "digits_receive"
    for digit in "34":
        bench.does(e.DigitPressed(call=call, digit=digit))
    assert variables(bench, call)["voipbin.call.digits"] == "34"


def test_a_key_ends_a_talk_that_wants_it(bench: Bench):
    bench.model.talks_forever = True
    call = runs(bench, talk("press", digits_handle="next"), action("branch", target_ids={"1": A}), talk("one", id_=A))
    bench.does(e.DigitPressed(call=call, digit="1"))
    assert bench.all(c.StopPlay, call=call)
    assert bench.spoken() == ["press", "one"]


def test_a_pin_typed_over_its_prompt_counts_whole(bench: Bench):
    """The example of the documentation: the first key ends the prompt, and is the first of the collection."""
    bench.model.talks_forever = True
    call = runs(bench, *msgspec.convert(PIN, list[Action]))
    for key in "421":
        bench.does(e.DigitPressed(call=call, digit=key))
    assert bench[call].action.type == "beep"


def test_a_collection_of_no_time_takes_only_the_key_pressed_just_before(bench: Bench):
    call = runs(bench, action("sleep", duration=100), action("digits_receive"), talk("go on"))
    bench.does(e.DigitPressed(call=call, digit="7"))
    assert bench.spoken() == []
    bench.passes(0.1)
    assert (bench.spoken(), variables(bench, call)["voipbin.call.digits"]) == (["go on"], "7")


def test_a_key_does_not_end_a_talk_that_does_not_want_it(bench: Bench):
    bench.model.talks_forever = True
    call = runs(bench, talk("listen"), talk("later"))
    bench.does(e.DigitPressed(call=call, digit="1"))
    assert bench.spoken() == ["listen"]


# --- Sound ---


def test_a_prompt_that_fails_is_logged_and_the_call_goes_on(bench: Bench):
    bench.model.prompts_fail = True
    call = runs(bench, WELCOME)
    assert bench[call].status == "progressing"
    assert [entry.cause for entry in bench.log if entry.type == "action_failed"] == ["talk: no voice"]


def test_a_prompt_that_takes_too_long_is_given_up():
    bench = Bench()
    call = runs(bench, WELCOME)
    bench.does(e.LegAnswered(call=call, sdp="answer", direction="sendrecv"))
    request = bench.last(c.PreparePrompt).request
    out = bench.passes(10)
    assert out == [c.DropPrompt(request=request), c.JoinRoom(call=call, conference=bench[call].conference_id)]
    bench.does(e.PromptReady(request=request, prompt="late", duration_ms=1))
    assert not bench.all(c.Play)


def test_a_prompt_that_the_engine_has_forgotten_is_made_again_once():
    bench = Bench()
    call = runs(bench, WELCOME)
    bench.does(e.LegAnswered(call=call, sdp="answer", direction="sendrecv"))
    for _ in range(2):
        bench.does(e.PromptReady(request=bench.last(c.PreparePrompt).request, prompt="hash", duration_ms=1))
        bench.does(e.PlayEnded(call=call, play=bench.last(c.Play).play, reason="unknown_prompt"))
    assert len(bench.all(c.PreparePrompt)) == 2
    assert bench.entries().count("action_failed") == 1
    assert bench.all(c.JoinRoom)


def test_a_file_that_cannot_be_played_is_named(bench: Bench):
    bench.model.prompts_fail = True
    runs(bench, action("play", stream_urls=["http://a/1.wav"]))
    assert [entry.cause for entry in bench.log if entry.type == "action_failed"] == ["play: http://a/1.wav: no voice"]


def test_play_plays_its_files_in_order_and_passes_over_one_that_fails(bench: Bench):
    urls = ["http://a/1", "http://a/2"]
    runs(bench, action("play", stream_urls=urls))
    assert bench.spoken() == urls
    bench.model.prompts_fail = True
    runs(bench, action("play", stream_urls=urls))
    assert bench.entries().count("action_failed") == 2
    assert len(bench.all(c.JoinRoom)) == 2


def test_sleep_and_answer_and_stop(bench: Bench):
    call = runs(bench, action("answer"), action("sleep", duration=1_500), action("stop"), WELCOME)
    assert bench[call].action.type == "sleep"
    bench.passes(1.4)
    assert bench[call].status == "progressing"
    bench.passes(0.1)
    assert bench[call].hangup_reason == "normal"
    assert bench.spoken() == []


# --- Options: unknown action, bad option: 400 with the path of the field ---

BAD = [
    (action("talk"), "/option/text"),
    (action("talk", text=1), "/option/text"),
    (action("talk", text=" "), "/option/text"),
    (action("talk", text="x" * 10_001), "/option/text"),
    (action("talk", text="x", gender="robot"), "/option/gender"),
    (action("talk", text="x", language="english please"), "/option/language"),
    (action("talk", text="x", volume=1), "/option/volume"),
    (action("play", stream_urls=[]), "/option/stream_urls"),
    (action("play", stream_urls=["http://a", 1]), "/option/stream_urls/1"),
    (action("play", stream_urls=["file:///etc/passwd"]), "/option/stream_urls/0"),
    (action("sleep", duration=-1), "/option/duration"),
    (action("sleep", duration="1"), "/option/duration"),
    (action("beep", loud=True), "/option/loud"),
    (action("digits_receive", key="x"), "/option/key"),
    (action("digits_receive", length=101), "/option/length"),
    (action("digits_receive", key="1" * 1_025), "/option/key"),
    (action("digits_receive", key="${" * 600), "/option/key"),
    (talk("hello", language="12-34"), "/option/language"),
    (talk("hello", language="en_US"), "/option/language"),
    (talk("hello", language="en-US\n"), "/option/language"),
    (talk("hello", language="${" * 600), "/option/language"),
    (action("conference_join", conference_id="${" * 600), "/option/conference_id"),
    (action("condition_variable", variable="x" * 32_769, false_target_id=A), "/option/variable"),
    (action("condition_variable", variable="x", value_string="x" * 32_769, false_target_id=A), "/option/value_string"),
    (action("branch", variable="x" * 256, default_target_id=A), "/option/variable"),
    (action("branch", target_ids={"1" * 256: A}), "/option/target_ids"),
    (action("goto", target_id="${" * 600), "/option/target_id"),
    (action("variable_set", key="x" * 256, value=""), "/option/key"),
    (action("variable_set", key="a{b", value=""), "/option/key"),
    (action("variable_set", key="x", value="x" * 32_769), "/option/value"),
    (action("condition_variable", variable="x"), "/option/false_target_id"),
    (action("condition_variable", variable="x", false_target_id=ZERO_ID), "/option/false_target_id"),
    (action("condition_variable", variable="x", false_target_id=A, condition="~"), "/option/condition"),
    (action("branch", target_ids={"1": "no id"}), "/option/target_ids/1"),
    (action("branch", target_ids={"a/b": "no id"}), "/option/target_ids/a~1b"),
    (action("goto", target_id=A, loop_count=-1), "/option/loop_count"),
    (action("variable_set", key="", value=""), "/option/key"),
    (action("conference_join", conference_id="a b"), "/option/conference_id"),
    (action("conference_join"), "/option/conference_id"),
    (action("recording_start", format="mp3"), "/option/format"),
    (action("recording_start", end_of_key="5"), "/option/end_of_key"),
    (action("recording_start", duration=10**9), "/option/duration"),
    (action("hangup", reason="because"), "/option/reason"),
    (action("enter_room", conference_id=A), "/type"),
    (Action(type="answer", id="1"), "/id"),
    (Action(type="answer", next_id=A.upper()), "/next_id"),
]


@pytest.mark.parametrize(("bad", "path"), BAD, ids=[f"{bad.type} {path}" for bad, path in BAD])
def test_a_bad_action_is_named_by_its_path(bad: Action, path: str):
    with pytest.raises(Invalid) as refused:
        check_actions([WELCOME, bad], "/pre_actions")
    assert refused.value.path == f"/pre_actions/1{path}"


@pytest.mark.parametrize(
    ("bad", "path"),
    [
        (talk("x", next_id=B), "/next_id"),
        (action("goto", target_id=B), "/option/target_id"),
        (action("branch", target_ids={"1": A, "2/3": B}), "/option/target_ids/2~13"),
        (action("branch", default_target_id=B), "/option/default_target_id"),
        (action("condition_variable", variable="x", false_target_id=B.upper()), "/option/false_target_id"),
    ],
)
def test_a_jump_leads_to_an_action_of_its_own_list(bad: Action, path: str):
    here = [talk("here", id_=A), bad]
    with pytest.raises(Invalid, match="no action with the id") as refused:
        check_actions(here, "/actions")
    assert (refused.value.code, refused.value.path) == ("unknown_target", f"/actions/1{path}")
    check_actions([*here, talk("there", id_=B)], "/actions")


def test_a_branch_that_leads_nowhere_is_refused():
    with pytest.raises(Invalid, match="leads nowhere") as refused:
        check_actions([action("branch")], "/pre_actions")
    assert refused.value.path == "/pre_actions/0/option/target_ids"


def test_the_actions_of_a_conference_share_a_limit(bench: Bench):
    """Each join and leave logs the conference, with all of them."""
    long = [talk("x" * 5_000) for _ in range(7)]
    bench.creates(pre_actions=long)
    refused = bench.asks_for(e.CreateConference, type="conference", pre_actions=long, post_actions=long)
    assert isinstance(refused, Invalid)
    assert (refused.code, refused.path) == ("actions_too_long", "/post_actions")


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (talk(""), "pre_actions[1].option.text: there is nothing to say."),
        (action("talk"), "pre_actions[1].option: the option 'text' is missing."),
        (talk("x", gender="x"), "pre_actions[1].option.gender: expected one of 'female', 'male', 'neutral', got 'x'."),
        (action("sleep", duration="1"), "pre_actions[1].option.duration: expected an integer, got a string."),
        (action("sleep", time=1), "pre_actions[1].option: there is no option 'time'; there is duration."),
        (action("beep", loud=True), "pre_actions[1].option: there is no option 'loud'."),
        (action("play", stream_urls=[1]), "pre_actions[1].option.stream_urls[0]: expected a string, got an integer."),
        (Action(type="beep", id="1"), "pre_actions[1].id: expected an id: a UUID in lower case."),
    ],
)
def test_a_refusal_says_which_action_and_what_it_can_have(bad: Action, sentence: str):
    with pytest.raises(Invalid) as refused:
        check_actions([WELCOME, bad], "/pre_actions")
    assert refused.value.detail == sentence


def test_an_unknown_action_is_told_which_ones_there_are():
    with pytest.raises(Invalid, match="conference_join") as refused:
        check_actions([action("ai_talk")], "/post_actions")
    assert refused.value.code == "unknown_action"
    assert refused.value.detail.startswith("post_actions[0]: there is no action 'ai_talk'; there are answer, beep,")
    assert all(name in refused.value.detail for name in ACTIONS)


def test_next_id_of_a_join_counts_when_the_conference_is_left(bench: Bench):
    inner = bench.creates(pre_actions=[talk("in")])
    runs(bench, action("conference_join", conference_id=inner.id, next_id=A), talk("skipped"), talk("out", id_=A))
    bench.deletes(inner.id)
    assert bench.spoken() == ["in", "out"]


def test_conferences_within_conferences_have_a_limit(bench: Bench):
    """At most `FRAMES_MAX` lists of actions run within one another."""
    last = bench.creates()
    for _ in range(12):
        last = bench.creates(pre_actions=[action("conference_join", conference_id=last.id)])
    call = bench.calls_in(last.id)
    assert bench.entries().count("action_failed") == 1
    assert bench[call].status == "progressing"
    bench.does(e.CallEnded(call=call, reason="bye"))
    members = [row for row in bench.rows.values() if getattr(row.resource, "reference_id", "") == call]
    assert {row.resource.status for row in members} == {"leaved"}


def test_a_full_conference_says_so_to_who_comes_by_conference_join():
    bench = Bench(participants_max=1).engine()
    full = bench.creates()
    bench.calls_in(full.id)
    call = runs(bench, action("conference_join", conference_id=full.id))
    assert bench.spoken() == ["This conference is full. Please try again later. Good bye."]
    assert bench[call].status == "hangup"
    reasons = {row.resource.reason for row in bench.rows.values() if getattr(row.resource, "reference_id", "") == call}
    assert reasons == {"failed", "flow_ended"}


def test_a_conference_that_is_over_says_so_to_who_comes_by_conference_join(bench: Bench):
    gone = bench.creates()
    bench.deletes(gone.id)
    call = runs(bench, action("conference_join", conference_id=gone.id))
    assert bench.spoken() == ["This conference has ended. Good bye."]
    assert bench[call].status == "hangup"


def test_a_conference_that_never_was_ends_the_call(bench: Bench):
    call = runs(bench, action("conference_join", conference_id=A))
    assert bench[call].hangup_reason == "failed"


VARIABLES = [
    ({}, "", "x"), ({}, "n" * 256, "x"), ({}, "n", "x" * 32_769),
    ({str(n): "" for n in range(200)}, "n", "x"), ({"a": "x" * 30_000, "b": "x" * 30_000}, "n", "x" * 6_000),
]  # fmt: skip


@pytest.mark.parametrize(("variables", "name", "value"), VARIABLES)
def test_a_variable_beyond_a_limit_is_refused_and_changes_nothing(variables: dict, name: str, value: str):
    before = dict(variables)
    with pytest.raises(Invalid):
        assign(variables, name, value)
    assert variables == before
