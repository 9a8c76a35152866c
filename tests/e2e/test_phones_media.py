"""baresip and linphone with each codec and each kind of keys: what they hear proves what the server does."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import NamedTuple

import baresip
import linphone
import pytest
from baresip import PORTS, Baresip, write_wav
from linphone import Linphone
from serving import Serving, serving, until

from plenary.testing.tones import mixed, tone, tone_level_dbfs
from ports import free_ports

pytestmark = pytest.mark.skipif(
    not (baresip.is_installed() and linphone.is_installed()), reason="baresip or linphonec is not installed"
)

AES_80, AES_32 = "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"
TONES = {"ann": 440, "bob": 650, "eve": 910, "joe": 1210}
"""Hz, none a multiple of another."""
HIGH_TONES = {"ann": 5_500, "eve": 6_100}
"""Hz, beside the others, of phones with a wideband codec. Narrowband has nothing above 4 kHz."""
ALIASES = {8_000 - high for high in HIGH_TONES.values()}
"""Where they come out if somebody goes down to 8 kHz without a filter."""
SAID_DBFS = -20.0
LINPHONE_G722_DB = 6.0
"""Linphone's G.722 sends this much too soft and plays as much too loud: it takes its samples for 14 bits, as the
Recommendation counts them. That of baresip (spandsp) and ours keep the level."""
TOLERANCE_DB = 3.0
SILENT_DBFS = -50.0
SPEECH_S = 60
LISTEN_S = 0.4
HEARD_WITHIN_S = 15.0
SAID_WITHIN_S = 6.0
"""The engine tells its figures every two seconds."""


class Model(NamedTuple):
    make: type[Baresip | Linphone]
    codec: str
    encryption: str
    transport: str
    """As the API calls what comes of it."""

    @property
    def is_wide(self) -> bool:
        return self.codec in ("opus", "G722")

    @property
    def is_off_by_db(self) -> float:
        return LINPHONE_G722_DB if self.make is Linphone and self.codec == "G722" else 0.0

    @property
    def has_unreadable_rtcp(self) -> bool:
        """Linphone's SRTCP has tags of 32 bits if its SRTP has; RFC 4568 section 6.2 wants 80. No round trip, then."""
        return self.make is Linphone and self.encryption == AES_32


BARESIP_DTLS = Model(Baresip, "opus", "dtls_srtp", "dtls")
BARESIP_SDES = Model(Baresip, "G722", "srtp-mand", "srtp")
BARESIP_IF_POSSIBLE = Model(Baresip, "PCMA", "srtp", "srtp")
BARESIP_CLEAR = Model(Baresip, "PCMU", "", "rtp")
LINPHONE_DTLS = Model(Linphone, "opus", "dtls", "dtls")
LINPHONE_SDES = Model(Linphone, "G722", AES_80, "srtp")
LINPHONE_SHORT_TAGS = Model(Linphone, "PCMA", AES_32, "srtp")
LINPHONE_CLEAR = Model(Linphone, "PCMU", "", "rtp")


class Caller(NamedTuple):
    phone: Baresip | Linphone
    model: Model

    @property
    def name(self) -> str:
        return self.phone.name

    def says(self) -> set[int]:
        return {TONES[self.name], *([HIGH_TONES[self.name]] if self.model.is_wide and self.name in HIGH_TONES else [])}


@contextlib.asynccontextmanager
async def callers(folder: Path, **models: Model) -> AsyncGenerator[list[Caller]]:
    """Phones that hum their tones as long as they are in a call."""
    async with contextlib.AsyncExitStack() as ending:
        yield [
            Caller(await ending.enter_async_context(phone(folder, name, model)), model)
            for name, model in models.items()
        ]


def phone(folder: Path, name: str, model: Model) -> Baresip | Linphone:
    rate_hz, channels = baresip.CODECS[model.codec][1:]
    hum = [tone(TONES[name], 1.0, SAID_DBFS, rate_hz)]
    if model.is_wide and name in HIGH_TONES:
        hum.append(tone(HIGH_TONES[name], 1.0, SAID_DBFS, rate_hz))
    if model.make is Linphone:
        channels = 1
    wav = write_wav(folder / f"{name}.wav", mixed(*hum), rate_hz, channels, times=SPEECH_S)
    return model.make(name, folder / name, wav, free_ports(PORTS), model.codec, encryption=model.encryption)


async def into_room(server: Serving, conference: str, callers: list[Caller]) -> None:
    await asyncio.gather(*(caller.phone.dial(f"sip:{conference}@{server.sip}") for caller in callers))
    await server.until_inside(conference, len(callers))


