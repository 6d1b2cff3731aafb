"""Elastic constants from stresses and from energies under small strains, with clamped and with relaxed ions."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import combinations
from typing import Annotated, Any, Literal

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.core.checks import one_of
from mlip_lab.core.errors import CalculationError
from mlip_lab.core.late import plotted
from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.quantities import Force, Quantity, Strain, validated
from mlip_lab.core.units import GPA
from mlip_lab.properties.attach import attached, energy_of, stress_of
from mlip_lab.properties.elastic_tensor import (
    INDEPENDENT,
    VOIGT,
    Averages,
    BornCondition,
    averages,
    born_conditions,
    rotated,
    symmetrised,
    youngs_modulus,
)
from mlip_lab.properties.fan_out import fan_out
from mlip_lab.properties.relax import relax as relax_structure
from mlip_lab.properties.relaxed_start import relaxed_start
from mlip_lab.properties.symmetry import crystal_system, point_group, standard_axes

Floats = NDArray[np.float64]
Amplitudes = Annotated[int, Quantity("", low=3, high=20, whole=True)]
ROUTES = ("stress", "energy", "both")


@dataclass(frozen=True, eq=False)
class Tensor:
    """Elastic constants found in one way, in the axes of the given cell; Voigt order xx, yy, zz, yz, xz, xy.

    Attributes:
        constants: GPa, (6, 6), symmetric and with the symmetry of the crystal's point group.
        errors: Their numerical error in GPa, (6, 6): the largest of the standard error of the fit over amplitudes,
            half of |C_ij − C_ji|, and the change when they were made symmetric.
        nonlinearity: Largest change of a constant when it is read off the largest strain alone, as a fraction of the
            largest constant.
        asymmetry: Largest |C_ij − C_ji| before both were replaced by their mean, GPa; zero by construction where
            they come from energies.
    """

    constants: Floats
    errors: Floats
    nonlinearity: float
    asymmetry: float


@dataclass(frozen=True, eq=False)
class ElasticResult:
    """Elastic constants with clamped ions (carried along by the strain) and relaxed ones (what an experiment sees).

    Attributes:
        by_stress: Tensors with clamped and, if asked for, with relaxed ions, from stresses; empty without that route.
        by_energy: The same from energies.
        strain: Largest strain applied.
        atoms: The relaxed crystal they belong to.
        system: Its crystal system.
        stress: Stress of the unstrained cell in GPa, Voigt.
        max_force: Largest force in the unstrained cell in eV/Å.
    """

    by_stress: tuple[Tensor, ...]
    by_energy: tuple[Tensor, ...]
    strain: float
    atoms: Atoms
    system: str
    stress: Floats
    max_force: float

    def plot(self, **options: Any) -> Any:
        """The result as a matplotlib Figure; options as in `mlip_lab.plots.elastic.overview`."""
        return plotted("elastic", "overview", self, **options)

    @property
    def _tensors(self) -> tuple[Tensor, ...]:
        return self.by_stress or self.by_energy

    @property
    def clamped(self) -> Floats:
        """Constants with clamped ions in GPa, (6, 6), from stresses if these were asked for."""
        return self._tensors[0].constants

    @property
    def relaxed(self) -> Floats | None:
        """Constants with relaxed ions in GPa, (6, 6); None if they were not asked for."""
        return self._tensors[1].constants if len(self._tensors) > 1 else None

    @property
    def tensor(self) -> Tensor:
        """The relaxed tensor, or the clamped one if only that was asked for."""
        return self._tensors[-1]

    @property
    def constants(self) -> Floats:
        """The relaxed constants, or the clamped ones if only they were asked for; GPa, (6, 6)."""
        return self.tensor.constants

    @property
    def errors(self) -> Floats:
        """Numerical errors of `constants` in GPa, (6, 6)."""
        return self.tensor.errors

    @property
    def disagreement(self) -> float | None:
        """Largest difference of the two routes as a fraction of the largest constant; None with one route."""
        pairs = list(zip(self.by_stress, self.by_energy, strict=False))
        differences = [np.abs(a.constants - b.constants).max() / np.abs(a.constants).max() for a, b in pairs]
        return float(max(differences)) if differences else None

    @cached_property
    def standard(self) -> Floats:
        """`constants` in the standard axes of the crystal system, GPa, (6, 6)."""
        return rotated(self.constants, standard_axes(self.atoms))

    def named(self, constants: Floats) -> dict[str, float]:
        """Those of some constants, (6, 6) in the axes of the cell, that differ from each other in this system.

        By name, in the standard axes: C11, C12, C44 of a cubic crystal, and what else others need.
        """
        names = INDEPENDENT.get(self.system) or tuple(f"C{i}{j}" for i in range(1, 7) for j in range(i, 7))
        turned = rotated(constants, standard_axes(self.atoms))
        return {name: float(turned[int(name[1]) - 1, int(name[2]) - 1]) for name in names}

    @property
    def independent(self) -> dict[str, float]:
        """`constants` by name; see `named`."""
        return self.named(self.constants)

    @cached_property
    def eigenvalues(self) -> Floats:
        """Eigenvalues of `constants` in GPa, ascending, (6,)."""
        return np.asarray(np.linalg.eigvalsh(self.constants), dtype=np.float64)

    @property
    def stable(self) -> bool:
        """Born's criterion for any crystal class: every eigenvalue positive, DOI 10.1103/PhysRevB.90.224104."""
        return bool(self.eigenvalues[0] > 0)

    @property
    def born(self) -> tuple[BornCondition, ...]:
        """The conditions of stability of this crystal system, with what each forbids."""
        return born_conditions(self.standard, self.system)

    @property
    def averages(self) -> Averages:
        """Moduli of a polycrystal; CalculationError if the crystal is not stable."""
        self._needs_stable()
        return averages(self.constants)

    def youngs_modulus(self, directions: Floats) -> Floats:
        """Young's modulus in GPa along unit vectors, (..., 3), in the axes of the cell; (...)."""
        self._needs_stable()
        return youngs_modulus(self.constants, directions)

    def _needs_stable(self) -> None:
        if not self.stable:
            raise CalculationError(
                f"The crystal is not stable (smallest eigenvalue {self.eigenvalues[0]:.3g} GPa): it has no moduli."
            )


