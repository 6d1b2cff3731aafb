"""Small labelled data to train on in a second: copper and gold by effective medium theory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from mlip_lab.core.frame import Frame
from mlip_lab.model.config import PotentialConfig

# lmax and body order of tests/potentials.py: the kernels are compiled once for both
CONFIG = PotentialConfig(
    cutoff=4.0, n_radial=4, n_pair=6, lmax=2, n_channels=3, n_hidden=6, n_points=12, n_components=6
)


def tiny_config(readout: str) -> PotentialConfig:
    return replace(CONFIG, readout=readout)


def tiny_atoms(count: int, *, gold: int = 0, seed: int = 0, rattle: float = 0.12) -> list[Atoms]:
    """Rattled and strained four-atom cells with energy, forces and stress; `gold` of the atoms are gold."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        atoms = bulk("Cu", a=3.6 + 0.1 * gold / 4, cubic=True)
        atoms.symbols[:gold] = "Au"
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.03 * rng.normal(size=(3, 3))), scale_atoms=True)
        atoms.positions += rattle * rng.normal(size=(4, 3))
        atoms.calc = EMT()
        stress = atoms.get_stress(voigt=False)
        results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces(), "stress": stress}
        atoms.calc = SinglePointCalculator(atoms, **results)
        found.append(atoms)
    return found


def tiny_frames(count: int, *, gold: int = 0, seed: int = 0, rattle: float = 0.12) -> list[Frame]:
    return [
        Frame(
            numbers=atoms.numbers.astype(np.int64),
            positions=atoms.positions,
            cell=atoms.cell.array,
            pbc=atoms.pbc,
            energy=atoms.get_potential_energy(),
            forces=atoms.get_forces(),
            stress=atoms.get_stress(voigt=False),
        )
        for atoms in tiny_atoms(count, gold=gold, seed=seed, rattle=rattle)
    ]
