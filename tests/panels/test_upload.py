"""Uploaded files: kept beside the notebook under a harmless name, and named by the code that is printed."""

from __future__ import annotations

import io
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ase.io import write

from mlip_lab.panels import train
from mlip_lab.panels.base.upload import FOLDER, kept
from tests.tiny import tiny_atoms


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def upload(button: Any, name: str, content: bytes) -> None:
    about = {"type": "", "size": len(content), "last_modified": datetime(2026, 1, 1, tzinfo=UTC)}
    button.set_trait("value", ({"name": name, "content": memoryview(content), **about},))


def looked_at(panel: Any) -> None:
    last = time.monotonic() + 10
    while panel.model.reason == "Looking at the data." and time.monotonic() < last:
        time.sleep(0.02)


def labelled(count: int = 8) -> bytes:
    text = io.StringIO()
    write(text, tiny_atoms(count), format="extxyz")
    return text.getvalue().encode()


def test_the_same_content_is_kept_once_and_other_content_never_replaced() -> None:
    first, again, other = kept("a.xyz.gz", b"1"), kept("a.xyz.gz", b"1"), kept("a.xyz.gz", b"2")
    assert first == again == Path(FOLDER) / "a.xyz.gz" and other == Path(FOLDER) / "a-2.xyz.gz"
    assert kept("a.xyz.gz", b"2") == other
    assert (first.read_bytes(), other.read_bytes()) == (b"1", b"2")


@pytest.mark.parametrize("name", ["../../up.xyz", "/etc/up.xyz", ".hidden", "..", "a b;rm.xyz", "", "x" * 300 + ".xyz"])
def test_a_name_never_leaves_the_folder(name: str, working_folder: Path) -> None:
    path = kept(name, b"1")
    assert path.parent == Path(FOLDER) and re.fullmatch(r"[\w+-][\w.+-]*", path.name) and len(path.name) <= 80
    assert [p for p in working_folder.rglob("*") if p.is_file()] == [path.resolve()]


def test_an_upload_is_trained_on_and_the_printed_code_reads_it(working_folder: Path) -> None:
    panel = train(preset="small", readout="linear")
    row = panel.view.rows["data"]
    upload(row.upload, "mine.xyz", labelled())
    assert row.input.value == "uploads/mine.xyz" == panel.model.raw["data"] and row.upload.value == ()
    assert "Kept as uploads/mine.xyz beside the notebook" in row._said.value and row._said.layout.display == ""
    looked_at(panel)
    result = panel.run()
    assert panel.model.record is not None and panel.model.record.state == "done"
    names: dict[str, Any] = {}
    exec(panel.model.code, names)
    assert "train('uploads/mine.xyz'" in panel.model.code
    assert names["result"].report["data_sha256"] == result.report["data_sha256"]
    assert names["result"].report["train"] == result.report["train"]
    row.input.value = "si"
    assert row._said.layout.display == "none"
    panel.view.close()


def test_what_cannot_be_trained_on_is_said_beside_run(working_folder: Path) -> None:
    panel = train()
    upload(panel.view.rows["data"].upload, "picture.png", b"\x89PNG nothing to learn")
    looked_at(panel)
    assert panel.view.run.disabled and "picture.png" in panel.model.reason
    panel.view.close()


def test_a_folder_that_cannot_be_written_is_said(working_folder: Path) -> None:
    (working_folder / FOLDER).write_text("a file where the folder should be")
    panel = train()
    row = panel.view.rows["data"]
    upload(row.upload, "mine.xyz", labelled(2))
    assert "Cannot write to the folder" in row._said.value and "mlip-bad-text" in row._said.value
    assert panel.model.raw["data"] == "si"
    panel.view.close()
