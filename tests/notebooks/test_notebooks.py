"""Every notebook runs top to bottom as it is, in time and memory, and shows its pictures when it is closed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.harness import write_notebook
from tests.browser.servers import Server, jupyterlab
from tests.notebooks.running import GB, pictures, run

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A JupyterLab that runs beside the notebooks."""
    folder = tmp_path_factory.mktemp("beside")
    with jupyterlab(folder / "home", folder / "notebooks") as running:
        yield running


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook(notebook: Path, server: Server, tmp_path: Path) -> None:
    done = run(notebook, server, tmp_path / "mine", tmp_path / "home")
    print(f"{notebook.name}: {done.seconds:.0f} s, {done.memory / GB:.2f} GB")
    assert done.seconds < 120
    assert done.memory < 2 * GB
    # One that shows something: more than a plain surface.
    assert any(picture.std() > 5 for picture in pictures(done.executed)), "the closed notebook shows no picture"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_kept_without_outputs(notebook: Path) -> None:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


def test_memory_is_seen_and_a_widget_alone_is_no_picture(server: Server, tmp_path: Path) -> None:
    cells = [
        "import time; held = b'x' * 400_000_000; time.sleep(1); del held",
        "import io; from PIL import Image; file = io.BytesIO(); Image.effect_noise((9, 9), 99).save(file, 'png')",
        "import ipywidgets; ipywidgets.Image(value=file.getvalue())",
    ]
    done = run(write_notebook(tmp_path / "held.ipynb", cells), server, tmp_path / "mine", tmp_path / "home")
    assert 0.4 * GB < done.memory < 2 * GB
    assert pictures(done.executed) == []


def test_a_failing_cell_fails(server: Server, tmp_path: Path) -> None:
    broken = write_notebook(tmp_path / "broken.ipynb", ["import warnings; warnings.warn('mere')", "1 / 0"])
    with pytest.raises(AssertionError, match=r"broken\.ipynb failed:[^$]*ZeroDivisionError"):
        run(broken, server, tmp_path / "mine", tmp_path / "home")
