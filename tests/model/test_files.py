"""A potential's folder: what was written is what is read, and anything else is refused in words."""

from __future__ import annotations

import errno
import hashlib
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from safetensors.numpy import load as parse_tensors
from safetensors.numpy import save as pack_tensors

from mlip_lab.core.errors import FileFormatError, InputError, MlipError
from mlip_lab.model import files
from mlip_lab.model.files import CONFIG, REPORT, WEIGHTS, load, packaged_potentials, save
from mlip_lab.model.potential import Potential, ensemble
from tests.potentials import random_potential

NAMES = (CONFIG, REPORT, WEIGHTS)


def same(first: Potential, second: Potential) -> bool:
    def arrays(potential: Potential) -> list[dict[str, Any]]:
        return [dict(weights) for weights in (*potential.members, potential.posterior)]

    pairs = zip(arrays(first), arrays(second), strict=True)
    return (
        first.config == second.config
        and first.report == second.report
        and all(a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a) for a, b in pairs)
    )


@pytest.fixture(scope="module")
def potential() -> Potential:
    one = random_potential(2, "kernel")
    return Potential(one.config, one.members, {"test": {"energy": 0.1}, "words": "é"}, {"noise": np.array([0.5])})


@pytest.fixture(scope="module")
def written(potential: Potential, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(potential, tmp_path_factory.mktemp("written") / "one")


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    return shutil.copytree(written, tmp_path / "copy")


def rewrite(folder: Path, **changes: Any) -> None:
    """Edit config.json as somebody would who knows how it is sealed."""
    about = json.loads((folder / CONFIG).read_text())
    about.pop("sha256")
    about |= changes
    (folder / CONFIG).write_text(json.dumps({**about, "sha256": files._fingerprint(about)}))


def replace_arrays(folder: Path, arrays: dict[str, Any]) -> None:
    content = pack_tensors(arrays)
    (folder / WEIGHTS).write_bytes(content)
    rewrite(folder, weights_sha256=hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize("readout", ["linear", "kernel", "neural"])
def test_what_was_written_is_read(readout: str, tmp_path: Path) -> None:
    one = random_potential(2, readout)
    assert same(load(save(one, tmp_path / "deep" / "folder")), one)
    assert sorted(path.name for path in (tmp_path / "deep" / "folder").iterdir()) == sorted(NAMES)


def test_an_ensemble_and_a_posterior_are_read(potential: Potential, written: Path, tmp_path: Path) -> None:
    assert same(load(written), potential)
    members = ensemble([random_potential(1, "neural", seed=seed) for seed in range(12)])  # more than one digit
    assert same(load(save(members, tmp_path / "many")), members)


def test_saving_again_replaces(folder: Path) -> None:
    other = random_potential(1, "linear", seed=5)
    save(other, folder)
    assert same(load(str(folder)), other)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(FileFormatError, match=f"{name} cannot be read"):
        load(folder)


@pytest.mark.parametrize("name", NAMES)
def test_a_truncated_file_is_refused(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    for length in (0, 1, len(content) // 2, len(content) - 2):
        (folder / name).write_bytes(content[:length])
        with pytest.raises(FileFormatError, match=name):
            load(folder)


@pytest.mark.parametrize(("name", "old", "new"), [(CONFIG, "3.5", "3.6"), (REPORT, "0.1", "0.2")])
def test_an_edited_number_is_refused(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1))
    with pytest.raises(FileFormatError, match="edited"):
        load(folder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 2}, "Update mlip_lab"),
        ({"format": 10**30}, "Update mlip_lab"),
        ({"format": 0}, "format version"),
        ({"format": True}, "format version"),
        ({"format": "1"}, "format version"),
        ({"members": 2}, "expected 2 members, got 1"),
        ({"members": "one"}, "members"),
        ({"members": None}, "members"),
        ({"config": {}}, "expected the keys"),
        ({"config": [1]}, "expected the keys"),
        ({"config": None}, "expected the keys"),
        ({"weights_sha256": 5}, "sha256"),
        ({"report_sha256": None}, "sha256"),
    ],
)
def test_a_sealed_but_wrong_config_is_refused(folder: Path, changes: dict[str, Any], words: str) -> None:
    rewrite(folder, **changes)
    with pytest.raises(FileFormatError, match=words):
        load(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"cutoff": -1.0},
        {"cutoff": "long"},
        {"lmax": 2.5},
        {"lmax": 1},  # then the weights have the wrong shape
        {"readout": "tree"},
        {"readout": "linear"},
        {"numbers": [8]},
        {"numbers": None},
        {"r0": [[1.0]]},
        {"inner": "x"},
        {"unknown": 1},
    ],
    ids=str,
)
def test_a_configuration_that_makes_no_potential_is_refused(folder: Path, change: dict[str, Any]) -> None:
    rewrite(folder, config={**json.loads((folder / CONFIG).read_text())["config"], **change})
    with pytest.raises(FileFormatError, match=r"edited or is damaged"):
        load(folder)


