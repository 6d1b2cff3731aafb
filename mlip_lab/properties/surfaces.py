"""Surface energies of any face from slabs of growing thickness, and the shape they give a crystal."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Annotated, Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.core.errors import CalculationError
from mlip_lab.core.late import plotted
from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.quantities import Force, Quantity, validated
from mlip_lab.properties.attach import attached, energy_of
from mlip_lab.properties.fan_out import fan_out
from mlip_lab.properties.relax import relax as relax_structure
from mlip_lab.properties.relaxed_start import relaxed_start
from mlip_lab.properties.slabs import Miller, cuts, equal_sides, faces_in, layer_cell, slab
from mlip_lab.properties.symmetry import primitive
from mlip_lab.properties.wulff import WulffShape, wulff

Floats = NDArray[np.float64]
Thickness = Annotated[float, Quantity("Å", low=3.0, high=200.0)]
Vacuum = Annotated[float, Quantity("Å", low=4.0, high=100.0)]
Slabs = Annotated[int, Quantity("", low=3, high=30, whole=True)]
JOULE_PER_M2 = 16.02176634  # one eV/Å²


@dataclass(frozen=True, eq=False)
class SurfaceEnergy:
    """Surface energy from slabs of one kind, ideal or relaxed.

    Attributes:
        energies: Of the slabs in eV, (n,).
        fitted: γ in J/m² from the line E = N e + 2 A γ through them: what all of them say together.
        error: Its standard error in J/m².
        bulk: e in eV per atom, the slope of that line.
        textbook: γ = (E − N e_bulk) / 2A in J/m² with the energy of the bulk crystal, for each slab, (n,).
        drift: Change of the textbook value in J/m² for every 10 Å of thickness.
    """

    energies: Floats
    fitted: float
    error: float
    bulk: float
    textbook: Floats
    drift: float


@dataclass(frozen=True, eq=False)
class Surface:
    """One face.

    Attributes:
        face: Miller indices of the conventional cell.
        atoms: Numbers of atoms of the slabs, (n,).
        thicknesses: Distances between their outermost layers in Å, (n,).
        area: Area of one side in Å².
        ideal: With atoms at their places in the crystal.
        relaxed: With atoms relaxed; None if that was not asked for.
        equal_sides: Whether a symmetry of the slab turns it upside down. If not, γ is the mean of two surfaces.
        terminations: In how many ways the crystal can be cut for this face; the one of least energy was taken.
        vacuum_change: Change of γ in J/m² when the vacuum is doubled.
        slab: The thickest slab, relaxed if that was asked for.
    """

    face: Miller
    atoms: NDArray[np.int64]
    thicknesses: Floats
    area: float
    ideal: SurfaceEnergy
    relaxed: SurfaceEnergy | None
    equal_sides: bool
    terminations: int
    vacuum_change: float
    slab: Atoms

    @property
    def name(self) -> str:
        """As "(100)"."""
        return face_name(self.face)

    @property
    def best(self) -> SurfaceEnergy:
        """The relaxed one, or the ideal one if only that was asked for."""
        return self.relaxed or self.ideal


@dataclass(frozen=True, eq=False)
class SurfacesResult:
    """Surface energies of several faces.

    Attributes:
        surfaces: One for each face, as asked for.
        crystal: The relaxed primitive cell they were cut from.
        stress: Its stress in GPa, Voigt.
    """

    surfaces: tuple[Surface, ...]
    crystal: Atoms
    stress: Floats

    def plot(self, **options: Any) -> Any:
        """The result as a matplotlib Figure; options as in `mlip_lab.plots.surfaces.surfaces`."""
        return plotted("surfaces", "surfaces", self, **options)

    def __getitem__(self, face: Miller) -> Surface:
        """A surface by its Miller indices."""
        return next(surface for surface in self.surfaces if surface.face == face)

    @cached_property
    def shape(self) -> WulffShape | None:
        """Wulff's shape from these faces; None where they do not enclose a body."""
        try:
            return wulff(self.crystal, {surface.face: surface.best.fitted for surface in self.surfaces})
        except CalculationError:
            return None


@validated
def surfaces(
    atoms: Atoms,
    calculator: Any,
    *,
    faces: str = "100 110 111",
    thinnest: Thickness = 12.0,
    slabs: Slabs = 4,
    vacuum: Vacuum = 12.0,
    relax: bool = True,
    relax_first: bool = False,
    force: Force = 0.01,
    executor: Executor | None = None,
    progress: Progress = silent,
) -> SurfacesResult:
    """Surface energies from the line E = N e + 2 A γ through slabs of several thicknesses.

    With e from a separate crystal, an error of e adds up with N, so that γ drifts with the thickness (J. C. Boettger,
    DOI 10.1103/PhysRevB.49.16798); the slope of the line is the e that belongs to the slabs (V. Fiorentini and
    M. Methfessel, DOI 10.1088/0953-8984/8/36/005). Atoms may relax, but cells stay 1×1: no surface reconstructs.

    Args:
        atoms: A crystal with relaxed ions and cell, in any cell of it; it is not changed.
        calculator: Any ASE calculator with stress.
        faces: Miller indices of the conventional cell, as "100 110 1-11".
        thinnest: Least thickness of a slab, between its outermost layers, Å.
        slabs: Number of thicknesses, each a layer of the crystal more than the last.
        vacuum: Empty space between slabs, Å.
        relax: Whether to give relaxed surfaces beside ideal ones.
        relax_first: Whether to relax the crystal first, its symmetry kept; otherwise one that is not is refused.
        force: Largest force to be left when a surface relaxes, eV/Å.
        executor: Where slabs are computed; None is here. It must run processes.
        progress: Called after every slab.

    Raises:
        InputError: If an argument is unusable, or the crystal is not relaxed.
        CalculationError: If a surface could not be relaxed or energies are not finite.
    """
    wanted = faces_in(faces)
    start = relaxed_start(atoms, calculator, relax_first=relax_first, force=min(force, 1e-4))
    crystal = primitive(start.atoms)
    bulk = energy_of(attached(crystal, calculator)) / len(crystal)
    crystal.calc = None
    chosen = [_choose(crystal, face, calculator, thinnest, vacuum) for face in wanted]
    jobs = [(one, relax) for cut in chosen for one in cut.grown(slabs, vacuum)]
    jobs += [(cut.slab(0, 2 * vacuum), False) for cut in chosen]
    found = fan_out(partial(_energies, calculator=calculator, force=force), jobs, executor, progress)
    made = []
    for number, cut in enumerate(chosen):
        own = found[number * slabs : (number + 1) * slabs]
        made.append(_surface(cut, own, found[len(chosen) * slabs + number], bulk, relax, vacuum))
    return SurfacesResult(tuple(made), crystal, start.stress)


