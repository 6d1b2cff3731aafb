"""The packaged sets: what ships can be read, is judged sound, and keeps training and test apart."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from ase.io import write

from mlip_lab.core.errors import DataError, FileFormatError, InputError
from mlip_lab.data import packaged
from mlip_lab.data.packaged import packaged_names, packaged_set, reference

from .frames import copper


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of sets with one complete set, "cu", and one half made."""
    for name in ("train", "test"):
        path = tmp_path / "cu" / f"{name}.xyz.gz"
        path.parent.mkdir(exist_ok=True)
        write(path, copper()[:30] if name == "train" else copper()[30:], format="extxyz")
    (tmp_path / "cu" / "reference.json").write_text(json.dumps({"lattice_constant": 3.6}))
    (tmp_path / "half").mkdir()
    monkeypatch.setattr(packaged, "_home", lambda: tmp_path)
    return tmp_path


def test_a_set_is_its_train_and_test_frames_and_its_reference(home):
    assert packaged_names() == ("cu",)
    train, test = packaged_set("cu")
    assert (len(train), len(test)) == (30, 10)
    assert reference("cu") == {"lattice_constant": 3.6}


@pytest.mark.parametrize("name", ["half", "", "../cu", None, 3, "Cu"])
def test_an_unknown_set_is_refused_with_the_names_there_are(home, name):
    for read in (packaged_set, reference):
        with pytest.raises(InputError, match="expected one of cu"):
            read(name)


def test_damaged_files_are_refused(home):
    for content in ("{", "[]", ""):
        (home / "cu" / "reference.json").write_text(content)
        with pytest.raises(FileFormatError, match="cu"):
            reference("cu")
    path = home / "cu" / "train.xyz.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="could not be read"):
        packaged_set("cu")
    path.write_bytes(gzip.compress(gzip.decompress(whole)[: len(gzip.decompress(whole)) // 2]))
    with pytest.raises(DataError):
        packaged_set("cu")


@pytest.mark.parametrize("name", packaged_names())
def test_shipped_sets_are_sound_and_share_no_structure(name):
    train, test = packaged_set(name)
    assert train.elements == test.elements
    for data in (train, test):
        assert data.report.forces_trusted is not False
        assert all(frame.energy is not None and frame.forces is not None for frame in data.frames)
    assert train.report.forces_trusted is True
    seen = {frame.positions.round(4).tobytes() + frame.cell.round(4).tobytes() for frame in train.frames}
    assert not any(frame.positions.round(4).tobytes() + frame.cell.round(4).tobytes() in seen for frame in test.frames)
    assert reference(name)
