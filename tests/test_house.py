"""The house keeps its own rules: layers, lint, format, types."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = Path(sys.executable).parent


@pytest.mark.timeout(600)  # the type checker reads torch's types the first time
@pytest.mark.parametrize(
    "command",
    [["lint-imports"], ["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]],
    ids=" ".join,
)
def test_house_rules(command: list[str]) -> None:
    program = PROGRAMS / command[0]
    if not program.exists():
        pytest.skip(f"{command[0]} is not installed beside this Python: pip install '.[test]'")
    result = subprocess.run([str(program), *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
