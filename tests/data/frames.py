"""Labelled copper from ASE's effective-medium potential, whose forces and stress are exact derivatives."""

from __future__ import annotations

from functools import cache

import numpy as np
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT


@cache
def _copper() -> tuple[tuple[Atoms, float, np.ndarray, np.ndarray], ...]:
    rng = np.random.default_rng(7)
    frames = []
    for number in range(40):
        atoms = bulk("Cu", cubic=True)
        if number % 2:
            strain = rng.normal(scale=0.008, size=(3, 3))
            atoms.set_cell(atoms.cell[:] @ (np.eye(3) + 0.5 * (strain + strain.T)), scale_atoms=True)
        else:
            atoms.rattle(0.05, rng=rng)
        atoms.info["config_type"] = "strained" if number % 2 else "rattled"
        bare = atoms.copy()
        atoms.calc = EMT()
        stress = atoms.get_stress(voigt=False)
        frames.append((bare, float(atoms.get_potential_energy()), atoms.get_forces(), stress))
    return tuple(frames)


def copper(
    energy: str = "REF_energy",
    forces: str = "REF_forces",
    stress: str = "REF_stress",
    *,
    energy_factor: float = 1.0,
    forces_factor: float = 1.0,
    stress_factor: float = 1.0,
    pressure: float = 0.0,
) -> list[Atoms]:
    """Twenty rattled and twenty strained cells of copper with labels under the given names ("" for none)."""
    frames = []
    for bare, e, f, s in _copper():
        atoms = bare.copy()
        if energy:
            atoms.info[energy] = e * energy_factor
        if forces:
            atoms.arrays[forces] = f * forces_factor
        if stress:
            atoms.info[stress] = (s + pressure * np.eye(3)) * stress_factor
        frames.append(atoms)
    return frames


def water(energies: list[float]) -> list[Atoms]:
    """Water molecules with the given energies and slightly different bonds."""
    frames = []
    for number, energy in enumerate(energies):
        atoms = molecule("H2O")
        atoms.positions[0, 2] += 0.01 * number
        atoms.info["energy"] = energy
        frames.append(atoms)
    return frames