def test_wrong_arrays_are_refused(folder: Path) -> None:
    arrays = parse_tensors((folder / WEIGHTS).read_bytes())
    wrong: list[tuple[dict[str, Any], str]] = [
        ({**arrays, "0.e0": np.zeros(3)}, "expected"),
        ({**arrays, "0.e0": np.array([0.0, np.nan])}, "finite float64"),
        ({**arrays, "posterior.noise": np.array([np.inf])}, "finite float64"),
        ({**arrays, "0.e0": np.zeros(2, np.float32)}, "finite float64"),
        ({**arrays, "0.e0": np.zeros(2, np.int64)}, "finite float64"),
        ({**arrays, "stranger": np.zeros(2)}, "unexpected array"),
        ({**arrays, "²": np.zeros(2)}, "unexpected array"),
        ({**arrays, "1.e0": np.zeros(2)}, "expected 1 members, got 2"),
        ({name: array for name, array in arrays.items() if name != "0.e0"}, "expected"),
        ({}, "expected 1 members, got 0"),
    ]
    for content, words in wrong:
        replace_arrays(folder, content)
        with pytest.raises(FileFormatError, match=words):
            load(folder)


class Armed:
    """Running code when unpickled is what must not happen."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (pytest.fail, ("the file was unpickled",))


def test_a_pickle_is_not_opened(folder: Path) -> None:
    content = pickle.dumps(Armed())
    (folder / WEIGHTS).write_bytes(content)
    rewrite(folder, weights_sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(FileFormatError, match="not a safetensors file"):
        load(folder)


@pytest.mark.parametrize("content", [b"[1, 2]", b"{", b"\xff\xfe", b"nonsense", b"[" * 100_000])
@pytest.mark.parametrize("name", [CONFIG, REPORT])
def test_what_is_not_an_object_is_refused(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    if name == REPORT:
        rewrite(folder, report_sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(FileFormatError, match="damaged"):
        load(folder)


@pytest.mark.parametrize("source", ["no-such-folder", "", None, 5, "x" * 5000, "a\0b"])
def test_a_source_that_is_none_is_refused(source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MlipError, match=r"expected a folder|Is it the folder of a potential"):
        load(source)


def test_packaged_potentials_load() -> None:
    for name in packaged_potentials():
        assert load(name).report["test"]["forces_rmse_ev_per_ang"] > 0


@settings(max_examples=80)
@given(st.data())
def test_no_damage_gives_a_wrong_number(potential: Potential, written: Path, data: st.DataObject) -> None:
    """Flip bits, cut, or insert anywhere: either MlipError, or (where JSON does not care) the same potential."""
    name = data.draw(st.sampled_from(NAMES))
    content = bytearray((written / name).read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    match data.draw(st.sampled_from(["flip", "cut", "insert"])):
        case "flip":
            content[at] ^= data.draw(st.integers(1, 255))
        case "cut":
            del content[at : at + data.draw(st.integers(1, len(content)))]
        case _:
            content[at:at] = data.draw(st.binary(min_size=1, max_size=4))
    damaged = written.parent / "damaged"
    shutil.copytree(written, damaged, dirs_exist_ok=True)
    (damaged / name).write_bytes(bytes(content))
    try:
        found = load(damaged)
    except MlipError:
        return
    assert same(found, potential)


@pytest.mark.parametrize("fails", [1, 2, 3])
def test_a_full_disk_leaves_the_old_potential_whole(
    potential: Potential, folder: Path, monkeypatch: pytest.MonkeyPatch, fails: int
) -> None:
    calls = []
    write = Path.write_bytes

    def full(self: Path, content: bytes) -> int:
        calls.append(self)
        if len(calls) == fails:
            write(self, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="No space left on device"):
        save(random_potential(1, "linear"), folder)
    monkeypatch.undo()
    assert len(calls) == fails and same(load(folder), potential)
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)


def test_a_folder_that_is_a_file_and_a_report_with_nan_are_refused(potential: Potential, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Cannot write"):
        save(potential, tmp_path / "file")
    with pytest.raises(InputError, match="report"):
        save(Potential(potential.config, potential.members, {"error": float("nan")}), tmp_path / "nan")
    assert not (tmp_path / "nan").exists()
