"""What Binder installs is what the package asks for, and its settings are settings of this JupyterLab."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[1]
BINDER = ROOT / "binder"
SCHEMAS = Path(sys.prefix) / "share" / "jupyter" / "lab" / "schemas"
OVERRIDES: dict[str, dict[str, Any]] = json.loads((BINDER / "overrides.json").read_text(encoding="utf-8"))


@pytest.fixture
def project() -> dict[str, Any]:
    found = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert isinstance(found, dict)
    return found


def test_versions_agree_with_the_package(project: dict[str, Any]) -> None:
    lines = (BINDER / "requirements.txt").read_text(encoding="utf-8").splitlines()
    asked = [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]
    needed = {found.name: found.specifier for found in map(Requirement, project["dependencies"])}
    assert [found.name for found in asked] == ["torch"]
    assert asked[0].specifier == needed["torch"]


def test_torch_is_the_cpu_build() -> None:
    assert "--extra-index-url https://download.pytorch.org/whl/cpu" in (BINDER / "requirements.txt").read_text()


def test_python_is_one_the_package_runs_on(project: dict[str, Any]) -> None:
    name, version = (BINDER / "runtime.txt").read_text(encoding="utf-8").strip().split("-")
    assert name == "python"
    assert version in SpecifierSet(project["requires-python"])


def test_what_is_done_after_the_build(project: dict[str, Any]) -> None:
    script = BINDER / "postBuild"
    assert script.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(script)], check=True)
    words = script.read_text(encoding="utf-8")
    assert "pip install --no-cache-dir '.[page]'" in words
    assert "page" in project["optional-dependencies"]
    assert "mlip-lab warm" in words
    assert "share/jupyter/lab/settings" in words


def test_cells_out_of_sight_keep_their_widgets() -> None:
    assert OVERRIDES["@jupyterlab/notebook-extension:tracker"]["windowingMode"] == "defer"


@pytest.mark.parametrize("plugin", OVERRIDES)
def test_settings_are_known_to_jupyterlab(plugin: str) -> None:
    extension, name = plugin.split(":")
    path = SCHEMAS / extension / f"{name}.json"
    if not SCHEMAS.is_dir():
        pytest.skip("JupyterLab's schemas are not beside this Python")
    schema = json.loads(path.read_text(encoding="utf-8"))
    assert set(OVERRIDES[plugin]) <= set(schema["properties"])
    jsonschema.validate(OVERRIDES[plugin], schema)