@validated
def elastic(
    atoms: Atoms,
    calculator: Any,
    *,
    strain: Strain = 0.005,
    amplitudes: Amplitudes = 3,
    route: Literal["stress", "energy", "both"] = "stress",
    relax: bool = True,
    relax_first: bool = False,
    force: Force = 1e-4,
    executor: Executor | None = None,
    progress: Progress = silent,
) -> ElasticResult:
    """Elastic constants of a relaxed crystal from stresses, C_ij = ∂S_i/∂η_j, or energies, C_ij = ∂²E/∂η_i∂η_j / V₀.

    η is the Lagrangian strain and S = det F · F⁻¹ σ F⁻ᵀ the stress that belongs to it, so that both routes define the
    same constants (D. C. Wallace, Thermodynamics of Crystals, 1972). Strains come in pairs ±η at several amplitudes;
    what is even or odd by the pair drops out, and the next order is fitted so that it does not leak in.

    Args:
        atoms: A crystal with relaxed ions and cell; it is not changed.
        calculator: Any ASE calculator with stress.
        strain: Largest amplitude of the strains (engineering strain for the shears).
        amplitudes: Number of amplitudes, evenly spaced up to the largest.
        route: Stresses, energies, or both beside each other.
        relax: Whether to give constants with relaxed ions beside those with clamped ions. They differ wherever a
            strain pushes on an internal coordinate, as a shear does in diamond.
        relax_first: Whether to relax the crystal first, its symmetry kept; otherwise one that is not is refused.
        force: Largest force to be left when the ions relax, eV/Å.
        executor: Where the strained cells are computed; None is here. It must run processes.
        progress: Called after every strained cell.

    Returns:
        The constants with their errors, clamped and relaxed, in the axes of the cell.

    Raises:
        InputError: If an argument is unusable, or the crystal is under stress or its ions feel a force.
        CalculationError: If ions could not be relaxed or the calculator gave no finite numbers.
    """
    one_of("route", route, ROUTES)
    start = relaxed_start(atoms, calculator, relax_first=relax_first, force=force)
    directions = np.eye(6) if route == "stress" else _energy_directions()
    sizes = strain * np.arange(1, amplitudes + 1) / amplitudes
    signed = np.concatenate([-sizes[::-1], sizes])
    strains = [np.zeros(6), *(size * direction for direction in directions for size in signed)]
    if route == "stress":
        del strains[0]
    respond = partial(_responses, atoms=start.atoms, calculator=calculator, relax=relax, force=force)
    found = np.array(fan_out(respond, strains, executor, progress))  # (strains, clamped and relaxed, E and S)
    still = found[0]
    strained = found[-2 * amplitudes * len(directions) :].reshape(len(directions), 2, amplitudes, *still.shape)
    below, above = strained[:, 0, ::-1], strained[:, 1]
    group, volume = point_group(start.atoms), float(start.atoms.cell.volume)
    odd = (above - below)[:6, ..., 1:] / 2
    even = ((above + below)[..., 0] / 2 - still[:, 0]) / volume / GPA
    kinds = range(len(still))
    return ElasticResult(
        by_stress=tuple(_from_stresses(odd[:, :, kind], sizes, group) for kind in kinds if route != "energy"),
        by_energy=tuple(_from_energies(even[:, :, kind], sizes, group) for kind in kinds if route != "stress"),
        strain=strain,
        atoms=_bare(start.atoms),
        system=crystal_system(start.atoms),
        stress=start.stress,
        max_force=start.max_force,
    )


