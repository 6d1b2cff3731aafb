"""The package's face: its import is quick and light, its names lead somewhere."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest

import mlip_lab

HEAVY = ("torch", "ase", "numba", "ipywidgets", "matplotlib", "scipy", "numpy")


def in_fresh_process(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_import_is_light() -> None:
    loaded = in_fresh_process("import sys, mlip_lab; print(*sys.modules)").split()
    assert not set(HEAVY) & set(loaded)


def test_import_is_quick() -> None:
    code = "import time; t = time.perf_counter(); import mlip_lab; print(time.perf_counter() - t)"
    # The bound asked for is 0.3 s; the best of three leaves out a busy machine.
    assert min(float(in_fresh_process(code)) for _ in range(3)) < 0.3


@pytest.mark.parametrize("name", mlip_lab.__all__)
def test_public_names_exist_and_are_documented(name: str) -> None:
    value = getattr(mlip_lab, name)
    if name != "__version__":
        assert callable(value)
        assert value.__doc__


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        mlip_lab.nonsense  # noqa: B018 - the access is the test


def test_names_are_listed() -> None:
    assert set(mlip_lab.__all__) <= set(dir(mlip_lab))


def test_a_lab_opens_without_what_only_a_run_needs() -> None:
    loaded = in_fresh_process("import sys, mlip_lab.lab; print(*sys.modules)").split()
    assert not {"torch", "phonopy", "seekpath", "nglview", "scipy.stats"} & set(loaded)


def test_running_a_property_needs_no_torch() -> None:
    code = (
        "import sys, mlip_lab; from ase.build import bulk; from ase.calculators.emt import EMT;"
        "mlip_lab.relax(bulk('Cu'), EMT()); print(*sys.modules)"
    )
    assert "torch" not in in_fresh_process(code).split()


def test_version_is_the_installed_one() -> None:
    try:
        installed = importlib.metadata.version("mlip_lab")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("mlip_lab is run from its sources, not installed")
    assert mlip_lab.__version__ == installed