def face_name(face: Miller) -> str:
    """As "(100)", with a bar over what is negative."""
    return "(" + "".join(f"{abs(index)}\u0305" if index < 0 else str(index) for index in face) + ")"


@dataclass(frozen=True, eq=False)
class _Cut:
    """A face, the layer cell it has, where it is cut, and how many layers the thinnest slab has."""

    face: Miller
    cell: Atoms
    place: float
    layers: int
    equal_sides: bool
    terminations: int

    def slab(self, more: int, vacuum: float) -> Atoms:
        return slab(self.cell, self.layers + more, vacuum, self.place)

    def grown(self, count: int, vacuum: float) -> list[Atoms]:
        return [self.slab(more, vacuum) for more in range(count)]


def _choose(crystal: Atoms, face: Miller, calculator: Any, thinnest: float, vacuum: float) -> _Cut:
    """The way to cut that costs least, among those with equal sides if there are any."""
    cell = layer_cell(crystal, face)
    height = cell.cell.volume / float(np.linalg.norm(np.cross(*cell.cell.array[:2])))
    places, gap = cuts(cell)
    layers = max(2, int(np.ceil((thinnest + gap) / height)))
    made = [slab(cell, layers, vacuum, place) for place in places]
    equal = np.array([equal_sides(one) for one in made])
    energies = np.array([energy_of(attached(one, calculator)) for one in made])
    if equal.any():
        energies[~equal] = np.inf
    best = int(np.argmin(energies))
    return _Cut(face, cell, float(places[best]), layers, bool(equal[best]), len(places))


def _surface(
    cut: _Cut,
    found: list[tuple[float, float, Atoms]],
    wide: tuple[float, float, Atoms],
    bulk: float,
    relaxed: bool,
    vacuum: float,
) -> Surface:
    sizes = np.array([len(atoms) for _, _, atoms in found])
    ideal = cut.grown(len(found), vacuum)
    thicknesses = np.array([np.ptp(one.positions[:, 2]) for one in ideal])
    area = float(np.linalg.norm(np.cross(*cut.cell.cell.array[:2])))

    def energy(which: int) -> SurfaceEnergy:
        return surface_energy(sizes, np.array([one[which] for one in found]), area, bulk, thicknesses)

    return Surface(
        face=cut.face,
        atoms=sizes,
        thicknesses=thicknesses,
        area=area,
        ideal=energy(0),
        relaxed=energy(1) if relaxed else None,
        equal_sides=cut.equal_sides,
        terminations=cut.terminations,
        vacuum_change=JOULE_PER_M2 * (wide[0] - found[0][0]) / (2 * area),
        slab=found[-1][2],
    )


def surface_energy(
    sizes: NDArray[np.int64], energies: Floats, area: float, bulk: float, thicknesses: Floats
) -> SurfaceEnergy:
    """The line through slabs, and the textbook formula beside it.

    Args:
        sizes: Atoms of each slab, at least three of them, (n,).
        energies: eV, (n,).
        area: Of one side in Å².
        bulk: Energy of the crystal in eV per atom.
        thicknesses: Å, (n,).
    """
    excess = energies - sizes * bulk  # a line through small numbers keeps its digits
    design = np.stack([sizes, np.ones(len(sizes))], axis=1)
    (slope, twice), *_ = np.linalg.lstsq(design, excess, rcond=None)
    off = excess - design @ np.array([slope, twice])
    spread = np.linalg.inv(design.T @ design)[1, 1] * float(off @ off) / (len(sizes) - 2)
    unit = JOULE_PER_M2 / (2 * area)
    textbook = unit * excess
    return SurfaceEnergy(
        energies=energies,
        fitted=float(unit * twice),
        error=float(unit * np.sqrt(spread)),
        bulk=bulk + float(slope),
        textbook=textbook,
        drift=float(10 * np.polyfit(thicknesses, textbook, 1)[0]),
    )


def _energies(job: tuple[Atoms, bool], *, calculator: Any, force: float) -> tuple[float, float, Atoms]:
    """Energy of a slab as it is and, if asked for, relaxed, in eV; and the slab."""
    atoms, relax = job
    ideal = energy_of(attached(atoms, calculator))
    if not relax:
        return ideal, ideal, atoms
    found = relax_structure(atoms, calculator, cell=False, force=force)
    still = found.atoms.copy()
    still.calc = None
    return ideal, found.energy, still
