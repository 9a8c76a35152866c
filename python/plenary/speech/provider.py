"""What a speech engine must be able to do. One more engine is one more class like this."""

from typing import Protocol

from .sound import Sound


class TextToSpeech(Protocol):
    @property
    def identity(self) -> str:
        """Name and version: what it has spoken is kept under this, and asked for anew when it changes."""
        ...

    async def speak(self, text: str, gender: str, language: str) -> Sound:
        """16 kHz mono at about -20 dBFS, at most 100 ms of silence at either end.

        `text` is plain or SSML, `gender` one of `male`, `female`, `neutral`, `language` a BCP 47 tag.
        Raises `PromptError`.
        """
        ...
