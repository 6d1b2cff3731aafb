"""The path of least energy between two structures, its saddle point, and the rate over it."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Annotated, Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from numpy.typing import NDArray
from scipy.interpolate import CubicHermiteSpline, CubicSpline

from mlip_lab.core.errors import CalculationError, Cancelled, InputError
from mlip_lab.core.late import plotted
from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.quantities import Count, Force, Quantity, validated
from mlip_lab.properties.attach import attached, largest_force
from mlip_lab.properties.band import relaxed, spread, straight
from mlip_lab.properties.mapping import map_product
from mlip_lab.properties.normal_modes import Displacement, NormalModes, movable_coordinates, normal_modes
from mlip_lab.properties.rates import HarmonicRate, harmonic_rate
from mlip_lab.properties.relax import relax
from mlip_lab.properties.saddle import Saddle, find_saddle
from mlip_lab.properties.together import Together

Floats = NDArray[np.float64]
Images = Annotated[int, Quantity("", low=1, high=99, whole=True)]
LARGEST_FORCE = 0.05  # eV/Å that an end may feel which is not relaxed now
APART = 0.05  # Å; ends that are closer in every atom are one structure
SHALLOW = 0.01  # eV; a dip that is less deep is no valley


@dataclass(frozen=True, eq=False)
class ReactionPath:
    """A path from a reactant to a product.

    Attributes:
        atoms: The reactant, with its constraints.
        positions: Of all images, both ends included, in Å, (m, n, 3).
        energies: eV, (m,).
        forces: Of the calculator in eV/Å, (m, n, 3).
        order: Index in the given product of each atom, (n,).
        steps: Steps of the band in all.
        max_force: Largest force of the band left on an atom, eV/Å.
        converged: Whether the band is relaxed.
        climbing: Whether its highest image climbs.
        saddle: The saddle point; None if it was not asked for, not reached yet or not found.
        ends: Normal modes of reactant and product; None likewise.
        doubts: What did not work, in words.
        stopped: Whether the work was stopped before its end.
    """

    atoms: Atoms
    positions: Floats
    energies: Floats
    forces: Floats
    order: NDArray[np.int64]
    steps: int
    max_force: float
    converged: bool
    climbing: bool
    saddle: Saddle | None = None
    ends: tuple[NormalModes, NormalModes] | None = None
    doubts: tuple[str, ...] = ()
    stopped: bool = False

    def plot(self, **options: Any) -> Any:
        """Energy along the path as a matplotlib Figure; options as in `mlip_lab.plots.reaction_path.reaction_path`."""
        return plotted("reaction_path", "reaction_path", self, **options)

    @property
    def images(self) -> list[Atoms]:
        """All images as structures that hold their energies and forces."""
        found = []
        for positions, energy, forces in zip(self.positions, self.energies, self.forces, strict=True):
            image: Atoms = self.atoms.copy()
            image.set_positions(positions, apply_constraint=False)
            image.calc = SinglePointCalculator(image, energy=float(energy), forces=forces)
            found.append(image)
        return found

    @cached_property
    def distances(self) -> Floats:
        """How far along the path each image lies, in Å of all coordinates together, (m,)."""
        moves = np.linalg.norm(np.diff(self.positions, axis=0), axis=(1, 2))
        return np.concatenate([[0.0], np.cumsum(moves)])

    @cached_property
    def slopes(self) -> Floats:
        """dE/ds = −F · dR/ds along the path in eV/Å, (m,)."""
        m = len(self.positions)
        tangents = CubicSpline(self.distances, self.positions.reshape(m, -1))(self.distances, 1)
        tangents /= np.linalg.norm(tangents, axis=1)[:, None]
        return np.asarray(-np.einsum("mc,mc->m", self.forces.reshape(m, -1), tangents))

    @cached_property
    def _spline(self) -> Any:
        return CubicHermiteSpline(self.distances, self.energies - self.energies[0], self.slopes)

    def curve(self, points: int = 401) -> tuple[Floats, Floats]:
        """The spline through energies and slopes: places in Å and energies above the reactant in eV, (points,)."""
        places = np.linspace(0.0, self.distances[-1], points)
        return places, np.asarray(self._spline(places))

    @cached_property
    def top(self) -> tuple[float, float]:
        """Place (Å) and energy above the reactant (eV) of the spline's highest point."""
        places = np.append(self.distances, [x for x in self._spline.derivative().roots(extrapolate=False)])
        energies = self._spline(places)
        best = int(np.nanargmax(energies))
        return float(places[best]), float(energies[best])

    @cached_property
    def valleys(self) -> tuple[tuple[float, float], ...]:
        """Places (Å) and energies above the reactant (eV) of valleys on the way that are 10 meV deep or more."""
        from scipy.signal import find_peaks  # late: slow to import, and a Lab opens without it

        places, energies = self.curve(2001)
        found, _ = find_peaks(-energies, prominence=SHALLOW)
        return tuple((float(places[k]), float(energies[k])) for k in found)

    @property
    def barrier(self) -> float:
        """Energy of the saddle above the reactant in eV; of the spline's highest point where there is no saddle."""
        return self.top[1] if self.saddle is None else self.saddle.energy - float(self.energies[0])

    @property
    def reaction_energy(self) -> float:
        """Energy of the product above the reactant in eV."""
        return float(self.energies[-1] - self.energies[0])

    @property
    def reverse_barrier(self) -> float:
        """Energy of the saddle above the product in eV."""
        return self.barrier - self.reaction_energy

    def rate(self, *, reverse: bool = False) -> HarmonicRate:
        """The harmonic rate from reactant to product, or back.

        Raises:
            CalculationError: If there is no saddle point with normal modes, or it is none.
        """
        if self.saddle is None or self.ends is None:
            raise CalculationError("There are no normal modes of this path. Run it with rates=True and to its end.")
        barrier = self.reverse_barrier if reverse else self.barrier
        return harmonic_rate(self.ends[1 if reverse else 0], self.saddle.modes, barrier)


