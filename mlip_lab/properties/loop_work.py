"""Work of the forces when one atom is carried round a closed loop: zero if they are the gradient of an energy.

W = ∮ F·dr by the trapezoidal rule on the edges of a square. Corners make its error fall with the square of the
number of steps (Euler–Maclaurin), where a smooth loop would hide the order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.core.checks import as_integer
from mlip_lab.core.errors import CalculationError
from mlip_lab.core.late import plotted
from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.quantities import Quantity, validated
from mlip_lab.properties.attach import attached, energy_of

Floats = NDArray[np.float64]
AtomIndex = Annotated[int, Quantity("", low=0)]
Edge = Annotated[float, Quantity("Å", low=0.0, high=2.0, open_low=True)]
Steps = Annotated[int, Quantity("", low=2, high=1024)]
Swirl = Annotated[float, Quantity("eV/Å²", low=-10.0, high=10.0)]
CORNERS = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class LoopWork:
    """Forces on an atom along a closed square path.

    Attributes:
        path: Where the atom is, relative to its start, in Å, (4 steps + 1, 3); the last point is the first.
        energies: Energy of the structure relative to the start in eV, (4 steps + 1,).
        forces: Force of the calculator on the atom in eV/Å, (4 steps + 1, 3).
        swirl: Strength s in eV/Å² of the made-up force s·(−y, x, 0), which has no energy.
    """

    path: Floats
    energies: Floats
    forces: Floats
    swirl: float

    @property
    def swirl_forces(self) -> Floats:
        """The made-up force along the path in eV/Å."""
        x, y, _ = self.path.T
        return self.swirl * np.stack([-y, x, np.zeros_like(x)], axis=1)

    @property
    def work(self) -> float:
        """Work of the calculator's forces round the loop in eV."""
        return float(work_along(self.path, self.forces)[-1])

    @property
    def swirl_work(self) -> float:
        """Work of the made-up force round the loop in eV; by Stokes 2 s times the area."""
        return float(work_along(self.path, self.swirl_forces)[-1])

    def convergence(self) -> tuple[NDArray[np.int64], Floats]:
        """Steps on an edge, and the work in eV that so many steps give: every point, every second one, and so on."""
        steps = (len(self.path) - 1) // 4
        strides = [2**k for k in range(20) if steps % 2**k == 0]
        work = [work_along(self.path[::stride], self.forces[::stride])[-1] for stride in strides]
        return np.array([steps // stride for stride in strides]), np.array(work)

    def plot(self) -> Any:
        """Path, work and convergence as a matplotlib Figure."""
        return plotted("loop_work", "loop_work", self)


def work_along(path: Floats, forces: Floats) -> Floats:
    """∫ F·dr from the start to each point by the trapezoidal rule, (n,), for paths and forces (n, 3)."""
    steps = np.einsum("ka,ka->k", 0.5 * (forces[1:] + forces[:-1]), np.diff(path, axis=0))
    return np.concatenate([[0.0], np.cumsum(steps)])


@validated
def loop_work(
    atoms: Atoms,
    calculator: Any,
    *,
    atom: AtomIndex = 0,
    edge: Edge = 0.4,
    steps: Steps = 32,
    swirl: Swirl = 0.0,
    progress: Progress = silent,
) -> LoopWork:
    """Carry one atom round a square in the xy plane and back to where it was.

    Args:
        atoms: Any structure; it is not changed.
        calculator: Any ASE calculator.
        atom: Which atom.
        edge: Edge of the square.
        steps: Steps on each edge.
        swirl: Strength of a made-up force s·(−y, x, 0) to compare with.
        progress: Called after every force call.

    Raises:
        InputError: If an argument is not usable.
        CalculationError: If the calculator gives a force that is not finite.
    """
    carried = attached(atoms, calculator)
    atom, steps = as_integer("atom", atom, low=0, high=len(atoms) - 1), as_integer("steps", steps)
    fractions = np.arange(4 * steps + 1) / steps
    path = edge * np.stack([np.interp(fractions, np.arange(5), axis) for axis in CORNERS.T], axis=1)
    energies, forces = np.empty(len(path)), np.empty((len(path), 3))
    for k, place in enumerate(path[:-1]):
        carried.positions[atom] = atoms.positions[atom] + place
        energies[k], forces[k] = energy_of(carried), carried.get_forces()[atom]
        progress(k + 1, len(path) - 1)
    energies[-1], forces[-1] = energies[0], forces[0]
    if not np.isfinite(forces).all():
        raise CalculationError("The calculator gave forces that are not finite on this path. Take a smaller edge.")
    return LoopWork(path, energies - energies[0], forces, float(swirl))
