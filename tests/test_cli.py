"""The command line: one JSON object as the last line, errors in one line, what was kept when stopped."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import write

from mlip_lab import __version__, cli
from mlip_lab.core.errors import DataError, MlipError


def replace_module(monkeypatch: pytest.MonkeyPatch, name: str, **members: Any) -> None:
    module = ModuleType(name)
    vars(module).update(members)
    monkeypatch.setitem(sys.modules, name, module)


def last_line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    record = json.loads(capsys.readouterr().out.rstrip("\n").splitlines()[-1])
    assert isinstance(record, dict)
    return record


@pytest.fixture
def copper(tmp_path: Path) -> Path:
    frames = []
    for seed in range(3):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=seed)
        atoms.calc = EMT()
        atoms.get_potential_energy(), atoms.get_stress()
        frames.append(atoms)
    path = tmp_path / "copper.xyz"
    write(path, frames)
    return path


def test_train_prints_the_errors(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], training: Any, copper: Path
) -> None:
    asked: dict[str, Any] = {}

    def train(data: Path, **options: Any) -> Any:
        asked.update(options, data=data)
        return training

    replace_module(monkeypatch, "mlip_lab.workflows.train", train=train)
    words = ["train", str(copper), "--test", str(copper), "--preset", "small", "--readout", "linear", "--seed", "3"]
    assert cli.main([*words, "--out", "cu", "--json"]) == 0
    record = last_line(capsys)
    assert record["test"]["energy_rmse_mev_per_atom"] == 2.5
    assert record["test"]["forces_rmse_ev_per_ang"] == 0.08
    assert record["test"]["stress_rmse_gpa"] is None
    assert (record["train_seconds"], record["n_parameters"]) == (123.0, 4567)
    assert asked.pop("progress") is not None
    assert asked == {
        "data": copper,
        "test": copper,
        "preset": "small",
        "readout": "linear",
        "seed": 3,
        "out": Path("cu"),
    }


def test_demo_writes_the_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], demo_result: Any, tmp_path: Path
) -> None:
    monkeypatch.setattr("mlip_lab.workflows.demo.demo", lambda out, **options: demo_result)
    assert cli.main(["demo", "--out", str(tmp_path / "here"), "--json"]) == 0
    assert (tmp_path / "here" / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert (tmp_path / "here" / "overview.png").read_bytes().startswith(b"\x89PNG")
    record = last_line(capsys)
    assert record["properties"][0].keys() == {"name", "unit", "value", "reference", "deviation_percent"}
    assert {item["name"] for item in record["properties"]} >= {"lattice_constant", "bulk_modulus", "C11", "C12", "C44"}
    assert record["test"]["energy_rmse_mev_per_atom"] == 2.5
    assert record["md"]["atoms"] == 64


def test_inspect_reports_what_is_there(capsys: pytest.CaptureFixture[str], copper: Path) -> None:
    assert cli.main(["inspect", str(copper)]) == 0
    assert "Cu" in capsys.readouterr().out
    assert cli.main(["inspect", str(copper), "--json"]) == 0
    assert last_line(capsys)["n_frames"] == 3


def test_label_writes_labels(capsys: pytest.CaptureFixture[str], copper: Path, tmp_path: Path) -> None:
    settings = tmp_path / "emt.toml"
    settings.write_text('backend = "emt"\n')
    out = tmp_path / "labelled.xyz"
    assert cli.main(["label", str(copper), "--with", str(settings), "--out", str(out), "--json"]) == 0
    record = last_line(capsys)
    assert (record["frames"], record["computed"], record["failed"]) == (3, 3, [])
    assert out.exists()


def test_errors_are_one_line_and_exit_code_two(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["inspect", str(tmp_path / "nothing.xyz"), "--json"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("mlip-lab: ")
    assert printed.err.count("\n") == 1
    assert "nothing.xyz" in printed.err


@pytest.mark.parametrize("words", [[], ["dance"], ["train"], ["train", "x", "--preset", "huge"], ["label", "x"]])
def test_wrong_commands_exit_with_two(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(words)
    assert stopped.value.code == 2
    assert "usage: mlip-lab" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"mlip_lab {__version__}\n"


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "A checkpoint is in potential; the same command goes on from there."),
        (DataError("two\n  lines"), 2, "mlip-lab: two lines"),
        (MlipError("any"), 2, "mlip-lab: any"),
    ],
)
def test_what_is_said_when_training_ends_early(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, words: str
) -> None:
    def train(*_: Any, **__: Any) -> Any:
        raise error

    replace_module(monkeypatch, "mlip_lab.workflows.train", train=train)
    assert cli.main(["train", "data.xyz"]) == code
    assert words in capsys.readouterr().err


def test_other_errors_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def train(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError

    replace_module(monkeypatch, "mlip_lab.workflows.train", train=train)
    with pytest.raises(ZeroDivisionError):
        cli.main(["train", "data.xyz"])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_line_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(cli.time, "monotonic", lambda: clock.now)
    stream = Terminal()
    line = cli.ProgressLine(stream)
    line(0, 10, stage="Training")
    clock.now += 60
    line(4, 10, stage="Training", energy_rmse=1.23456, epochs=[1, 2])
    shown = stream.getvalue().split("\r\x1b[K")[-1]
    assert shown == "Training: 4 of 10, 1:30 left  energy rmse 1.235"
    line(5, 10, stage="Training")  # at once: not drawn
    assert stream.getvalue().endswith(shown)
    line.clear()
    assert stream.getvalue().endswith("\r\x1b[K")


def test_progress_in_a_file_has_no_control_characters() -> None:
    stream = io.StringIO()
    line = cli.ProgressLine(stream)
    line(1, 2, stage="Training")
    line(2, 2, stage="Training")
    line(1, 2, stage="Moving")
    line.clear()
    printed = stream.getvalue().splitlines()
    assert [text.split(":")[0] for text in printed] == ["Training", "Moving"]
    assert "\x1b" not in stream.getvalue()
