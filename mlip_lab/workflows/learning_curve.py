"""Learning curve: the error on test frames against the number of frames learned from, for the linear readout.

Its weights solve linear equations, so for each draw of the random radial functions every frame is turned into
equations once, and each point of the curve is a sum of some of them, solved anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from mlip_lab.core.checks import as_integer
from mlip_lab.core.errors import DataError, InputError
from mlip_lab.core.frame import Frame
from mlip_lab.core.late import plotted
from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.quantities import Quantity, Seed, validated
from mlip_lab.data.reader import Dataset
from mlip_lab.model.config import PotentialConfig
from mlip_lab.model.config import preset as preset_config
from mlip_lab.model.features import equations, smooth_mixing
from mlip_lab.model.linear import ENERGY, FORCE, Normal, Rows, frame_weights, reference_energies
from mlip_lab.model.structures import complete, prepare
from mlip_lab.workflows.train import Preset

Floats = NDArray[np.float64]
FEWEST = 5  # frames
Repeats = Annotated[int, Quantity("", low=1, high=100)]


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """Errors on test frames for growing training sets, each with its own random choice of frames and radial functions.

    Attributes:
        frames: Number of frames learned from, ascending, (n_sizes,).
        energy: RMSE of the test energies in meV/atom, (n_sizes, repeats).
        forces: RMSE of the test force components in eV/Å, (n_sizes, repeats).
    """

    frames: NDArray[np.int64]
    energy: Floats
    forces: Floats

    def plot(self) -> Any:
        """Both errors on logarithmic axes, as a matplotlib Figure."""
        return plotted("learning_curve", "learning_curve", self)

    def exponent(self) -> float:
        """Slope α of the mean force error ∝ frames^α by least squares on logarithms."""
        slope, _ = np.polyfit(np.log(self.frames), np.log(self.forces.mean(axis=1)), 1)
        return float(slope)


@validated
def learning_curve(
    data: Dataset,
    test: Dataset,
    *,
    preset: Preset = "small",
    repeats: Repeats = 4,
    seed: Seed = 0,
    progress: Progress = silent,
) -> LearningCurve:
    """Train on ever larger parts of the data: all of it, half, a quarter, down to five frames.

    Species and typical distances are taken from all frames; no label of a frame left out is used.

    Args:
        data: Labelled frames, from `read_frames` or `packaged_set`.
        test: Labelled frames that are never learned from.
        preset: "small", "default" or "large".
        repeats: Each draws its own radial functions and order of the frames, so that the last point, from all frames,
            has a scatter too. A small set is the beginning of a larger one.
        seed: Of the first repeat; the next one has the next seed. Its radial functions are those of `train`.
        progress: Called after each frame of each repeat.

    Raises:
        InputError: If data or test are not data sets, or an argument is out of range.
        DataError: If there are fewer than ten frames, or test frames without energies or forces.
    """
    for name, frames in (("data", data), ("test", test)):
        if not isinstance(frames, Dataset):
            raise InputError(f"{name}: expected what read_frames or packaged_set gives, got {type(frames).__name__}.")
    if len(data) < 2 * FEWEST:
        raise DataError(f"data: expected at least {2 * FEWEST} frames for a curve, got {len(data)}.")
    config = complete(preset_config(preset, "linear"), data.frames)
    sizes = sorted(len(data) // 2**k for k in range(30) if len(data) // 2**k >= FEWEST)
    errors = np.empty((len(sizes), as_integer("repeats", repeats), 2))
    each = len(data) + len(test)
    for repeat in range(repeats):
        mixing = smooth_mixing(config, np.random.default_rng(seed + repeat))
        learned = _rows(config, mixing, data, repeat * each, repeats * each, progress)
        tested = _rows(config, mixing, test, repeat * each + len(data), repeats * each, progress)
        order = np.random.default_rng([seed + repeat, 1]).permutation(len(data))
        for k, size in enumerate(sizes):
            errors[k, repeat] = _errors(config, data.frames, learned, order[:size], test.frames, tested)
    if not np.isfinite(errors).all():
        raise DataError("test: expected frames with energies and forces to measure errors on; some kind is missing.")
    return LearningCurve(np.array(sizes), 1000 * errors[..., 0], errors[..., 1])


def _rows(
    config: PotentialConfig, mixing: Floats, data: Dataset, done: int, work: int, progress: Progress
) -> list[Rows]:
    """The equations of every frame, without stresses that the data are not trusted with."""
    trusted, shear = data.report.hydrostatic_stress_trusted, data.report.shear_stress_trusted
    found = []
    weights = frame_weights(data.frames)
    for index, frame in enumerate(data.frames):
        labelled = replace(frame, stress=None) if shear is False else frame
        found.append(equations(prepare(labelled, config), config, mixing, trusted is not False, weights[index]))
        progress(done + index + 1, work)
    return found


def _errors(
    config: PotentialConfig,
    frames: Sequence[Frame],
    learned: Sequence[Rows],
    chosen: NDArray[np.int64],
    test_frames: Sequence[Frame],
    tested: Sequence[Rows],
) -> tuple[float, float]:
    """RMSE of test energies (eV/atom) and forces (eV/Å) after learning from the chosen frames; NaN without labels."""
    offsets = reference_energies([frames[i] for i in chosen], config.numbers)
    above = [_above(offsets, config, frames[i], learned[i]) for i in chosen]
    normal = Normal(learned[0].x.shape[1])
    normal.add(
        Rows(*(np.concatenate([getattr(rows, part) for rows in above]) for part in ("x", "y", "weight", "kind")))
    )
    weights = normal.solve().weights
    above = [_above(offsets, config, frame, rows) for frame, rows in zip(test_frames, tested, strict=True)]
    residual = np.concatenate([rows.x @ weights - rows.y for rows in above])
    kinds = np.concatenate([rows.kind for rows in above])
    energy, forces = (residual[kinds == kind] for kind in (ENERGY, FORCE))
    return _rms(energy), _rms(forces)


def _above(offsets: Floats, config: PotentialConfig, frame: Frame, rows: Rows) -> Rows:
    """Equations for the energy above that of the elements, so that the ridge does not shrink the latter."""
    y = rows.y.copy()
    if frame.energy is not None:
        y[0] -= offsets[config.species_of(frame.numbers)].mean()
    return Rows(rows.x, y, rows.weight, rows.kind)


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.size else float("nan")
