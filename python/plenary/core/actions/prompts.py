"""`talk`, `play`, `beep`: what the caller is made to hear."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from ..commands import Tone
from ..events import DigitPressed, Event, PlayEnded, PromptFailed, PromptReady
from ..limits import TEXT_MAX, URL_MAX, URLS_MAX
from ..variables import has_reference
from ..wording import printable
from .base import DONE, WAIT, BadOption, Failed, Option, Outcome, Running, Seat, is_reference

PLAY_MARGIN_S = 60.0
"""A prompt that has not ended this long after it should have is given up. Far more than any delay on the way."""

# RFC 5646 section 2.1, without a word on what its parts mean: whether there is a voice shows when it speaks.
_LANGUAGE = re.compile(r"(?=.{2,35}\Z)[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")

BEEP = Tone(frequency_hz=1_000.0, duration_ms=400)

BEEP_WAIT_S = 10.0


class _Sound(msgspec.Struct, kw_only=True):
    """One prompt on its way to the caller's ear: asked for, then played."""

    request: str
    text: str = ""
    gender: str = ""
    language: str = ""
    url: str = ""
    play: str = ""
    """Empty until the prompt is ready."""
    retried: bool = False
    """The engine had forgotten the prompt once already."""

    def ask(self, seat: Seat) -> float:
        """Asks for the prompt (anew). Returns until when it is waited for."""
        if self.play:
            seat.stop_play(self.play)
            self.play = ""
        seat.prepare(self.request, text=self.text, gender=self.gender, language=self.language, url=self.url)
        return seat.now + seat.prompt_wait_s

    def stop(self, seat: Seat) -> None:
        if self.play:
            seat.stop_play(self.play)
        else:
            seat.drop(self.request)


class _Speaker(Running, kw_only=True):
    """What `talk` and `play` have in common: one sound at a time."""

    sound: _Sound | None = None

    def _next(self, seat: Seat) -> Outcome:
        """The sound at hand is over."""
        raise NotImplementedError

    def _failed(self, seat: Seat, reason: str) -> Outcome:
        raise NotImplementedError

    def _say(self, seat: Seat, sound: _Sound) -> Outcome:
        self.sound = sound
        self.deadline = sound.ask(seat)
        return WAIT

    def handle(self, seat: Seat, event: Event) -> Outcome:
        sound = self.sound
        if sound is None:
            return WAIT
        match event:
            case PromptReady() if event.request == sound.request and not sound.play:
                sound.play = seat.new_id()
                self.deadline = seat.now + event.duration_ms / 1000 + PLAY_MARGIN_S
                seat.play(sound.play, prompt=event.prompt)
            case PromptFailed() if event.request == sound.request and not sound.play:
                return self._failed(seat, event.reason)
            case PlayEnded() if event.play == sound.play:
                if event.reason == "unknown_prompt":
                    if sound.retried:
                        return self._failed(seat, "The media engine has lost the prompt.")
                    sound.retried, sound.play = True, ""
                    self.deadline = sound.ask(seat)
                    return WAIT
                if event.reason == "leg_closed":
                    # The leg failed and is being set up anew: `resume` plays it again.
                    return WAIT
                return self._next(seat)
            case _:
                pass
        return WAIT

    def fire(self, seat: Seat) -> Outcome:
        sound = self.sound
        assert sound is not None
        if not seat.engine_ready:
            self.deadline = seat.now + PLAY_MARGIN_S
            return WAIT
        sound.stop(seat)
        if sound.play:
            return self._failed(seat, "The prompt did not end.")
        return self._failed(seat, f"The prompt was not ready within {seat.prompt_wait_s:g} s.")

    def stop(self, seat: Seat) -> None:
        if self.sound is not None:
            self.sound.stop(seat)

    def waits_for(self) -> str:
        return self.sound.request if self.sound is not None and not self.sound.play else ""

    def resume(self, seat: Seat, *, restarted: bool) -> None:
        if self.sound is not None and (restarted or not self.sound.play):
            self.deadline = self.sound.ask(seat)


