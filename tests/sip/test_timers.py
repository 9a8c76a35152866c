"""The one table of timers against the simplest thing that could be right: a dictionary."""

import pickle

from hypothesis import given
from hypothesis import strategies as st

from plenary.sip.timers import Timer, Timers

OWNERS = st.sampled_from(["ann", "bob", "eve"])
TIMERS = st.sampled_from([Timer.A, Timer.B, Timer.E])
OPERATIONS = st.one_of(
    st.tuples(st.just("set"), OWNERS, TIMERS, st.integers(0, 20)),
    st.tuples(st.just("stop"), OWNERS, TIMERS),
    st.tuples(st.just("stop_all"), OWNERS),
    st.tuples(st.just("expired"), st.integers(0, 20)),
)


@given(st.lists(OPERATIONS, max_size=200))
def test_timers_do_what_a_dictionary_would_do(operations):
    timers: Timers[str] = Timers()
    model: dict[tuple[str, Timer], int] = {}
    for name, *args in operations:
        found = getattr(timers, name)(*args)
        match name:
            case "set":
                model[args[0], args[1]] = args[2]
            case "stop":
                model.pop((args[0], args[1]), None)
            case "stop_all":
                model = {key: at for key, at in model.items() if key[0] != args[0]}
            case _:
                first = min(model.values(), default=None)
                if first is None or first > args[0]:
                    assert found is None
                else:
                    assert model.pop(found) == first
        assert timers.next() == min(model.values(), default=None)
        assert len(timers) == len(model)
        assert all(timers.runs(*key) for key in model)


def test_timers_that_are_stopped_or_moved_leave_no_memory_behind():
    """A peer may make a call move its timers as often as it likes; the table must not grow with that."""
    timers: Timers[int] = Timers()
    for owner in range(10_000):
        timers.set(owner, Timer.A, 1e9)
        timers.stop(owner, Timer.A)
        timers.set(-1, Timer.B, 1e9 + owner)
    assert len(timers) == 1
    assert len(pickle.dumps(timers)) < 10_000


def test_a_timer_that_is_moved_fires_once_at_its_last_time():
    timers: Timers[str] = Timers()
    timers.set("ann", Timer.A, 1.0)
    timers.set("ann", Timer.A, 3.0)
    timers.set("ann", Timer.A, 2.0)
    assert timers.expired(1.9) is None
    assert timers.expired(9.0) == ("ann", Timer.A)
    assert timers.expired(9.0) is None
