"""Phonons of a crystal: forces on atoms after small displacements, made into waves by phonopy."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.core.checks import as_floats
from mlip_lab.core.errors import CalculationError
from mlip_lab.core.late import plotted
from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.quantities import Force, Quantity, Temperature, validated
from mlip_lab.properties.force_constants import (
    Waves,
    frequencies_at,
    harmonic,
    heights,
    mesh_states,
    restored,
    sum_rule,
    supercell_for,
)
from mlip_lab.properties.phonon_modes import STEADY, ImaginaryMode, imaginary_modes, moving_frames
from mlip_lab.properties.phonon_path import BandPath, band_path
from mlip_lab.properties.relaxed_start import relaxed_start
from mlip_lab.properties.symmetry import primitive
from mlip_lab.properties.vibrational import Vibrations, vibrations

Floats = NDArray[np.float64]
Reach = Annotated[float, Quantity("Å", low=1.0, high=60.0)]
Displacement = Annotated[float, Quantity("Å", low=1e-4, high=0.2)]
MeshLength = Annotated[float, Quantity("Å", low=5.0, high=500.0)]
KM_PER_S = 0.1  # one Å·THz
TEMPERATURES = 101


@dataclass(frozen=True, eq=False)
class PhononResult:
    """Phonons of the primitive cell; imaginary frequencies are given as negative numbers.

    Attributes:
        atoms: The relaxed primitive cell.
        supercell: How often it was repeated along each vector.
        displacement: How far atoms were moved, Å.
        force_constants: ∂²E/∂u∂u in eV/Å² over the supercell's atoms in phonopy's order, (n, n, 3, 3), symmetric and
            with the acoustic sum rule enforced.
        path: Points in the Brillouin zone.
        frequencies: On the path in THz, (n_points, 3 n_atoms).
        velocities: Group velocities on the path in km/s, Cartesian, (n_points, 3 n_atoms, 3).
        dos_frequencies: THz, (m,).
        dos: Density of states in states per THz and primitive cell, (m,); its integral is 3 n_atoms.
        lowest: Lowest frequency on the mesh in THz.
        vibrations: Thermodynamics per atom; None where modes are imaginary, as it then has no meaning.
        imaginary: Modes that lower the energy.
        sum_rule: Largest element of Σ_j Φ_ij in eV/Å² before it was enforced: zero if shifting the whole crystal
            costs no force.
        supercell_change: Root mean square change of the frequencies on the path, THz, from a supercell with one
            repeat less along each vector; None if that was not asked for.
        stress: Stress of the cell in GPa, Voigt.
        max_force: Largest force in the cell in eV/Å.
    """

    atoms: Atoms
    supercell: tuple[int, int, int]
    displacement: float
    force_constants: Floats
    path: BandPath
    frequencies: Floats
    velocities: Floats
    dos_frequencies: Floats
    dos: Floats
    lowest: float
    vibrations: Vibrations | None
    imaginary: tuple[ImaginaryMode, ...]
    sum_rule: float
    supercell_change: float | None
    stress: Floats
    max_force: float

    def plot(self, **options: Any) -> Any:
        """The result as a matplotlib Figure; options as in `mlip_lab.plots.phonons.phonons`."""
        return plotted("phonons", "phonons", self, **options)

    @cached_property
    def waves(self) -> Waves:
        """The phonopy.Phonopy, for whatever else it can do."""
        return restored(self.atoms, self.supercell, self.force_constants)

    def at(self, q: Sequence[float] | Floats) -> Floats:
        """Frequencies in THz at a point in units of the primitive cell's reciprocal vectors, (3 n_atoms,)."""
        return np.asarray(frequencies_at(self.waves, as_floats("q", q, (3,))[None])[0])

    def named_point(self, name: str) -> Floats:
        """Coordinates of a named point such as "Γ" or "X"; CalculationError if this lattice has none of that name."""
        if name not in self.path.points:
            raise CalculationError(f"This lattice has no point {name}; it has {', '.join(self.path.points)}.")
        return self.path.points[name]

    def mode(
        self, q: Sequence[float] | Floats, band: int, *, amplitude: float = 0.3, count: int = 24, atoms: int = 16
    ) -> list[Atoms]:
        """One mode as frames of a film, one period long.

        Args:
            q: Point in units of the primitive cell's reciprocal vectors.
            band: Which mode, 0 for the lowest.
            amplitude: Largest displacement of an atom in Å.
            count: Number of frames.
            atoms: The cell is repeated until it holds the wave and at least so many atoms.

        Raises:
            InputError: If q or band is not usable.
        """
        return moving_frames(self.waves, self.atoms, q, band, amplitude=amplitude, count=count, atoms=atoms)


@dataclass(frozen=True, eq=False)
class SupercellConvergence:
    """Frequencies from supercells of growing size.

    Attributes:
        supercells: Repeats along each vector, from the smallest to the largest.
        reaches: Least distance between opposite faces of each in Å, (n,).
        path: Points in the Brillouin zone.
        frequencies: From each supercell in THz, (n, n_points, 3 n_atoms).
        changes: Root mean square difference from the largest supercell in THz, (n − 1,).
    """

    supercells: tuple[tuple[int, int, int], ...]
    reaches: Floats
    path: BandPath
    frequencies: Floats
    changes: Floats

    def plot(self) -> Any:
        """As a matplotlib Figure."""
        return plotted("phonons", "supercell_convergence", self)


