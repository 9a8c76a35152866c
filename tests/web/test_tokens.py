"""Join tokens as they travel (RFC 7515, RFC 7519): what we signed is taken, everything else is not."""

import base64
import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plenary.core.resources import JoinToken, TokenRole
from plenary.web.tokens import TOKEN_MAX, BadToken, looks_like_one, sign, verify

KEY, OTHER_KEY = bytes(range(32)), bytes(32)
ID = "b7a6c5d4-e3f2-4109-8a7b-6c5d4e3f2a1b"
EXPIRES = 1_800_000_000


def a_token(name: str = "Ann") -> JoinToken:
    return JoinToken(
        id=ID,
        customer_id=ID,
        conference_id=ID,
        name=name,
        role=TokenRole.MODERATOR,
        scopes=["join", "publish", "roster", "digits", "mute_others"],
        tm_create="2026-01-01 00:00:00.000000",
        tm_expire="2027-01-15 08:00:00.000000",
    )


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forged(header: bytes, payload: bytes, key: bytes = KEY) -> str:
    signed = f"{encoded(header)}.{encoded(payload)}"
    return f"{signed}.{encoded(hmac.digest(key, signed.encode(), hashlib.sha256().name))}"


def test_a_token_is_a_json_web_token_that_others_can_read():
    header, payload, _ = (base64.urlsafe_b64decode(part + "==") for part in sign(a_token(), EXPIRES, KEY).split("."))
    assert json.loads(header) == {"alg": "HS256", "typ": "JWT"}
    claims = json.loads(payload)
    assert (claims["jti"], claims["exp"], claims["scope"]) == (ID, EXPIRES, "join publish roster digits mute_others")


@given(st.text(max_size=64))
def test_what_was_signed_is_taken_and_fits_into_an_address(name: str):
    text = sign(a_token(name), EXPIRES, KEY)
    assert verify(text, KEY) == (ID, EXPIRES)
    assert looks_like_one(text)
    assert len(text) <= TOKEN_MAX
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


@given(st.data())
def test_one_changed_character_is_enough(data: st.DataObject):
    text = sign(a_token(), EXPIRES, KEY)
    place = data.draw(st.integers(0, len(text) - 1))
    changed = text[:place] + data.draw(st.characters(exclude_characters=text[place])) + text[place + 1 :]
    with pytest.raises(BadToken):
        verify(changed, KEY)


@given(st.text())
def test_anything_else_is_none_of_ours(text: str):
    with pytest.raises(BadToken):
        verify(text, KEY)


CLAIMS = {"jti": ID, "exp": EXPIRES, "customer": ID, "conference": ID, "name": "", "role": "listener", "scope": "join"}
HEADER = b'{"alg":"HS256","typ":"JWT"}'


@pytest.mark.parametrize(
    "text",
    [
        forged(HEADER, json.dumps(CLAIMS).encode(), OTHER_KEY),
        forged(b'{"alg":"none","typ":"JWT"}', json.dumps(CLAIMS).encode()),
        forged(b'{"typ":"JWT","alg":"HS256"}', json.dumps(CLAIMS).encode()),
        forged(HEADER, b"no JSON"),
        forged(HEADER, b"\xff\xfe"),
        forged(HEADER, json.dumps({**CLAIMS, "jti": "../x"}).encode()),
        forged(HEADER, json.dumps({**CLAIMS, "exp": "soon"}).encode()),
        forged(HEADER, json.dumps({key: value for key, value in CLAIMS.items() if key != "exp"}).encode()),
        forged(HEADER, json.dumps({**CLAIMS, "name": "x" * TOKEN_MAX}).encode()),
        sign(a_token(), EXPIRES, KEY) + "=",
        sign(a_token(), EXPIRES, KEY).rpartition(".")[0] + ".",
    ],
    ids=["other key", "none", "order", "no json", "no text", "id", "time", "no time", "too long", "padding", "bare"],
)
def test_forgeries_are_found_out(text: str):
    with pytest.raises(BadToken):
        verify(text, KEY)
