"""What all tests share."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis
import numpy as np
import pytest

from mlip_lab.core.frame import Frame

# A compiled kernel's first call takes seconds: no deadline. The same examples every time: a red test stays red.
hypothesis.settings.register_profile("mlip_lab", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("mlip_lab")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20260101)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The development data beside the repository; tests that need them skip where they are absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the development data are not beside the repository ({folder.name} folder not found)")
    return folder


def predictions(rng: np.random.Generator, kinds: dict[str, int], error: float = 0.1) -> list[Any]:
    """Labelled two-atom frames of some kinds with predictions off by `error` (eV, eV/Å, eV/Å³) at random."""
    found = []
    for kind, count in kinds.items():
        for _ in range(count):
            energy, forces, stress = rng.normal(-10, 1), rng.normal(size=(2, 3)), 0.01 * rng.normal(size=(3, 3))
            frame = Frame(
                numbers=np.array([14, 14]),
                positions=rng.normal(size=(2, 3)),
                cell=4 * np.eye(3),
                pbc=np.ones(3, dtype=bool),
                energy=energy,
                forces=forces,
                stress=None if kind == "surface" else stress + stress.T,
                kind=kind,
            )
            off = error * rng.choice([-1, 1])
            found.append(
                SimpleNamespace(
                    frame=frame, energy=energy + off, forces=forces + off, stress=stress + stress.T + 0.001 * off
                )
            )
    return found


@pytest.fixture(scope="session")
def training() -> Any:
    """What `train` gives back, without having trained."""
    rng = np.random.default_rng(1)
    epochs = np.arange(1, 21)
    return SimpleNamespace(
        predictions=predictions(rng, {"bulk": 6, "surface": 3}),
        history={
            "epoch": epochs.tolist(),
            "train_energy_rmse_mev_per_atom": (50 / epochs).tolist(),
            "validation_energy_rmse_mev_per_atom": (60 / epochs).tolist(),
            "train_forces_rmse_ev_per_ang": (0.5 / epochs).tolist(),
            "validation_forces_rmse_ev_per_ang": (0.6 / epochs).tolist(),
        },
        report={
            "test": {"energy_rmse_mev_per_atom": 2.5, "forces_rmse_ev_per_ang": 0.08, "stress_rmse_gpa": None},
            "train": {"energy_rmse_mev_per_atom": 2.0, "forces_rmse_ev_per_ang": 0.06, "stress_rmse_gpa": 0.3},
            "train_seconds": 123.0,
            "n_parameters": 4567,
        },
    )


@pytest.fixture(scope="session")
def silicon_calculator() -> Any:
    """Stillinger–Weber silicon from matscipy, standing in for a trained potential."""
    manybody = pytest.importorskip("matscipy.calculators.manybody", reason="matscipy is not installed")
    forms = pytest.importorskip("matscipy.calculators.manybody.explicit_forms.stillinger_weber")
    return manybody.Manybody(**forms.StillingerWeber(forms.Stillinger_Weber_PRB_31_5262_Si))


@pytest.fixture(scope="session")
def silicon_reference() -> dict[str, Any]:
    """Reference values in the form of a packaged set's reference.json."""
    names = {"lattice_constant": 5.431, "bulk_modulus": 101.4, "C11": 151.4, "C12": 76.4, "C44": 56.4}
    names |= {"beta_tin_a": 4.8, "beta_tin_c_over_a": 0.55, "vacancy_formation_energy_unrelaxed": 4.34}
    values = {name: {"value": value, "unit": "", "how": "published"} for name, value in names.items()}
    return {"settings": {"code": "Stillinger-Weber"}, "values": values}


@pytest.fixture(scope="session")
def demo_result(training: Any, silicon_calculator: Any, silicon_reference: dict[str, Any]) -> Any:
    """A small demo with Stillinger–Weber silicon in place of the trained potential."""
    from ase.build import bulk

    from mlip_lab.workflows import demo

    crystal, curve, constants = demo.examine(silicon_calculator, bulk("Si", cubic=True))
    values = silicon_reference["values"]
    return demo.DemoResult(
        training=training,
        equation_of_state=curve,
        elastic=constants,
        comparisons=(
            *demo.compare(curve, constants, values),
            *demo.compare_silicon(silicon_calculator, curve, values),
        ),
        motion=demo.move(crystal.repeat(2), silicon_calculator, steps=100),
        reference=silicon_reference,
        seconds=60.0,
    )