@validated
def reaction_path(
    atoms: Atoms,
    product: Atoms,
    calculator: Any,
    *,
    images: Images = 7,
    force: Force = 0.05,
    end_force: Force = 1e-3,
    climb: bool = True,
    relax_ends: bool = True,
    saddle: bool = True,
    rates: bool = True,
    displacement: Displacement = 0.01,
    steps: Count = 500,
    start: ReactionPath | None = None,
    executor: Executor | None = None,
    progress: Progress = silent,
) -> ReactionPath:
    """Find the path of least energy from one structure to another, its saddle point, and the rate over it.

    An elastic band of images with improved tangents (Henkelman and Jónsson, DOI 10.1063/1.1323224) begins where
    distances of atoms change evenly (Smidstrup et al., DOI 10.1063/1.4878664); its highest image climbs (DOI
    10.1063/1.1329672), and from there the saddle point is found and judged by its normal modes. A potential of this
    package evaluates all images at once.

    Args:
        atoms: The reactant; it is not changed. FixAtoms and FixCartesian constraints hold all along the path.
        product: The same atoms in any order and any periodic images.
        calculator: Any ASE calculator.
        images: Images between the two ends.
        force: Largest force to be left on an atom across the path, eV/Å.
        end_force: The same at reactant, product and saddle point, eV/Å.
        climb: Whether the highest image climbs to the saddle.
        relax_ends: Whether both ends are relaxed first, in their cell; otherwise one that is not is refused.
        saddle: Whether the saddle point is sought from the highest image on.
        rates: Whether normal modes of both ends are computed, too, which a rate needs.
        displacement: How far a coordinate is moved for normal modes, Å.
        steps: Steps of the band after which to give up.
        start: A path that was stopped or not converged, between the same ends: goes on from its images.
        executor: Where images are computed one by one, if they are not evaluated together. It must run processes.
        progress: Called after each step with steps done, steps at most, `max_force` (eV/Å), `barrier` (eV) and
            `so_far`, a function that gives the path as it is, and in between to ask whether to stop. If it raises
            Cancelled, the path so far is returned; before there is one, Cancelled is passed on.

    Raises:
        InputError: If an argument is unusable, the ends do not belong together or are not relaxed.
        CalculationError: If an end could not be relaxed, both ends are one structure, or numbers are not finite.
    """
    movable_coordinates(attached(atoms, calculator))
    run = _Run(calculator, steps, executor, progress)
    if start is None:
        run.stretch(atoms, product, images, end_force, relax_ends)
    else:
        _check_start(start, atoms, steps)
        run.path = replace(start, stopped=False, doubts=())
    try:
        run.relax(force, climb)
        if saddle:
            run.find_saddle(end_force, displacement)
        if rates:
            run.end_modes(displacement)
    except Cancelled:
        return replace(run.path, stopped=True)
    return run.path


