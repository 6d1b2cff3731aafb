"""What data near a saddle point are worth: one potential trained with them and one without, both asked for the barrier.

The reaction is malonaldehyde's proton transfer, for which labels, minimum and saddle point by density-functional theory
ship with the package. Run as `python -m mlip_lab.workflows.saddle_data --out folder` to train the packaged potential.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from ase import Atoms
from ase.io import read
from numpy.typing import NDArray

from mlip_lab.core.errors import CalculationError
from mlip_lab.core.late import plotted
from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.quantities import Quantity, Seed, validated
from mlip_lab.data.malonaldehyde_reference import PROTON, mirrored
from mlip_lab.data.packaged import reference
from mlip_lab.model.potential import Potential
from mlip_lab.properties.reaction_path import ReactionPath, reaction_path
from mlip_lab.workflows.train import Preset, Readout, train

Floats = NDArray[np.float64]
Most = Annotated[int, Quantity("", low=20, high=100_000, whole=True)]
PACKAGED = "large", "linear"  # the least force error on a held-out fifth of the training frames
WITH, WITHOUT = "with frames near the saddle", "without them"


@dataclass(frozen=True, eq=False)
class Student:
    """A trained potential and what it says of the reaction.

    Attributes:
        frames: How many it learned from.
        coordinates: Proton coordinates of these in Å, (frames,).
        potential: The potential.
        path: From one minimum to the other.
        near: Root mean square error of force components on test frames near the saddle in eV/Å.
        far: The same on the other test frames.
    """

    frames: int
    coordinates: Floats
    potential: Potential
    path: ReactionPath
    near: float
    far: float

    @property
    def barrier(self) -> float:
        """In meV."""
        return 1000 * self.path.barrier

    @property
    def imaginary(self) -> float:
        """The imaginary wavenumber of the saddle point in 1/cm.

        Raises:
            CalculationError: If no saddle point was found.
        """
        if self.path.saddle is None or not self.path.saddle.certified:
            raise CalculationError("This potential has no saddle point with one imaginary mode.")
        return -float(self.path.saddle.modes.wavenumbers[0])


@dataclass(frozen=True, eq=False)
class SaddleData:
    """Two potentials that differ by what they were trained on.

    Attributes:
        students: By name: with frames near the saddle, and without them.
        barrier: Of density-functional theory in meV.
        imaginary: Of density-functional theory in 1/cm.
        minimum: Proton coordinate of the minimum by density-functional theory, a negative number in Å.
    """

    students: dict[str, Student]
    barrier: float
    imaginary: float
    minimum: float

    def plot(self) -> Any:
        """Both paths beside density-functional theory, and the errors of forces, as a matplotlib Figure."""
        return plotted("saddle_data", "saddle_data", self)


@validated
def saddle_data(
    *,
    preset: Preset = "default",
    readout: Readout = "linear",
    frames: Most | None = None,
    seed: Seed = 0,
    progress: Progress = silent,
) -> SaddleData:
    """Train a potential of malonaldehyde with and without frames near the saddle point, and find its barrier.

    A frame is near the saddle if the proton's distances from the two oxygens differ by less than 0.4 Å; at the minimum
    they differ by 0.6 Å. The potential without such frames has seen both valleys and everything around them.

    Args:
        preset: Size of the potential: "small", "default" or "large".
        readout: "linear", "kernel" or "neural"; the first takes seconds, the last many minutes.
        frames: Frames to draw from the training set, so that a trial is quick; None takes all.
        seed: Of the draw and of the potentials.
        progress: Called after each part: two trainings and two paths.

    Raises:
        InputError: If an argument is unusable.
    """
    known = reference("malonaldehyde")
    lessons, tests = packaged_frames("train"), packaged_frames("test")
    if frames is not None:
        chosen = np.random.default_rng(seed).permutation(len(lessons))[:frames]
        lessons = [lessons[k] for k in sorted(chosen)]
    groups = {WITH: lessons, WITHOUT: [atoms for atoms in lessons if not atoms.info["near_saddle"]]}
    students = {}
    for number, (name, own) in enumerate(groups.items()):
        done = 2 * number

        def ask(_: int, __: int, /, *, done: int = done, **live: Any) -> None:
            progress(done, 4)

        progress(done, 4, stage=f"Training {name}")
        potential = train(own, preset=preset, readout=readout, seed=seed, progress=ask).potential
        progress(done + 1, 4, stage=f"Path {name}")
        path = transfer(potential.calculator(), progress=ask)
        errors = {near: _force_error(potential, tests, near) for near in (True, False)}
        places = np.array([atoms.info["proton_coordinate"] for atoms in own])
        students[name] = Student(len(own), places, potential, path, errors[True], errors[False])
    progress(4, 4)
    values = known["values"]
    lowest = Atoms(known["symbols"], known["structures"]["minimum"]["positions"])
    return SaddleData(
        students,
        float(values["barrier"]["value"]),
        float(values["imaginary_wavenumber"]["value"]),
        float(proton_coordinates(lowest.positions)),
    )


def transfer(calculator: Any, *, progress: Progress = silent) -> ReactionPath:
    """The proton's path from one oxygen to the other, begun at the minima of density-functional theory.

    Args:
        calculator: Any ASE calculator.
        progress: Called after each step.
    """
    known = reference("malonaldehyde")
    left = Atoms(known["symbols"], known["structures"]["minimum"]["positions"])
    return reaction_path(left, mirrored(left), calculator, progress=progress)


def proton_coordinates(positions: Floats) -> Any:
    """d(O–H) − d(O'–H) in Å of structures (..., n, 3): zero at the saddle, near ±0.6 at the minima."""
    bonds = [np.linalg.norm(positions[..., k, :] - positions[..., PROTON, :], axis=-1) for k in (0, 1)]
    return bonds[0] - bonds[1]


def packaged_frames(part: str) -> list[Atoms]:
    """Frames of the packaged set, "train" or "test", with their labels and what their info says of them."""
    with as_file(files("mlip_lab.data") / "sets" / "malonaldehyde" / f"{part}.xyz.gz") as path:
        return list(read(path, ":"))


def _force_error(potential: Potential, frames: Sequence[Atoms], near: bool) -> float:
    """Root mean square error of force components on test frames near the saddle, or on the others, in eV/Å."""
    off = []
    for atoms in frames:
        if bool(atoms.info["near_saddle"]) == near:
            found = potential.evaluate(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)
            off.append(found.forces - atoms.get_forces())
    return float(np.sqrt(np.mean(np.square(off))))


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the packaged potential and write it to a folder, without its posterior: that alone has 35 MB."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True, type=Path, help="folder to write the potential to")
    chosen = parser.parse_args(arguments)
    preset, readout = PACKAGED
    lessons, tests = (packaged_frames(part) for part in ("train", "test"))
    made = train(lessons, test=tests, preset=preset, readout=readout, seed=0).potential  # type: ignore[arg-type]
    Potential(made.config, made.members, made.report).save(chosen.out)


if __name__ == "__main__":
    main()
