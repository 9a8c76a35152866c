"""RFC 4475 through the whole endpoint: each message with the outcome that the RFC wants."""

from pathlib import Path

import pytest
from phone import Bench
from torture.cases import ACCEPT, CASES, DROP, Case

MESSAGES = Path(__file__).parents[3] / "shared" / "data" / "rfc4475"

needs_messages = pytest.mark.skipif(not MESSAGES.is_dir(), reason="RFC 4475 messages are not beside the repository")

TAKEN = "Invited"
DROPPED = None
VERDICTS = {
    # 3.1.1 valid messages; wsinv names a dialog that there is not
    "wsinv": 481, "intmeth": 501, "esc01": TAKEN, "escnull": 405, "esc02": 501, "lwsdisp": 200, "longreq": TAKEN,
    "dblreq": 405, "semiuri": 200, "transports": 200, "mpart01": 405, "unreason": DROPPED, "noreason": DROPPED,
    # 3.1.2 invalid messages
    "badinv01": 400, "clerr": 400, "ncl": 400, "scalar02": 400, "scalarlg": DROPPED, "quotbal": 400, "ltgtruri": 400,
    "lwsruri": 400, "lwsstart": 400, "trws": 400, "escruri": 400, "baddate": TAKEN, "regbadct": 400, "badaspec": 400,
    "baddn": 400, "badvers": 505, "mismatch01": 400, "mismatch02": 400, "bigcode": DROPPED,
    # 3.2 transactions
    "badbranch": 200,
    # 3.3 the application layer
    "insuf": 400, "unkscm": 416, "novelsc": 416, "unksm2": 405, "bext01": 420, "invut": 415, "regaut01": 405,
    "multi01": 400, "mcl01": 400, "bcast": DROPPED, "zeromf": 200, "cparam01": 405, "cparam02": 405, "regescrt": 405,
    "sdp01": 406,
    # 3.4 a peer of RFC 2543
    "inv2543": TAKEN,
    # section 2, as an example of what is no message
    "test": DROPPED,
}  # fmt: skip

OUTCOMES = {
    "3.1.1.1": 481, "3.1.1.2": 501, "3.1.1.3": TAKEN, "3.1.1.4": 405, "3.1.1.5": 501, "3.1.1.6": 200, "3.1.1.7": TAKEN,
    "3.1.1.8": 405, "3.1.1.9": 200, "3.1.1.10": 200, "3.1.1.11": 405, "3.1.1.12": DROPPED, "3.1.1.13": DROPPED,
    "3.1.2.12": TAKEN, "3.2.1": 200, "3.3.2": 416, "3.3.3": 416, "3.3.4": 405, "3.3.5": 420, "3.3.6": 415, "3.3.7": 405,
    "3.3.10": DROPPED, "3.3.11": 200, "3.3.12": 405, "3.3.13": 405, "3.3.14": 405, "3.3.15": 406, "3.4.1": TAKEN,
}  # fmt: skip
"""What becomes of those of our own messages that parse, by the section whose difficulty they have."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.section} {case.name}")
def test_a_message_of_our_own_with_the_same_difficulty(case: Case):
    expected = {ACCEPT: OUTCOMES.get(case.section), DROP: DROPPED}.get(case.verdict, case.verdict)
    check(case.data, expected)


@needs_messages
@pytest.mark.parametrize("name", VERDICTS)
def test_torture_message(name):
    check((MESSAGES / f"{name}.dat").read_bytes(), VERDICTS[name])


def check(data: bytes, expected: int | str | None) -> None:
    """A number is the status of the answer. What is not taken leaves nothing behind."""
    bench = Bench()
    answers = bench.throw(data, ("192.0.2.1", 5060))
    assert answers == ([expected] if isinstance(expected, int) else [])
    assert bench.story == ([TAKEN] if expected == TAKEN else [])
    if expected != TAKEN:
        assert (bench.endpoint.calls, bench.endpoint.transactions) == (0, 0)


@needs_messages
def test_every_torture_message_has_a_verdict():
    assert {path.stem for path in MESSAGES.glob("*.dat")} == set(VERDICTS)


@needs_messages
@pytest.mark.parametrize("name", ["regaut01", "escnull", "dblreq", "unksm2", "cparam01", "regescrt"])
def test_a_registration_is_challenged_where_callers_are(name):
    """RFC 4475 section 3.3.9: never accepted."""
    bench = Bench(anonymous=False, users={"ann": "x"})
    (answer,) = bench.take((MESSAGES / f"{name}.dat").read_bytes(), ("192.0.2.1", 5060))
    assert answer.status == 401


@needs_messages
def test_all_of_them_at_once_disturb_no_call():
    bench = Bench()
    _, ok = bench.established()
    for path in sorted(MESSAGES.glob("*.dat")):
        bench.throw(path.read_bytes())
    (bye,) = bench.take(bench.within("BYE", ok, 2))
    assert bye.status == 200
