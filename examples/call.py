"""Calls a SIP address with a virtual phone: no sound card, no configuration.

    python examples/call.py sip:hello@127.0.0.1:5060 --say hello.wav --press 421 --seconds 10 --hear heard.wav

`--say` is a WAV file (8 kHz, mono, 16 bit) or a tone in Hz; `--hear` is where what was heard is written. Where callers
have to say who they are, `--name` and `--password` do. Ends with status 1 and a sentence if the call comes to nothing.
"""

import argparse
import asyncio
import sys
import wave
from pathlib import Path

from plenary.testing.phone import CallRefused, Phone
from plenary.testing.tones import RATE_HZ, Pcm, level_dbfs
from plenary.testing.voice import PhoneError, read_wav

NOBODY_S = 5.0
"""Who is there has answered by then, or at least rings."""


def sound(say: str) -> "Pcm | float":
    """A tone in Hz, or the samples of a WAV file."""
    return float(say) if say.isdecimal() else read_wav(Path(say))


async def call(uri: str, say: str, press: str, seconds: float, hear: Path | None, password: str, name: str) -> None:
    words = sound(say)
    async with Phone(name, password=password) as phone:
        answered = phone.dial(uri)
        await asyncio.wait([answered], timeout=NOBODY_S)
        if not answered.done() and not phone.ringing.is_set():
            answered.cancel()
            raise PhoneError(f"nobody answers at {uri}: is the address right, and the server up?")
        await answered
        print("answered")
        phone.say(words)
        if press:
            await asyncio.sleep(1)
            await phone.press(press)
            print(f"pressed {press}")
        await asyncio.wait([phone.ended], timeout=seconds)
        print(f"the other side hung up: {phone.ended.result()}" if phone.ended.done() else "hanging up")
        if phone.in_call:
            await phone.hang_up()
        heard = phone.heard().pcm
        print(
            f"heard {len(heard) / RATE_HZ:.1f} s at {level_dbfs(heard):.0f} dBFS, lost {phone.reception.lost} packets"
        )
        if hear is not None:
            with wave.open(str(hear), "wb") as file:
                file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
                file.writeframes(heard.tobytes())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Calls a SIP address with a virtual phone.")
    parser.add_argument("uri")
    parser.add_argument("--say", default="440", help="WAV file (8,000 Hz, 16 bit, mono) or tone in Hz (default: 440)")
    parser.add_argument("--press", default="", help="keys, a second after the answer")
    parser.add_argument("--seconds", type=float, default=10.0, help="hang up after (default: 10)")
    parser.add_argument("--hear", type=Path, help="WAV file for what is heard")
    parser.add_argument("--name", default="phone", help="who calls")
    parser.add_argument("--password", default="", help="if the server asks for one (401, 407)")
    given = parser.parse_args()
    try:
        asyncio.run(call(given.uri, given.say, given.press, given.seconds, given.hear, given.password, given.name))
    except CallRefused as refused:
        sys.exit(f"the call was refused: {refused}")
    except (PhoneError, OSError, EOFError, wave.Error) as error:
        sys.exit(str(error))
