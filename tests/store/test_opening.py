"""Opening a data folder: migrations, and one clear sentence for each way in which it can't be opened."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory

from plenary.store import migrations, tables
from plenary.store.errors import DatabaseBusy, DatabaseCorrupt, DatabaseTooNew, FolderInUse, FolderUnusable
from plenary.store.store import Store

from .samples import conference, rows


def schema(path: Path) -> dict[str, str]:
    """Every table and index, by name, as the words that made it, without spacing."""
    connection = sqlite3.connect(path)
    made = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name != 'alembic_version'")
    found = {name: "".join(sql.split()) for name, sql in made}
    connection.close()
    return found


def test_the_migrations_end_at_exactly_the_schema_of_the_tables(tmp_path: Path):
    Store.open(tmp_path).close()
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'straight.sqlite3'}")
    tables.metadata.create_all(engine)
    engine.dispose()
    assert schema(tmp_path / "plenary.sqlite3") == schema(tmp_path / "straight.sqlite3")


def test_there_is_one_line_of_migrations_and_its_end_is_the_newest(tmp_path: Path):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'any.sqlite3'}")
    with engine.begin() as connection:
        script = ScriptDirectory.from_config(migrations.configuration(connection))
    assert script.get_heads() == [migrations.NEWEST]
    engine.dispose()


def test_a_database_of_a_newer_version_is_refused_and_left_as_it_is(tmp_path: Path):
    Store.open(tmp_path).close()
    connection = sqlite3.connect(tmp_path / "plenary.sqlite3")
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    before = schema(tmp_path / "plenary.sqlite3")
    for _ in range(2):
        with pytest.raises(DatabaseTooNew, match="newer version of Plenary"):
            Store.open(tmp_path)
    assert schema(tmp_path / "plenary.sqlite3") == before


def test_what_is_committed_is_synced_to_the_disk_in_wal_mode(tmp_path: Path):
    store = Store.open(tmp_path)
    with store._writer.connect() as connection:
        ask = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")}
        assert ask == {"journal_mode": "wal", "synchronous": 2}
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    store.close()


def test_what_is_deleted_is_overwritten(tmp_path: Path):
    """Said to SQLite, whatever it does of itself: Debian's is built so, others are not."""
    store = Store.open(tmp_path)
    said: list[str] = []
    with store._writer.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA secure_delete").scalar() == 1
    store._writer.dispose()
    sa.event.listen(store._writer, "connect", lambda raw, _: raw.set_trace_callback(said.append), insert=True)
    store._writer.connect().close()
    assert "PRAGMA secure_delete=ON" in said
    store.close()


def test_readers_can_not_write(store: Store):
    with store._readers.connect() as connection, pytest.raises(sa.exc.OperationalError, match="readonly"):
        connection.exec_driver_sql("DELETE FROM event")


def test_two_servers_on_one_folder_are_refused_with_the_process_that_has_it(tmp_path: Path):
    first = Store.open(tmp_path)
    asked = subprocess.run(
        [sys.executable, "-c", f"from plenary.store.store import Store; Store.open({str(tmp_path)!r})"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert "FolderInUse" in asked.stderr
    assert "in use by another server (process " in asked.stderr.splitlines()[-1]
    with pytest.raises(FolderInUse):
        Store.open(tmp_path)
    first.close()
    Store.open(tmp_path).close()


def test_keys_are_given_and_taken_beside_a_server(tmp_path: Path):
    """It goes on writing meanwhile, and knows of them at once."""
    server = Store.open(tmp_path)
    ann = server.ensure_customer("ann")
    server.add_access_key(ann, "the first key of ann")
    beside = Store.open_beside(tmp_path)
    assert beside.customers() == [(ann, "ann", 1)]
    bob = beside.ensure_customer("bob")
    beside.add_access_key(bob, "the only key of bob")
    server.commit(rows(conference(ann)))
    assert server.customer_of("the only key of bob") == bob
    assert beside.revoke_access_keys(ann) == 1
    assert server.customer_of("the first key of ann") is None
    beside.close()
    server.commit(rows(conference(bob)))
    with pytest.raises(FolderInUse):
        Store.open(tmp_path)
    server.close()


def test_a_folder_of_a_server_of_another_version_is_left_alone(tmp_path: Path):
    server = Store.open(tmp_path)
    with server._writer.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    with pytest.raises(FolderInUse, match="by a server of another version"):
        Store.open_beside(tmp_path)
    server.close()


def test_a_folder_that_can_not_be_made_is_told_in_one_sentence(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderUnusable, match=r"^The data folder .* can't be used: .*\.$"):
        Store.open(tmp_path / "file" / "data")
    with pytest.raises(FolderUnusable):
        Store.open("/proc/plenary")


def test_a_database_that_is_a_folder_can_not_be_opened(tmp_path: Path):
    (tmp_path / "plenary.sqlite3").mkdir()
    with pytest.raises(FolderUnusable, match="can't be opened"):
        Store.open(tmp_path)


def test_a_file_that_is_no_database_is_told_and_left_alone(tmp_path: Path):
    (tmp_path / "plenary.sqlite3").write_bytes(b"These are my notes. " * 100)
    with pytest.raises(DatabaseCorrupt, match="is no SQLite database"):
        Store.open(tmp_path)
    assert (tmp_path / "plenary.sqlite3").read_bytes().startswith(b"These are my notes.")


def test_a_damaged_database_is_told(tmp_path: Path):
    store = Store.open(tmp_path)
    ann = store.ensure_customer("ann")
    store.commit(rows(*(conference(ann, detail="x" * 2000) for _ in range(50))))
    store.close()
    path = tmp_path / "plenary.sqlite3"
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xa5" * (len(whole) - 4096))
    with pytest.raises(DatabaseCorrupt, match="put back a copy"):
        Store.open(tmp_path).load()


def test_a_row_that_can_not_be_understood_is_told_with_its_kind(tmp_path: Path):
    store = Store.open(tmp_path)
    store.commit(rows(conference(store.ensure_customer("ann"))))
    store.close()
    connection = sqlite3.connect(tmp_path / "plenary.sqlite3")
    connection.execute("UPDATE conference SET body = '{\"id\": 5}'")
    connection.commit()
    connection.close()
    store = Store.open(tmp_path)
    with pytest.raises(DatabaseCorrupt, match="holds a conference that can't be read"):
        store.load()
    store.close()


def test_a_lock_of_another_program_is_waited_for_and_then_told(tmp_path: Path):
    store = Store.open(tmp_path)
    with store._writer.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=20")
    other = sqlite3.connect(tmp_path / "plenary.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseBusy, match="Another program holds a lock"):
        store.ensure_customer("ann")
    other.execute("ROLLBACK")
    other.close()
    assert store.ensure_customer("ann")
    store.close()


def test_each_error_has_a_code_of_its_own():
    from plenary.store.errors import StoreError

    codes = [kind.code for kind in [StoreError, *StoreError.__subclasses__()]]
    assert len(set(codes)) == len(codes)