async def hears(listener: Caller, *others: Caller) -> None:
    """Returns when these, and nobody else, have been heard for `LISTEN_S`: each tone at its level."""
    wide = listener.model.is_wide
    wanted = {
        hertz: SAID_DBFS - other.model.is_off_by_db + listener.model.is_off_by_db
        for other in others
        for hertz in other.says()
        if wide or hertz < 4_000
    }
    all_ = {*TONES.values(), *ALIASES, *(HIGH_TONES.values() if wide else ())}
    levels: dict[int, float] = {}
    try:
        async with asyncio.timeout(HEARD_WITHIN_S):
            while True:
                await asyncio.sleep(0.1)
                levels = await asyncio.to_thread(_levels, listener.phone, all_)
                if levels and all(
                    abs(level - wanted[hertz]) < TOLERANCE_DB if hertz in wanted else level < SILENT_DBFS
                    for hertz, level in levels.items()
                ):
                    return
    except TimeoutError:
        raise AssertionError(f"{listener.name} hears {levels} instead of {wanted}") from None


def _levels(phone: Baresip | Linphone, frequencies: set[int]) -> dict[int, float]:
    """Nothing if less than `LISTEN_S` has been written down yet."""
    samples = int(LISTEN_S * phone.rate_hz)
    sound = phone.heard()[-samples:]
    if len(sound) < samples:
        return {}
    return {hertz: round(tone_level_dbfs(sound, hertz, phone.rate_hz), 1) for hertz in frequencies}


async def hear_each_other(*callers: Caller) -> None:
    """From now on: each hears the tones of the others, and not his own."""
    for caller in callers:
        caller.phone.listen_anew()
    await asyncio.gather(*(hears(caller, *(other for other in callers if other is not caller)) for caller in callers))


async def speak(server: Serving, conference: str, *models: Model) -> None:
    """Returns when the API says these codecs and transports of those who are inside."""
    wanted = sorted((model.codec, model.transport) for model in models)
    inside = (await server.conference(conference))["conferencecall_ids"]
    found: list[tuple[str, str]] = []
    try:
        async with asyncio.timeout(SAID_WITHIN_S):
            while found != wanted:
                await asyncio.sleep(0.1)
                answers = [await server.rest.get(f"/conferencecalls/{id}/quality") for id in inside]
                said = [answer.json() for answer in answers if answer.status_code == 200]
                found = sorted((quality["codec"], quality["transport"]) for quality in said)
    except TimeoutError:
        raise AssertionError(f"{found} is not {wanted}") from None


def is_complete(delay: dict[str, float | None]) -> bool:
    """Each stage on the way of a voice was measured."""
    return None not in delay.values()


@pytest.mark.parametrize(
    "models",
    [
        {"ann": BARESIP_DTLS, "bob": BARESIP_CLEAR, "eve": LINPHONE_SDES, "joe": LINPHONE_SHORT_TAGS},
        {"ann": BARESIP_SDES, "bob": BARESIP_IF_POSSIBLE, "eve": LINPHONE_DTLS, "joe": LINPHONE_CLEAR},
    ],
    ids=["baresip with Opus, linphone with G.722", "baresip with G.722, linphone with Opus"],
)
async def test_phones_hear_each_other_through_all_codecs_and_all_kinds_of_keys(
    server: Serving, tmp_path: Path, models: dict[str, Model]
):
    """Wideband really is: what is above 4 kHz gets through to those who can hear it, and to nobody else as something
    lower. The API says who speaks what, and where the time goes."""
    conference = (await server.create())["id"]
    async with callers(tmp_path, **models) as everybody:
        await into_room(server, conference, everybody)
        await hear_each_other(*everybody)
        await speak(server, conference, *models.values())
        unmeasured = {(model.codec, model.transport) for model in models.values() if model.has_unreadable_rtcp}
        for id in (await server.conference(conference))["conferencecall_ids"]:
            path = f"/conferencecalls/{id}/quality"
            quality = await server.get(path)
            assert quality["sample_rate_hz"] == baresip.CODECS[quality["codec"]][1]
            if (quality["codec"], quality["transport"]) not in unmeasured:
                await server.until_is(path, delay=is_complete, mouth_to_ear_ms=lambda delay: delay and delay > 20)