class _Run:
    """A path while it grows."""

    path: ReactionPath

    def __init__(self, calculator: Any, steps: int, executor: Executor | None, progress: Progress) -> None:
        self.calculator, self.steps, self.executor, self.progress = calculator, steps, executor, progress
        self.done = 0

    def ask(self, *_: Any, **__: Any) -> None:
        """Ask whether to stop; called as a progress it passes nothing on."""
        self.progress(self.done, self.steps)

    def begin(self, stage: str) -> None:
        """Say what is being done."""
        self.progress(self.done, self.steps, stage=stage)

    def stretch(self, atoms: Atoms, product: Atoms, images: int, force: float, relax_ends: bool) -> None:
        """The band before its first step."""
        self.begin("Relaxing both ends")
        mapped = map_product(atoms, product)
        first = self._end(atoms, "atoms", force, relax_ends)
        last = self._end(mapped.atoms, "product", force, relax_ends)
        # relaxing has turned a free molecule a little
        again = map_product(first, last) if not atoms.constraints and not atoms.pbc.any() else None
        places, order = (last.positions, mapped.order) if again is None else (again.atoms.positions, again.order)
        if np.linalg.norm(places - first.positions, axis=1).max() < APART:
            raise CalculationError(
                "Reactant and product are one structure, or relax to one: there is no path between them. Give two "
                "different minima."
            )
        self.begin("Relaxing the path")
        band = straight(first, places, images)
        spread(band, self.ask)
        positions = np.array([image.positions for image in band])
        energies, forces = Together(first, self.calculator, executor=self.executor)(positions, self.ask)
        order = order if again is None else mapped.order[order]
        self.path = ReactionPath(first, positions, energies, forces, order, 0, np.inf, False, False)

    def _end(self, atoms: Atoms, name: str, force: float, relax_now: bool) -> Atoms:
        """One end in its minimum, without a calculator."""
        bare: Atoms = atoms.copy()
        if relax_now:
            bare = relax(atoms, self.calculator, force=force, cell=False, progress=self.ask).atoms.copy()
        elif (left := largest_force(attached(atoms, self.calculator))) > LARGEST_FORCE:
            raise InputError(
                f"{name}: expected a relaxed structure, got a force of {left:.3g} eV/Å (at most {LARGEST_FORCE}). Use "
                "relax_ends=True."
            )
        return bare

    def relax(self, force: float, climb: bool) -> None:
        """Pull the band onto the path."""
        before = self.done = self.path.steps
        if self.path.converged:
            return
        states = relaxed(
            self.path.images,
            Together(self.path.atoms, self.calculator, executor=self.executor),
            force=force,
            climb=climb,
            climbing=self.path.climbing,
            steps=self.steps - before,
            ask=self.ask,
        )
        for state in states:
            self.done = before + state.steps
            self.path = replace(self.path, **{**vars(state), "steps": self.done})
            so_far = partial(replace, self.path)
            live = {"max_force": state.max_force, "barrier": self.path.barrier, "so_far": so_far}
            self.progress(self.done, self.steps, **live)
        if not self.path.converged:
            words = (
                f"The band is not relaxed after {self.done} steps: a force of {self.path.max_force:.2g} eV/Å is "
                f"left, {force:g} was asked for. Raise steps and go on, or loosen force."
            )
            self.path = replace(self.path, doubts=(words,))

    def find_saddle(self, force: float, displacement: float) -> None:
        """Go from the highest image to the saddle."""
        path = self.path
        if path.saddle is not None or not path.converged:
            return
        highest = int(np.argmax(path.energies))
        if highest in (0, len(path.energies) - 1):
            words = "The energy has no top between the ends: there is no barrier, or more images are needed to see it."
            self.path = replace(path, doubts=(words,))
            return
        self.begin("Finding the saddle point")
        try:
            found = find_saddle(
                path.images[highest],
                self.calculator,
                along=path.positions[highest + 1] - path.positions[highest - 1],
                force=force,
                displacement=displacement,
                executor=self.executor,
                progress=self.ask,
            )
        except CalculationError as error:
            self.path = replace(path, doubts=(str(error),))
            return
        self.path = replace(path, saddle=found)

    def end_modes(self, displacement: float) -> None:
        """Normal modes of reactant and product."""
        path = self.path
        if path.saddle is None or path.ends is not None:
            return
        self.begin("Normal modes of both ends")
        more: dict[str, Any] = {"displacement": displacement, "executor": self.executor, "progress": self.ask}
        first, last = (normal_modes(path.images[k], self.calculator, **more) for k in (0, -1))
        self.path = replace(path, ends=(first, last))


def _check_start(start: ReactionPath, atoms: Atoms, steps: int) -> None:
    if not isinstance(start, ReactionPath):
        raise InputError(f"start: expected a path that reaction_path gave, got {type(start).__name__}.")
    if not np.array_equal(start.atoms.numbers, atoms.numbers):
        raise InputError("start: expected a path of these atoms, got one of others.")
    if not start.converged and start.steps >= steps:
        raise InputError(f"steps: expected more than the {start.steps} that this path has taken, got {steps}.")
