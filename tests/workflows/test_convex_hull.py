"""Candidates relax to the same hull here, in processes and on a cluster; what is finished is never lost."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from mlip_lab.core.errors import CalculationError, Cancelled, FileFormatError, InputError
from mlip_lab.data.orderings import candidates, prototypes
from mlip_lab.workflows.convex_hull import RelaxedHull, convex_hull, relaxed_hull
from tests.workflows.cluster import Killer, cluster

CHOSEN = ("fcc Cu", "fcc Pt", "bcc Pt", "L1_2 Cu3Pt", "B2 CuPt", "L1_0 CuPt", "D0_3 Cu3Pt")


class Flaky(EMT):  # type: ignore[misc]
    """EMT whose process is killed at one composition, as long as a file is there."""

    def __init__(self, trap: str) -> None:
        super().__init__()
        self.trap = trap

    def calculate(self, *args: Any, **kwargs: Any) -> None:
        atoms = args[0] if args else kwargs["atoms"]
        if atoms.get_chemical_formula() == "Cu3Pt" and Path(self.trap).exists():
            os.kill(os.getpid(), signal.SIGKILL)
        super().calculate(*args, **kwargs)


@pytest.fixture(scope="module")
def chosen() -> list[Atoms]:
    found = {atoms.info["name"]: atoms for atoms in prototypes("Cu Pt")}
    return [found[name] for name in CHOSEN]


@pytest.fixture(scope="module")
def here(chosen: list[Atoms]) -> RelaxedHull:
    return relaxed_hull(chosen, EMT())


def test_close_packed_compounds_of_copper_and_platinum(here: RelaxedHull) -> None:
    # In EMT unlike neighbours attract, and close packing costs least: L1_0 lies below B2, L1_2 below D0_3.
    hull = here.hull
    assert here.failed == {} and [hull.names[i] for i in hull.stable if hull.compounds[i]] == [
        "L1_2 Cu3Pt",
        "L1_0 CuPt",
    ]
    assert hull.formation[hull.index("L1_2 Cu3Pt")] < hull.formation[hull.index("D0_3 Cu3Pt")] - 0.01
    assert hull.formation[hull.index("L1_0 CuPt")] < hull.formation[hull.index("B2 CuPt")] - 0.01
    for atoms, energy in zip(here.structures, hull.energies, strict=True):
        again = atoms.copy()
        again.calc = EMT()
        assert again.get_potential_energy() / len(atoms) == pytest.approx(energy, abs=1e-9)
        assert np.abs(again.get_stress()).max() * atoms.cell.volume / len(atoms) < 0.011
    assert all(steps > 0 for steps in here.steps)


def test_the_same_in_processes_and_on_a_cluster(here: RelaxedHull, chosen: list[Atoms]) -> None:
    with ProcessPoolExecutor(2) as pool:
        found = [relaxed_hull(chosen, EMT(), executor=pool)]
    with cluster() as client:
        found.append(relaxed_hull(chosen, EMT(), executor=client.get_executor()))
    for there in found:
        assert there.hull.names == here.hull.names and there.steps == here.steps
        assert np.array_equal(there.hull.energies, here.hull.energies)
        for one, other in zip(here.structures, there.structures, strict=True):
            assert np.array_equal(one.positions, other.positions)


def test_a_killed_worker_costs_nothing_that_was_finished(
    here: RelaxedHull, chosen: list[Atoms], tmp_path: Path
) -> None:
    trap, folder = tmp_path / "trap", tmp_path / "hull"
    trap.touch()
    with ProcessPoolExecutor(1) as pool:  # one after the other: three are finished when the fourth kills the worker
        broken = relaxed_hull(chosen, Flaky(str(trap)), folder=folder, executor=pool)
    assert set(broken.hull.names) >= set(CHOSEN[:3])
    assert set(broken.failed) | set(broken.hull.names) == set(CHOSEN) and "L1_2 Cu3Pt" in broken.failed
    assert "worker ended" in broken.failed["L1_2 Cu3Pt"]
    assert len(list(folder.glob("*.json"))) == len(broken.hull.names)
    trap.unlink()
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.json")}
    counts: list[int] = []
    whole = relaxed_hull(chosen, Flaky(str(trap)), folder=folder, progress=lambda done, total: counts.append(done))
    assert counts[0] == len(broken.hull.names) and counts[-1] == len(CHOSEN)
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())
    assert np.allclose(whole.hull.energies, here.hull.energies, rtol=0, atol=1e-12)


def test_a_worker_of_a_cluster_that_is_killed_half_way_costs_nothing(
    here: RelaxedHull, chosen: list[Atoms], tmp_path: Path
) -> None:
    with cluster() as client:
        killer = Killer(client, tmp_path, 3)
        whole = relaxed_hull(chosen, EMT(), folder=tmp_path, executor=client.get_executor(), progress=killer)
    assert len(killer.kept) == 3 and all(path.stat().st_mtime_ns == when for path, when in killer.kept.items())
    assert whole.failed == {} and whole.hull.names == here.hull.names
    assert np.array_equal(whole.hull.energies, here.hull.energies)


def test_stop_keeps_what_is_finished(here: RelaxedHull, chosen: list[Atoms], tmp_path: Path) -> None:
    def stop(done: int, total: int, /, **_: Any) -> None:
        if done == 2:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        relaxed_hull(chosen, EMT(), folder=tmp_path, progress=stop)
    assert len(list(tmp_path.glob("*.json"))) == 2
    whole = relaxed_hull(chosen, EMT(), folder=tmp_path)
    assert np.array_equal(whole.hull.energies, here.hull.energies)
    # A cell whose text went through a file relaxes no more; another force is another piece of work.
    relaxed_hull(chosen[:2], EMT(), folder=tmp_path, force=0.02)
    assert len(list(tmp_path.glob("*.json"))) == len(CHOSEN) + 2


def test_a_folder_of_another_potential_is_refused(chosen: list[Atoms], tmp_path: Path) -> None:
    relaxed_hull(chosen[:2], EMT(), folder=tmp_path)
    with pytest.raises(InputError, match="holds the work of another potential: fcc"):
        relaxed_hull(chosen[:2], LennardJones(sigma=2.3, epsilon=0.4), folder=tmp_path)
    next(tmp_path.glob("*.json")).write_text(json.dumps({"name": "fcc Cu"}))
    with pytest.raises(FileFormatError, match="is no record of a candidate"):
        relaxed_hull(chosen[:2], EMT(), folder=tmp_path)


def test_what_does_not_relax_is_named(chosen: list[Atoms]) -> None:
    hurried = relaxed_hull(chosen, EMT(), steps=4)
    assert hurried.failed and all("Not relaxed after 4 steps" in reason for reason in hurried.failed.values())
    assert set(hurried.failed) | set(hurried.hull.names) == set(CHOSEN)
    with pytest.raises(CalculationError, match="no phase of pure Cu, Pt could be relaxed: Not relaxed"):
        relaxed_hull(chosen, EMT(), steps=1, force=1e-9)
    with pytest.raises(CalculationError, match="no phase of pure Pt"):
        relaxed_hull([chosen[0], chosen[4]], EMT())


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="different chemical elements"):
        convex_hull(EMT(), symbols="Al Al")
    with pytest.raises(InputError, match="largest"):
        convex_hull(EMT(), symbols="Cu Pt", largest=99)
    with pytest.raises(InputError, match=r"expected ase\.Atoms"):
        relaxed_hull(["Al"], EMT())  # type: ignore[list-item]
    used = EMT()
    relaxed_hull(candidates("Al")[:1], used)
    with ProcessPoolExecutor(1) as pool, pytest.raises(InputError, match="cannot be sent to another process"):
        relaxed_hull(candidates("Al")[:1], used, executor=pool)