def _energy_directions() -> Floats:
    """Directions whose curvatures give all 21 constants, (21, 6): each strain alone, and each pair together."""
    return np.array([*np.eye(6), *(np.eye(6)[i] + np.eye(6)[j] for i, j in combinations(range(6), 2))])


def _from_stresses(odd: Floats, sizes: Floats, group: Floats) -> Tensor:
    """Tensor from half the difference of S at ±η in GPa, (6 strains, amplitudes, 6 stresses): S = C η + C''' η³."""
    slopes, errors = _leading(odd, sizes, (1, 3))
    raw, errors = slopes.T, errors.T
    at_largest = odd[:, -1].T / sizes[-1]
    return _finished(raw, errors, at_largest, group)


def _from_energies(even: Floats, sizes: Floats, group: Floats) -> Tensor:
    """Tensor from the mean of E/V at ±η above that at rest in GPa, (21, amplitudes): E/V = ½ uᵀC u η² + e η⁴."""
    halves, errors = _leading(even[..., None], sizes, (2, 4))
    curvatures = np.stack([2 * halves[:, 0], 2 * even[:, -1] / sizes[-1] ** 2, 2 * errors[:, 0]])

    def tensor(along: Floats) -> Floats:
        """C_ij from uᵀC u along each u: for a pair of strains it is C_ii + 2 C_ij + C_jj."""
        made = np.diag(along[:6])
        for (i, j), value in zip(combinations(range(6), 2), along[6:], strict=True):
            made[i, j] = made[j, i] = (value - along[i] - along[j]) / 2
        return made

    spread = np.diag(curvatures[2, :6])
    for (i, j), error in zip(combinations(range(6), 2), curvatures[2, 6:], strict=True):
        spread[i, j] = spread[j, i] = np.sqrt(error**2 + spread[i, i] ** 2 + spread[j, j] ** 2) / 2
    return _finished(tensor(curvatures[0]), spread, tensor(curvatures[1]), group)


def _leading(values: Floats, sizes: Floats, powers: Sequence[int]) -> tuple[Floats, Floats]:
    """First coefficient of values = a sᵖ + b s^q by least squares, and its standard error.

    Args:
        values: (n, amplitudes, m).
        sizes: s, (amplitudes,).
        powers: p and q.

    Returns:
        Both (n, m).
    """
    design = np.stack([(sizes / sizes[-1]) ** power for power in powers], axis=1)
    inverse = np.linalg.pinv(design)
    fitted = np.einsum("pa,nam->npm", inverse, values)
    off = values - np.einsum("ap,npm->nam", design, fitted)
    noise = np.sqrt((off**2).sum(axis=1) / (len(sizes) - len(powers)))
    scale = sizes[-1] ** powers[0]
    return fitted[:, 0] / scale, noise * np.linalg.norm(inverse[0]) / scale


def _finished(raw: Floats, errors: Floats, at_largest: Floats, group: Floats) -> Tensor:
    even = (raw + raw.T) / 2
    constants = symmetrised(even, group)
    largest = np.abs(constants).max()
    return Tensor(
        constants=constants,
        errors=np.maximum.reduce([errors, errors.T, np.abs(raw - raw.T) / 2, np.abs(even - constants)]),
        nonlinearity=float(np.abs(at_largest - raw).max() / largest),
        asymmetry=float(np.abs(raw - raw.T).max()),
    )


def _responses(strain: Floats, *, atoms: Atoms, calculator: Any, relax: bool, force: float) -> Floats:
    """Energy in eV and S in GPa under a strain η, (1 or 2, 7): with clamped and, if asked for, relaxed ions."""
    eta = np.zeros((3, 3))
    for (i, j), value in zip(VOIGT, strain, strict=True):
        eta[i, j] = eta[j, i] = value if i == j else value / 2
    squares, axes = np.linalg.eigh(np.eye(3) + 2 * eta)  # FᵀF = 1 + 2η with F symmetric
    deformation = (axes * np.sqrt(squares)) @ axes.T
    strained = attached(atoms, calculator)
    strained.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
    found = [_response(strained, deformation)]
    if relax and len(strained) == 1:  # one atom has nothing to relax
        found *= 2
    elif relax:
        strained.positions = relax_structure(strained, calculator, force=force, cell=False).atoms.positions
        found.append(_response(strained, deformation))
    return np.array(found)


def _response(strained: Atoms, deformation: Floats) -> Floats:
    stress = stress_of(strained)
    back = np.linalg.inv(deformation)
    cauchy = stress[[[0, 5, 4], [5, 1, 3], [4, 3, 2]]]
    second = np.linalg.det(deformation) * back @ cauchy @ back.T
    return np.array([energy_of(strained), *(second[i, j] for i, j in VOIGT)])


def _bare(atoms: Atoms) -> Atoms:
    copy: Atoms = atoms.copy()
    copy.calc = None
    return copy
