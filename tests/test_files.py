"""Files: whole or as they were, forced to the disk in order, and no altered byte goes unnoticed."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from horticulture.errors import InputError
from horticulture.system import files, locks
from horticulture.system.files import CorruptFileError, JsonlTable
from tests import power_cut

RECORD = {"key": "a1", "metrics": {"error": 21.5, "nan": float("inf"), "many": [1, 2.0, None, True, "ä\n"]}}
ROWS = [{"round": n // 2, "channel": n, "saliency": n / 7, "digest": f"{n:012x}"} for n in range(6)]


def damaged(content: bytes) -> Iterator[bytes]:
    """The content with one bit altered, in every byte another."""
    for at, byte in enumerate(content):
        yield content[:at] + bytes([byte ^ 1 << at % 8]) + content[at + 1 :]


def count_noticed(path: Path, read: Callable[[], Any], named: str = "") -> float:
    """The fraction of the alterations of a file's bytes that are noticed; all others must change nothing."""
    content, expected = path.read_bytes(), read()
    noticed = 0
    for altered in damaged(content):
        path.write_bytes(altered)
        try:
            same = read() == expected
        except CorruptFileError as error:
            same, noticed = str(error).startswith(f"{named or path} is damaged"), noticed + 1
        assert same
    path.write_bytes(content)
    assert read() == expected
    return noticed / len(content)


# --- reading ---------------------------------------------------------------------------------------------


def test_a_file_larger_than_memory_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "width.json"
    with path.open("wb") as file:
        file.truncate(2**43)
    for read in (files.read, files.read_json):
        with pytest.raises(InputError, match=f"{path} has 8,796,093,022,208 bytes, too many to be read"):
            read(path)


# --- writing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_file_that_could_not_be_written_is_as_it_was(tmp_path, monkeypatch, fails):
    path = tmp_path / "width.json"

    def fail(*_, **__):
        raise OSError("disk full")

    for before in ([], [path]):
        with monkeypatch.context() as patch:
            patch.setattr(os, fails, fail)
            with pytest.raises(OSError, match="disk full"):
                files.write_json(path, {"whole": False})
        assert list(tmp_path.iterdir()) == before  # and nothing beside it takes room
        files.write_json(path, {"whole": True})
        assert files.read_json(path) == {"whole": True}


def test_content_is_forced_to_the_disk_before_its_name_and_every_new_folder_too(tmp_path, monkeypatch):
    done, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "replace", lambda old, new: done.append("rename") or replace(old, new))

    def recorded(opened):
        path = Path(os.readlink(f"/proc/self/fd/{opened}"))
        done.append(
            f"{path.name}: {','.join(sorted(p.name for p in path.iterdir()))}" if path.is_dir() else "content"
        )
        fsync(opened)

    monkeypatch.setattr(os, "fsync", recorded)
    files.write(tmp_path / "runs" / "key" / "run.json", "{}")
    assert done == [f"{tmp_path.name}: runs", "runs: key", "content", "rename", "key: run.json"]
    done.clear()
    files.write(tmp_path / "runs" / "key" / "run.json", "{}")
    assert done == ["content", "rename", "key: run.json"]


def test_the_library_writes_nothing_in_another_way():
    """But for what nothing stands on: figures, and the cache of decoded images in `data`."""
    library = Path(files.__file__).parent
    for path in [path for path in library.rglob("*.py") if path.parent != library / "data"]:
        for word in ("write_text", "write_bytes", "save_file(", ".to_csv(path"):
            assert word not in path.read_text(), f"{path}: {word}"


def test_after_a_power_cut_a_step_is_lost_and_nothing_wrong_is_believed():
    assert {power_cut.trial(seed) for seed in range(3)} == {"survived"}


def test_a_bit_that_is_altered_under_way_changes_no_result():
    assert {power_cut.bit_trial(seed) for seed in range(3)} == {"survived"}


@pytest.mark.parametrize("size", [100, 3_000, 200_000, 400_000])
def test_a_disk_that_is_full_in_the_middle_costs_nothing_but_time(size):
    assert power_cut.fill(size)


# --- sealed records --------------------------------------------------------------------------------------


def test_what_is_read_is_what_was_written(tmp_path):
    files.write_json(tmp_path / "a.json", RECORD)
    assert files.read_json(tmp_path / "a.json") == RECORD
    assert json.loads((tmp_path / "a.json").read_text()).keys() == {*RECORD, "seal"}
    assert files.is_sealed(tmp_path / "a.json")


def test_no_altered_byte_of_a_record_goes_unnoticed_or_changes_anything(tmp_path):
    files.write_json(tmp_path / "a.json", RECORD)
    # Harmless are blanks between entries, and the name of the seal: it is found by its place.
    for read in (files.read_json, files.is_sealed):
        assert 0.8 < count_noticed(tmp_path / "a.json", lambda: read(tmp_path / "a.json")) < 1  # noqa: B023


@pytest.mark.parametrize("content", [RECORD, {}, [1, 2], {"a": "b"}], ids=repr)
def test_what_earlier_versions_wrote_without_a_seal_is_read(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    assert files.read_json(path) == content
    assert not files.is_sealed(path)


# --- tables under way ------------------------------------------------------------------------------------


@pytest.fixture
def table(tmp_path) -> JsonlTable:
    table = JsonlTable(tmp_path / "rows.jsonl")
    for row in ROWS:
        table.append(row)
    return table


def test_rows_come_back(table, tmp_path):
    assert table.rows() == ROWS
    table.to_csv(tmp_path / "rows.csv")
    assert (tmp_path / "rows.csv").read_text().splitlines()[:2] == [",".join(ROWS[0]), "0,0,0.0,000000000000"]
    assert table.truncate_to_round(2) == ROWS[:4] == table.rows()
    table.truncate(1)
    assert table.rows() == ROWS[:1]
    for too_many in (lambda: table.truncate(2), lambda: table.truncate_to_round(2)):
        with pytest.raises(CorruptFileError):
            too_many()
    table.clear()
    assert table.rows() == []


def test_rows_of_an_earlier_version_go_on(tmp_path):
    table = JsonlTable(tmp_path / "rows.jsonl")
    table.path.write_text("".join(json.dumps(row) + "\n" for row in ROWS[:3]))
    for row in ROWS[3:]:
        table.append(row)
    assert table.rows() == ROWS


def test_a_row_that_was_being_written_when_the_process_died_is_dropped(table):
    whole = table.path.read_bytes()
    for cut in (whole + whole[:20], whole + b"\0" * 20, whole + b"\xff\xfe"):
        table.path.write_bytes(cut)
        table.truncate(len(ROWS))
        assert table.path.read_bytes() == whole


def test_no_altered_byte_of_a_row_goes_unnoticed_or_changes_anything(table):
    assert count_noticed(table.path, table.rows) > 0.9

    def first_four():
        table.truncate(4)
        return table.rows()

    assert 0.6 < count_noticed(table.path, first_four) < 0.7  # what comes after them is harmless


# --- locks -----------------------------------------------------------------------------------------------

HOLDER = """
import sys, time
from pathlib import Path
from horticulture.system import files, locks

with locks.held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_keeps_others_out_and_goes_with_its_process_even_if_that_is_killed(tmp_path):
    path, entered = tmp_path / "locks" / "key", threading.Event()

    def enter():
        with locks.held(path):
            entered.set()

    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        threading.Thread(target=enter, daemon=True).start()
        assert not entered.wait(0.3)
        holder.kill()
        assert entered.wait(10)
    with locks.held(path):  # and it can be taken again
        pass
