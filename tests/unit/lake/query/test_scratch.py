"""Temporary folders: private, gone after use, and swept when their process was killed."""

import stat
import tempfile
from pathlib import Path

import pytest

from caudal.errors import Unavailable
from caudal.lake.query.scratch import Scratch
from caudal.testing.processes import run_and_kill

HOLD = """
import sys, tempfile, time
tempfile.tempdir = sys.argv[1]
from caudal.lake.query.scratch import Scratch
scratch = Scratch()
(scratch.folder / "spill").write_text("rows")
print(scratch.folder, flush=True)
time.sleep(60)
"""


def test_a_folder_is_private_and_goes_with_its_user(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    scratch = Scratch()
    assert stat.S_IMODE(scratch.folder.stat().st_mode) == 0o700
    scratch.close()
    scratch.close()
    assert list(tmp_path.iterdir()) == []


def test_without_room_for_it_the_error_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(Unavailable, match="no folder for temporary files: No such file or directory"):
        Scratch()


def test_what_a_killed_process_left_goes_and_what_is_in_use_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    first = Scratch()
    (left,) = run_and_kill(HOLD, str(tmp_path), lines=1)
    assert Path(left.strip()).is_dir()
    (tmp_path / "caudal-query-new").mkdir()
    second = Scratch()
    assert set(tmp_path.iterdir()) == {first.folder, second.folder, tmp_path / "caudal-query-new"}
