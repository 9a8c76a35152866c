"""Files of recordings that the database says are deleted."""

import uuid
from pathlib import Path

from serving import serving_in_here

from plenary.core.changes import Changes, Row
from plenary.core.resources import Recording, RecordingStatus
from plenary.recordings.files import RecordingFiles
from plenary.store.store import Store

LONG_AGO = "2026-01-01 12:00:00.000000"


async def test_files_that_a_crash_has_left_are_removed_at_the_start(tmp_path: Path):
    """Those of deleted recordings, and folders without sound. What the database does not know is left alone."""
    files, store = RecordingFiles(tmp_path / "recordings"), Store.open(tmp_path)
    deleted, kept, unknown, never_begun = (str(uuid.UUID(int=number)) for number in range(1, 5))
    for recording in (deleted, kept, unknown):
        files.part(recording, 1).write_bytes(bytes(100))
    files.part(never_begun, 1)
    customer = store.ensure_customer("default")
    for id, more in ((deleted, {"tm_delete": LONG_AGO}), (kept, {})):
        recording = Recording(
            id=id, customer_id=customer, reference_type="conference", reference_id=id, status=RecordingStatus.ENDED,
            tm_create=LONG_AGO, **more,
        )  # fmt: skip
        store.commit(Changes(rows=[Row(resource=recording, state=b"", live=False)]))
    store.close()
    async with serving_in_here(tmp_path):
        assert files.ids() == [kept, unknown]