@validated
def phonons(
    atoms: Atoms,
    calculator: Any,
    *,
    reach: Reach = 10.0,
    displacement: Displacement = 0.01,
    mesh: MeshLength = 60.0,
    highest_temperature: Temperature = 1000.0,
    check_supercell: bool = True,
    relax_first: bool = False,
    force: Force = 1e-4,
    executor: Executor | None = None,
    progress: Progress = silent,
) -> PhononResult:
    """Phonons by finite displacements of atoms in a supercell.

    D(q) = Σ_R Φ(0, R) e^{iq·R} / √(m m'), and ω² are its eigenvalues. Displacements, symmetry and D(q) are those of
    phonopy (A. Togo, DOI 10.7566/JPSJ.92.012001). Splitting of optical modes by electric fields in ionic crystals is
    not in it.

    Args:
        atoms: A crystal with relaxed ions and cell, in any cell of it; it is not changed.
        calculator: Any ASE calculator with stress.
        reach: Least distance between opposite faces of the supercell, Å. Force constants must have died out at half
            of it.
        displacement: How far an atom is moved, Å.
        mesh: Length that the mesh in the Brillouin zone stands for, Å: larger is finer.
        highest_temperature: Up to which thermodynamics are given, K.
        check_supercell: Whether to compute with a smaller supercell as well, and say how much changes.
        relax_first: Whether to relax the crystal first, its symmetry kept; otherwise one that is not is refused.
        force: Largest force to be left then, eV/Å.
        executor: Where displaced supercells are computed; None is here. It must run processes.
        progress: Called after every displaced supercell and every further part.

    Returns:
        Bands, density of states, thermodynamics and the modes that are not stable.

    Raises:
        InputError: If an argument is unusable, or the crystal is under stress or its ions feel a force.
        CalculationError: If the calculator gave no finite numbers.
    """
    start = relaxed_start(atoms, calculator, relax_first=relax_first, force=force)
    cell = primitive(start.atoms)
    repeats = supercell_for(cell, reach)
    smaller = supercell_for(cell, reach, less=1)
    sizes = [repeats, smaller] if check_supercell else [repeats]
    waves = harmonic(cell, calculator, sizes, displacement=displacement, executor=executor, progress=progress)
    path = band_path(cell)
    waves[0].run_qpoints(path.qpoints, with_group_velocities=True)
    bands = waves[0].qpoints
    frequencies = np.asarray(bands.frequencies)
    change = None
    if check_supercell:
        change = float(np.sqrt(np.mean((frequencies_at(waves[1], path.qpoints) - frequencies) ** 2)))
    states = mesh_states(waves[0], mesh)
    imaginary = imaginary_modes(path, frequencies)
    steady = not imaginary and float(states.frequencies.min()) > -STEADY
    temperatures = np.linspace(0, highest_temperature, TEMPERATURES)
    return PhononResult(
        atoms=_bare(cell),
        supercell=repeats,
        displacement=displacement,
        force_constants=np.asarray(waves[0].force_constants),
        path=path,
        frequencies=frequencies,
        velocities=KM_PER_S * np.asarray(bands.group_velocities),
        dos_frequencies=states.dos_frequencies,
        dos=states.dos,
        lowest=float(states.frequencies.min()),
        vibrations=vibrations(states.frequencies, states.weights, len(cell), temperatures) if steady else None,
        imaginary=imaginary,
        sum_rule=sum_rule(waves[0]),
        supercell_change=change,
        stress=start.stress,
        max_force=start.max_force,
    )


@validated
def supercell_convergence(
    atoms: Atoms,
    calculator: Any,
    *,
    longest: Reach = 13.0,
    displacement: Displacement = 0.01,
    relax_first: bool = False,
    executor: Executor | None = None,
    progress: Progress = silent,
) -> SupercellConvergence:
    """Frequencies on the path from ever larger supercells, up to the first that reaches `longest`.

    Args:
        atoms: As for `phonons`.
        calculator: Any ASE calculator with stress.
        longest: Least distance between opposite faces of the largest supercell, Å.
        displacement: How far an atom is moved, Å.
        relax_first: As for `phonons`.
        executor: As for `phonons`.
        progress: Called after every displaced supercell.

    Raises:
        InputError: If an argument is unusable, or the crystal is not relaxed.
        CalculationError: If the calculator gave no finite numbers.
    """
    cell = primitive(relaxed_start(atoms, calculator, relax_first=relax_first).atoms)
    largest = max(supercell_for(cell, longest))
    sizes = list(dict.fromkeys(supercell_for(cell, longest, less=less) for less in reversed(range(largest))))
    path = band_path(cell)
    waves = harmonic(cell, calculator, sizes, displacement=displacement, executor=executor, progress=progress)
    found = np.array([frequencies_at(one, path.qpoints) for one in waves])
    changes = np.sqrt(np.mean((found[:-1] - found[-1]) ** 2, axis=(1, 2)))
    reaches = np.array([heights(cell, size).min() for size in sizes])
    return SupercellConvergence(tuple(sizes), reaches, path, found, changes)


def _bare(atoms: Atoms) -> Atoms:
    copy: Atoms = atoms.copy()
    copy.calc = None
    return copy
