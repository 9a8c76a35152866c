"""Every limit of the core, with its reason."""

import msgspec

NAME_MAX = 255
"""Characters of a `name`: a line of text, and what common databases index."""

DETAIL_MAX = 4_096
"""Characters of a `detail`: a page of text."""

DATA_BYTES_MAX = 65_536
"""Bytes of `data` encoded as JSON: it is copied into every log entry of its conference."""

TIMEOUT_MAX_S = 10 * 365 * 86_400
"""Ten years: beyond that `0` is meant."""

ACTIONS_MAX = 100
"""Actions in one list."""

ACTIONS_BYTES_MAX = 65_536
"""Bytes of all actions of one conference, or of one request for calls, encoded as JSON: each call inside carries its
own copy, and each log entry that shows the conference (one for each join and leave) has them."""

TEXT_MAX = 5_000
"""Characters that one `talk` speaks: about six minutes, and what the media engine takes as one prompt is eight."""

URLS_MAX = 20
"""`stream_urls` of one `play`."""

URL_MAX = 2_048
"""Characters of a URL, as browsers have it."""

BRANCHES_MAX = 100
"""Entries in `branch.target_ids`."""

BRANCH_VALUE_MAX = 255
"""Characters of a value in `branch.target_ids`: more than the digits that can be collected."""

REFERENCE_MAX = 1_024
"""Characters of an id, a key or a language that is put together from variables: a few names of theirs."""

WAIT_MAX_MS = 86_400_000
"""A day: no call lasts longer, so no step does."""

DIGITS_MAX = 100
"""Digits that one `digits_receive` collects."""

LOOP_MAX = 1_000
"""`goto.loop_count`."""

ALIASES_MAX = 10
"""Aliases of one conference."""

ALIAS_MAX = 64
"""Characters of an alias: longer ones cannot be dialled."""

STEPS_MAX = 10_000
"""Actions that one call executes in all. A menu of four actions survives 2,500 rounds."""

STEPS_PER_SECOND_MAX = 200
"""Actions that one call executes within a second: more is a loop that waits for nothing."""

FRAMES_MAX = 10
"""Conferences entered from within each other's actions."""

VARIABLES_MAX = 200
"""Variables of one call."""

VARIABLE_NAME_MAX = 255
"""Characters in a variable's name."""

VARIABLE_VALUE_MAX = 32_768
"""Characters in a variable's value."""

VARIABLES_CHARACTERS_MAX = 65_536
"""Characters in all values of one call: they are written to disk with each step."""

SUBSTITUTED_MAX = 65_536
"""Characters of an option after substitution; a few short options could otherwise repeat a long value at will."""

DESTINATIONS_MAX = 50
"""Outgoing calls that one request makes."""

TARGET_MAX = 255
"""Characters of an address's target."""

RECORDING_MAX_S = 86_400
"""A day: longer than any call, and a file of 1.4 GB at 8 kHz."""

RECORDINGS_KEPT_MAX = 1_000
"""Recordings that one conference or call can make: their ids are part of the resource."""

RECOVERIES_MAX = 5
"""How often the media of one call are set up anew before it is let go."""

SEAT_HELD_S = 15.0
"""How long a page whose media were lost has to come back to its seat: as long as a phone may be silent."""

ENDED_REMEMBERED = 100_000
"""Ended conferences whose addresses are still known, so that a caller hears that it is over."""

TOKENS_REMEMBERED = 100_000
"""Join tokens that were taken back whose requests are still refused: far more than can be taken back while one that
was good when it was looked at is on its way."""

CASCADE_MAX = 1_000_000
"""Follow-up steps within one turn: far more than the largest conference needs; above it the switch has a bug."""


class SwitchSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator can set."""

    dial_timeout_s: float = 60.0
    """How long an outgoing call may ring."""
    call_max_s: float = 86_400.0
    """How long any call may last."""
    prompt_wait_s: float = 10.0
    """How long a caller waits in silence for a prompt."""
    engine_wait_s: float = 10.0
    """How long the media engine may take to answer."""
    calls_max: int = 5_000
    """Calls at a time on this server."""
    conferences_max: int = 50_000
    """Conferences that are not over, on this server."""
    conferences_per_customer_max: int = 10_000
    noise_suppression: bool = False
    """Whether noise is taken out of what new participants say."""
    normaliser: bool = False
    """Whether what new participants say is brought to an even loudness."""
    voice_activity: bool = True
    """Whether what is no voice is kept out of what new participants send."""
    recording_rate: int = 8_000
    """Samples per second of new recordings: 8, 16 or 48 thousand."""
    participants_max: int = 1_000
    """Participants of one conference."""