class TalkOption(Option, frozen=True, kw_only=True):
    text: str
    """What to say: plain text or SSML."""
    gender: Literal["male", "female", "neutral"] = "neutral"
    """The voice."""
    language: str = "en-US"
    """A BCP 47 tag."""
    digits_handle: Literal["", "next"] = ""
    """`next`: any key ends it, and counts for the `digits_receive` that comes next."""

    def check(self) -> None:
        if not self.text.strip():
            raise BadOption("text", "There is nothing to say.")
        if len(self.text) > TEXT_MAX:
            raise BadOption("text", f"A text has at most {TEXT_MAX} characters.")
        if not is_reference("language", self.language) and not _LANGUAGE.fullmatch(self.language):
            raise BadOption("language", "A language is a BCP 47 tag such as en-US.")


class Talk(_Speaker, tag="talk", kw_only=True):
    """Speaks a text. Answers the call first."""

    option: TalkOption

    def start(self, seat: Seat) -> Outcome:
        seat.answer()
        option = self.option
        return self._say(
            seat, _Sound(request=seat.new_id(), text=option.text, gender=option.gender, language=option.language)
        )

    def handle(self, seat: Seat, event: Event) -> Outcome:
        if isinstance(event, DigitPressed) and self.option.digits_handle == "next":
            self.stop(seat)
            return DONE
        return super().handle(seat, event)

    def _next(self, seat: Seat) -> Outcome:  # noqa: ARG002
        return DONE

    def _failed(self, seat: Seat, reason: str) -> Outcome:  # noqa: ARG002
        return Failed(reason)


class PlayOption(Option, frozen=True, kw_only=True):
    stream_urls: list[str]
    """Addresses (http or https) of WAV files, up to 20."""

    def check(self) -> None:
        if not 0 < len(self.stream_urls) <= URLS_MAX:
            raise BadOption("stream_urls", f"One to {URLS_MAX} URLs can be played.")
        for place, url in enumerate(self.stream_urls):
            if len(url) > URL_MAX or not (has_reference(url) or url.startswith(("http://", "https://"))):
                raise BadOption(f"stream_urls/{place}", f"An http or https URL of at most {URL_MAX} characters.")


class Play(_Speaker, tag="play", kw_only=True):
    """Plays files from the web, in order; one that can't be had is passed over. Before the answer it is early media."""

    option: PlayOption
    place: int = 0

    def start(self, seat: Seat) -> Outcome:
        seat.be_heard()
        return self._say(seat, _Sound(request=seat.new_id(), url=self.option.stream_urls[self.place]))

    def _next(self, seat: Seat) -> Outcome:
        self.place += 1
        if self.place == len(self.option.stream_urls):
            return DONE
        return self._say(seat, _Sound(request=seat.new_id(), url=self.option.stream_urls[self.place]))

    def _failed(self, seat: Seat, reason: str) -> Outcome:
        """One file less is no reason to leave out the others."""
        seat.note(f"{printable(self.option.stream_urls[self.place])}: {reason}")
        return self._next(seat)


class NoOption(Option, frozen=True, kw_only=True):
    """Takes no options."""


class Beep(Running, tag="beep", kw_only=True):
    """Plays a short tone; before the call is answered as early media."""

    option: NoOption
    play: str = ""

    def start(self, seat: Seat) -> Outcome:
        seat.be_heard()
        self.play = seat.new_id()
        self.deadline = seat.now + BEEP_WAIT_S
        seat.play(self.play, tone=BEEP)
        return WAIT

    def handle(self, seat: Seat, event: Event) -> Outcome:  # noqa: ARG002
        return DONE if isinstance(event, PlayEnded) and event.play == self.play else WAIT

    def fire(self, seat: Seat) -> Outcome:
        seat.stop_play(self.play)
        return DONE

    def stop(self, seat: Seat) -> None:
        seat.stop_play(self.play)

    def resume(self, seat: Seat, *, restarted: bool) -> None:
        if restarted:
            seat.stop_play(self.play)
            self.play = seat.new_id()
            self.deadline = seat.now + BEEP_WAIT_S
            seat.play(self.play, tone=BEEP)
