"""Why a text or a URL gives no sound.

    PromptError
    ├── SpeechUnavailable   a program that we need is missing, or there is too much to do: the operator's to mend
    ├── SpeechTimeout       the speech program took too long
    ├── SpeechRefused       the text can't be spoken: no such language, too long, malformed SSML
    ├── SpeechFailed        a program gave up on what we handed it
    ├── AudioForbidden      a URL that this server does not fetch
    ├── AudioUnreachable    nothing came from the URL, or not in time
    ├── AudioMalformed      what came is no WAV file that we can play
    └── AudioTooLarge       more sound than a prompt may have

`str()` of each is one sentence that the user of the API reads in the event log: it says what to do, and holds no path
and no address of this machine.
"""

from typing import ClassVar


class PromptError(Exception):
    """No sound came of it."""

    code: ClassVar[str] = "prompt_error"


class SpeechUnavailable(PromptError):
    code = "speech_unavailable"


class SpeechTimeout(PromptError):
    code = "speech_timeout"


class SpeechRefused(PromptError):
    code = "speech_refused"


class SpeechFailed(PromptError):
    code = "speech_failed"


class AudioForbidden(PromptError):
    code = "audio_forbidden"


class AudioUnreachable(PromptError):
    code = "audio_unreachable"


class AudioMalformed(PromptError):
    code = "audio_malformed"


class AudioTooLarge(PromptError):
    code = "audio_too_large"
