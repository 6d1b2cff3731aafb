"""The command line: one JSON object as the last line, errors in one line, what was kept when stopped."""

from __future__ import annotations

import importlib.metadata
import io
import json
import sys
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import write

from mlip_lab import __version__, cli
from mlip_lab.core.errors import CalculationError, DataError, MlipError
from mlip_lab.workflows import notebooks
from tests.browser.harness import write_notebook
from tests.browser.servers import free_port, serving

ROOT = Path(__file__).resolve().parents[1]


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

    def train(data: str, **options: Any) -> Any:
        asked.update(options, data=data)
        return training

    replace_module(monkeypatch, "mlip_lab.workflows.train", train=train)
    words = ["train", str(copper), "--test", str(copper), "--preset", "small", "--readout", "linear", "--seed", "3"]
    assert cli.main([*words, "--body-order", "5", "--out", "cu", "--json"]) == 0
    record = last_line(capsys)
    assert record["test"]["energy_rmse_mev_per_atom"] == 2.5
    assert record["test"]["forces_rmse_ev_per_ang"] == 0.08
    assert record["test"]["stress_rmse_gpa"] is None
    assert (record["train_seconds"], record["n_parameters"]) == (123.0, 4567)
    assert asked.pop("progress") is not None
    assert asked == {
        "data": str(copper),
        "test": copper,
        "preset": "small",
        "readout": "linear",
        "body_order": 5,
        "seed": 3,
        "streamed": False,
        "device": "cpu",
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


@pytest.mark.parametrize(
    "words", [[], ["dance"], ["train"], ["train", "x", "--preset", "huge"], ["label", "x"], ["lab", "--port", "x"]]
)
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


def write_cells(path: Path, *sources: str, **more: Any) -> None:
    cells = [{"cell_type": "code", "source": source, "outputs": [], **more} for source in sources]
    path.write_text(json.dumps({"cells": cells}), encoding="utf-8")


@pytest.fixture
def made_up_notebooks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    folder = tmp_path / "installed"
    folder.mkdir()
    write_cells(folder / "00_welcome.ipynb", "1 + 1")
    write_cells(folder / "01_more.ipynb", "2 + 2")
    monkeypatch.setattr(notebooks, "packaged_notebooks", lambda: tuple(sorted(folder.iterdir())))
    return folder


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The servers that would have been started."""
    commands: list[list[str]] = []
    monkeypatch.setattr(notebooks, "_serve", lambda name, command, folder: commands.append([*command, str(folder)]))
    return commands


def test_lab_copies_the_notebooks_and_opens_them(
    capsys: pytest.CaptureFixture[str], made_up_notebooks: Path, served: list[list[str]], tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    words = ["lab", "--folder", str(folder), "--no-browser", "--port", "8899", "--json", "--", "--allow-root"]
    assert cli.main(words) == 0
    assert last_line(capsys) == {
        "folder": str(folder),
        "copied": ["00_welcome.ipynb", "01_more.ipynb"],
        "kept": [],
        "changed": [],
    }
    assert (folder / "01_more.ipynb").read_bytes() == (made_up_notebooks / "01_more.ipynb").read_bytes()
    assert served == [["jupyterlab", "00_welcome.ipynb", "--port=8899", "--no-browser", "--allow-root", str(folder)]]


def test_lab_never_overwrites(
    capsys: pytest.CaptureFixture[str], made_up_notebooks: Path, served: list[list[str]], tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    write_cells(folder / "00_welcome.ipynb", "1 + ", execution_count=3)  # run, and a cell changed
    write_cells(folder / "01_more.ipynb", "2 + 2", execution_count=1)  # run only
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert cli.main(["lab", "--folder", str(folder)]) == 0
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    said = capsys.readouterr().err
    assert "00_welcome.ipynb differs" in said
    assert "01_more.ipynb differs" not in said
    (folder / "01_more.ipynb").write_text("no notebook")
    assert notebooks.copy_notebooks(folder).changed == ("00_welcome.ipynb", "01_more.ipynb")


def test_lab_as_a_page(made_up_notebooks: Path, served: list[list[str]], tmp_path: Path) -> None:
    if find_spec("voila") is None:
        pytest.skip("Voila is not installed")
    assert cli.main(["lab", "--page", "--folder", str(tmp_path)]) == 0
    assert served == [["voila", "00_welcome.ipynb", str(tmp_path)]]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--port", "70000"], "--port: expected 1 to 65535, got 70000"),
        (["--folder", "taken"], "Cannot write to the folder taken"),
        (["--page", "--folder", "other"], "pip install 'mlip_lab[page]'"),
        (["--folder", "other"], "JupyterLab is not installed"),
    ],
)
def test_why_lab_does_not_open(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    made_up_notebooks: Path,
    tmp_path: Path,
    options: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(notebooks, "find_spec", lambda name: None)
    (tmp_path / "taken").write_text("a file")
    assert cli.main(["lab", *options]) == 2
    assert words in capsys.readouterr().err


def test_a_page_needs_the_welcome(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], made_up_notebooks: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(notebooks, "find_spec", lambda name: True)
    (made_up_notebooks / "00_welcome.ipynb").unlink()
    assert cli.main(["lab", "--page", "--folder", str(tmp_path / "mine")]) == 2
    assert "00_welcome.ipynb is not in" in capsys.readouterr().err


def test_a_server_that_fails_is_an_error(made_up_notebooks: Path, tmp_path: Path) -> None:
    with pytest.raises(CalculationError, match="JupyterLab ended with exit code"):
        notebooks.open_lab(tmp_path, browser=False, more=["--no-such-option=1", "--version=2"])


@pytest.mark.parametrize("page", [False, True], ids=["lab", "page"])
def test_lab_serves_the_notebooks_until_it_is_ended(tmp_path: Path, page: bool) -> None:
    if page and find_spec("voila") is None:
        pytest.skip("Voila is not installed")
    folder, port = tmp_path / "mine", free_port()
    folder.mkdir()
    write_notebook(folder / "00_welcome.ipynb", ["print('seen', 'here')"])
    command = [sys.executable, "-m", "mlip_lab", "lab", "--folder", str(folder), "--no-browser", "--port", str(port)]
    command += ["--page"] if page else ["--", "--allow-root", "--IdentityProvider.token="]
    with serving(command, port, tmp_path / "home", ROOT, "/voila/static/voila.js" if page else "/api/status") as server:
        address = "/" if page else "/api/contents/00_welcome.ipynb?content=0"
        with urllib.request.urlopen(server.url + address, timeout=60) as answer:
            shown = answer.read().decode()
        assert ("seen here" if page else '"00_welcome.ipynb"') in shown
        inner = server.process.children()
        server.process.terminate()
        assert server.process.wait(60) == 0
        assert not any(process.is_running() for process in inner)


def test_an_installed_package_holds_the_notebooks() -> None:
    try:
        files = {str(path) for path in importlib.metadata.files("mlip_lab") or ()}
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("mlip_lab is run from its sources, not installed")
    if "mlip_lab/cli.py" not in files:
        pytest.skip("mlip_lab is installed editable")
    ours = {f"mlip_lab/notebooks/{path.name}" for path in notebooks.packaged_notebooks()}
    assert ours <= files


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
