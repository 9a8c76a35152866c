"""What a turn of the switch has changed: written in one transaction, before any command is performed."""

import msgspec

from .resources import LogEntry, Resource


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A resource as the API shows it, and all that its machine must know to go on after a restart."""

    resource: Resource
    state: bytes
    """The machine's own state (msgpack), opaque to the store. Empty once nothing is left to do."""
    live: bool
    """True while its machine is at work: these rows are read at start."""


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    rows: list[Row] = []
    log: list[LogEntry] = []
    """In the order in which things happened."""

    def __bool__(self) -> bool:
        return bool(self.rows or self.log)