@pytest.mark.parametrize(
    "models",
    [{"ann": BARESIP_DTLS, "eve": LINPHONE_SDES}, {"ann": BARESIP_SDES, "eve": LINPHONE_DTLS}],
    ids=["baresip with DTLS, linphone with SDES", "baresip with SDES, linphone with DTLS"],
)
async def test_encrypted_calls_are_held_and_resumed(server: Serving, tmp_path: Path, models: dict[str, Model]):
    """RFC 3264 section 8.4. The keys stay."""
    conference = (await server.create())["id"]
    async with callers(tmp_path, **models) as (ann, eve):
        await into_room(server, conference, [ann, eve])
        await hear_each_other(ann, eve)
        await eve.phone.hold()
        await hears(ann)
        await eve.phone.resume()
        await hear_each_other(ann, eve)
        await ann.phone.hold()
        await hears(eve)
        await ann.phone.resume()
        await hears(eve, ann)  # The other way nothing tells: baresip writes nothing down after a hold of its own.
        await speak(server, conference, *models.values())


@pytest.mark.parametrize(
    "models",
    [
        {"ann": BARESIP_CLEAR, "bob": BARESIP_IF_POSSIBLE, "eve": LINPHONE_SDES, "joe": LINPHONE_SHORT_TAGS},
        {"ann": BARESIP_DTLS, "bob": BARESIP_SDES, "eve": LINPHONE_DTLS, "joe": LINPHONE_CLEAR},
    ],
    ids=["linphone with SDES", "both with DTLS, baresip with SDES"],
)
async def test_calls_outlive_their_engine(tmp_path: Path, models: dict[str, Model]):
    """After kill -9 a re-INVITE leads to the next engine, and to the one after it. The conferencecalls stay, and
    so do the keys, as phones make no new ones."""
    async with serving(tmp_path / "data") as server, callers(tmp_path, **models) as everybody:
        conference = (await server.create())["id"]
        await into_room(server, conference, everybody)
        await hear_each_other(*everybody)
        before = set(await server.until_inside(conference, len(models)))
        for _ in range(2):
            died = server.engine_pid()
            os.kill(died, signal.SIGKILL)
            await until(lambda died=died: server.engine_pid() != died, "another engine")
            await hear_each_other(*everybody)
        assert set((await server.conference(conference))["conferencecall_ids"]) == before
        await speak(server, conference, *models.values())


async def test_a_phone_goes_over_to_another_codec_and_back(server: Serving, tmp_path: Path):
    """RFC 3264 section 8.3.2: Opus, G.711 and Opus again in one call, whose keys stay."""
    conference = (await server.create())["id"]
    async with callers(tmp_path, ann=BARESIP_DTLS, eve=LINPHONE_DTLS) as (ann, eve):
        await into_room(server, conference, [ann, eve])
        await hear_each_other(ann, eve)
        for codec in ("PCMU", "opus"):
            assert isinstance(eve.phone, Linphone)
            await eve.phone.hold()
            await eve.phone.change_codec(codec)
            await eve.phone.resume()
            eve = Caller(eve.phone, eve.model._replace(codec=codec))
            await hear_each_other(ann, eve)
            await speak(server, conference, ann.model, eve.model)


async def test_who_must_be_encrypted_and_is_not_is_told_so(tmp_path: Path):
    """`--sip-srtp required`: 488 with the reason; whoever has keys, of whatever kind, is let in."""
    async with (
        serving(tmp_path / "data", "--sip-srtp", "required") as server,
        callers(tmp_path, bob=BARESIP_CLEAR, joe=LINPHONE_CLEAR) as plain,
        callers(tmp_path, ann=BARESIP_IF_POSSIBLE, eve=LINPHONE_SHORT_TAGS) as encrypted,
    ):
        conference = (await server.create())["id"]
        for caller in plain:
            assert "This server takes encrypted calls (SRTP) only" in await caller.phone.refused(
                f"sip:{conference}@{server.sip}"
            )
        await into_room(server, conference, encrypted)
        await hear_each_other(*encrypted)
        await speak(server, conference, *(caller.model for caller in encrypted))


async def test_who_must_not_be_encrypted_is_heard_in_the_clear_if_he_can(tmp_path: Path):
    """`--sip-srtp never`: keys beside RTP/AVP (RFC 8643) are left alone; 488 and the reason for who insists on them."""
    async with (
        serving(tmp_path / "data", "--sip-srtp", "never") as server,
        callers(tmp_path, bob=BARESIP_DTLS, joe=LINPHONE_SHORT_TAGS) as encrypted,
        callers(tmp_path, ann=BARESIP_IF_POSSIBLE, eve=LINPHONE_CLEAR) as plain,
    ):
        conference = (await server.create())["id"]
        for caller in encrypted:
            assert "takes none of the encryption that is offered (SRTP)" in await caller.phone.refused(
                f"sip:{conference}@{server.sip}"
            )
        await into_room(server, conference, plain)
        await hear_each_other(*plain)
        await speak(server, conference, LINPHONE_CLEAR, BARESIP_IF_POSSIBLE._replace(transport="rtp"))
