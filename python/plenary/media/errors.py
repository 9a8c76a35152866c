"""What can go wrong between the server and its media engine.

    MediaError
    ├── FrameTooLarge      ours or the engine's: a frame beyond the limit
    ├── MalformedFrame     the sender's: not msgpack, or no message that we know
    ├── WrongVersion       the engine speaks another version of the protocol; it has to be replaced
    ├── PromptTooLong      the user's: a prompt that does not fit into a frame
    └── EngineFailed       the engine does not start, or dies again and again; says what it last wrote

What the engine refuses on a leg, a play or a recording is no error but an event.
"""

STATUS_UNUSABLE = 3
"""Exit status of an engine that can't be run with its settings on this machine; its last line says why."""


class MediaError(Exception):
    """Something is wrong between the server and its media engine; the message says what to do."""


class FrameTooLarge(MediaError):
    """A frame beyond `FRAME_BYTES_MAX`."""


class MalformedFrame(MediaError):
    """Bytes that are no messages of ours. The connection is of no use any more."""


class WrongVersion(MediaError):
    """The engine is of another version than the server."""


class PromptTooLong(MediaError):
    """A prompt that does not fit into a frame."""


class EngineFailed(MediaError):
    """There is no engine, and starting one once more would not help."""
