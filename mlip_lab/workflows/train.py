"""Train a potential: data in, potential with its errors out."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab import __version__
from mlip_lab.core.errors import DataError, InputError
from mlip_lab.core.frame import Frame
from mlip_lab.core.late import plotted
from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.quantities import Labelled, Quantity, Seed, validated
from mlip_lab.data.packaged import packaged_names, packaged_set
from mlip_lab.data.reader import Dataset, read_frames
from mlip_lab.model.config import PotentialConfig
from mlip_lab.model.config import preset as preset_config
from mlip_lab.model.potential import Potential, ensemble
from mlip_lab.model.threads import one_thread
from mlip_lab.workflows.errors import errors_by_kind

Data = Annotated[str | Path | Atoms | Sequence[str | Path | Atoms] | Dataset, Labelled()]
Preset = Literal["small", "default", "large"]
Members = Annotated[int, Quantity("", low=1, high=50, whole=True)]
Readout = Literal["linear", "kernel", "neural"]
BodyOrder = Annotated[int, Quantity("", low=2, high=5, whole=True)]


@dataclass(frozen=True, eq=False)
class Prediction:
    """A labelled frame and what the potential says of it.

    Attributes:
        frame: With its labels.
        energy: Total energy in eV.
        forces: In eV/Å (n, 3).
        stress: In eV/Å³ (3, 3), tension positive; None unless the frame is periodic in three directions.
    """

    frame: Frame
    energy: float
    forces: NDArray[np.float64]
    stress: NDArray[np.float64] | None


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """A trained potential and how well it does.

    Attributes:
        potential: The potential.
        report: Errors on training and test frames, time, number of weights, hash of the data.
        history: Errors after each epoch, by name; empty for readouts that are solved exactly.
        predictions: Of the test frames; of the training frames if there are none.
        train_predictions: Of the training frames.
    """

    potential: Potential
    report: dict[str, Any]
    history: dict[str, list[float]]
    predictions: tuple[Prediction, ...]
    train_predictions: tuple[Prediction, ...]

    def plot(self) -> Any:
        """Predictions against labels, and the learning curve, as a matplotlib Figure."""
        return plotted("training", "overview", self.predictions, history=self.history)


@validated
def train(
    data: Data,
    *,
    test: Data | None = None,
    preset: Preset = "default",
    readout: Readout | None = None,
    body_order: BodyOrder | None = None,
    members: Members = 1,
    seed: Seed = 0,
    streamed: bool = False,
    device: str = "cpu",
    out: str | Path | None = None,
    progress: Progress = silent,
) -> TrainingResult:
    """Train a potential on labelled structures.

    Args:
        data: The name of a packaged set such as "si" (a folder of that name is "./si"), or what `read_frames` takes, or
            what it gave.
        test: The same, for measuring errors only. With a packaged set, None takes its test frames.
        preset: "small", "default" or "large".
        readout: "linear", "kernel" or "neural"; None takes the preset's.
        body_order: Most atoms, 2 to 5, that one invariant of the surroundings joins; None takes the preset's. Order 5
            costs half as much again in a force call or more, and pays where order decides, as in alloys.
        members: Potentials to train with different seeds; more than one make an ensemble. Networks share the radial
            channels that the first has learned, so that their descriptors are computed once.
        seed: Same seed, same machine: same weights.
        streamed: Whether densities are computed anew in every epoch instead of being kept, for sets that do not fit in
            memory: a neural fit keeps about 3 MB for every 1000 atoms of silicon, more with more elements. The weights
            are the same. The other readouts keep no densities.
        device: Where torch trains a neural readout: "cpu", "cuda". The exact readouts are solved on the processor.
        out: Folder to save the potential to. Training that was interrupted there goes on where it was.
        progress: Called with the work done so far and the latest errors; may raise Cancelled.

    Returns:
        The potential, its errors and predictions.

    Raises:
        InputError: If an argument is not usable.
        DataError: If the data cannot be trained on, or test frames hold elements that the training frames lack.
        Cancelled: From `progress`; the checkpoint in `out` is kept.
    """
    started = time.perf_counter()
    config = preset_config(preset, readout)
    if body_order is not None:
        config = replace(config, body_order=body_order)
    folder = None if out is None else _writable(out)
    frames, held_out = _datasets(data, test)
    if held_out is not None and not set(held_out.elements) <= set(frames.elements):
        raise DataError(f"test: its elements {held_out.elements} are not all among those trained, {frames.elements}.")
    fitted, histories = [], []
    channels: NDArray[np.float64] | None = None
    for member in range(members):
        place = member, members
        one, history = _fit(config, frames, seed + member, channels, streamed, device, folder, place, progress)
        weights = one.members[0]
        if channels is None and "w2" in weights and weights["w2"].any():
            channels = weights["mixing"]
        fitted.append(one)
        histories.append(history)
    potential = fitted[0] if members == 1 else ensemble(fitted)
    seconds = time.perf_counter() - started
    trained = predict(potential, frames.frames)
    tested = () if held_out is None else predict(potential, held_out.frames)
    report = {
        "version": __version__,
        "preset": preset,
        "readout": config.readout,
        "seed": seed,
        "members": members,
        "elements": list(frames.elements),
        "data_sha256": frames.hash,
        "frames": len(frames),
        "train": rms_errors(trained),
        "test": rms_errors(tested) if tested else None,
        "train_seconds": seconds,
        "n_parameters": potential.n_parameters,
    }
    potential = Potential(potential.config, potential.members, report, potential.posterior)
    if folder is not None:
        potential.save(folder)
        _clear_checkpoints(folder)
    return TrainingResult(potential, report, histories[0], tested or trained, trained)


def _datasets(data: Data, test: Data | None) -> tuple[Dataset, Dataset | None]:
    if isinstance(data, str) and data in packaged_names():
        frames, held_out = packaged_set(data)
        if test is None:
            return frames, held_out
    else:
        frames = data if isinstance(data, Dataset) else read_frames(data)
    return frames, None if test is None else test if isinstance(test, Dataset) else read_frames(test)


def predict(potential: Potential, frames: Sequence[Frame]) -> tuple[Prediction, ...]:
    """What the potential says of frames; the mean of an ensemble."""
    predictions = []
    for frame in frames:
        found = [
            potential.evaluate(frame.numbers, frame.positions, frame.cell, frame.pbc, member=m)
            for m in range(len(potential.members))
        ]
        virial = np.mean([one.virial for one in found], axis=0)
        predictions.append(
            Prediction(
                frame,
                float(np.mean([one.energy for one in found])),
                np.mean([one.forces for one in found], axis=0),
                0.5 * (virial + virial.T) / frame.volume if frame.volume > 0.0 else None,
            )
        )
    return tuple(predictions)


def rms_errors(predictions: Sequence[Prediction]) -> dict[str, float | None]:
    """RMSE of energy (meV/atom), force components (eV/Å) and stress components (GPa); None without labels."""
    total = errors_by_kind(predictions)[-1]
    return {
        "energy_rmse_mev_per_atom": total.energy,
        "forces_rmse_ev_per_ang": total.forces,
        "stress_rmse_gpa": total.stress,
    }


def _fit(
    config: PotentialConfig,
    data: Dataset,
    seed: int,
    channels: NDArray[np.float64] | None,
    streamed: bool,
    device: str,
    folder: Path | None,
    place: tuple[int, int],
    progress: Progress,
) -> tuple[Potential, dict[str, list[float]]]:
    member, members = place
    trusted = data.report.hydrostatic_stress_trusted is not False
    labelled = data.frames
    if data.report.shear_stress_trusted is False:
        labelled = tuple(replace(frame, stress=None) for frame in labelled)

    def report(done: int, total: int, /, **live: Any) -> None:
        progress(member * total + done, members * total, **live)

    if config.readout != "neural":
        from mlip_lab.model.exact import fit_exact

        with one_thread():
            return fit_exact(config, labelled, seed=seed, trusted=trusted, progress=report), {}
    from mlip_lab.model.training import fit_neural

    if folder is not None and members > 1:
        folder = folder / f"member-{member}"
    kept = None if channels is None else hashlib.sha256(channels.tobytes()).hexdigest()
    identity = hashlib.sha256(json.dumps([config.to_json(), data.hash, seed, kept]).encode()).hexdigest()
    with one_thread():
        potential, history = fit_neural(
            config,
            labelled,
            seed=seed,
            channels=channels,
            trusted=trusted,
            streamed=streamed,
            device=device,
            folder=folder,
            identity=identity,
            progress=report,
        )
    return potential, {
        "epoch": [float(epoch) for epoch in range(1, len(history.train_energy) + 1)],
        "train_energy_rmse_mev_per_atom": history.train_energy,
        "validation_energy_rmse_mev_per_atom": history.validation_energy,
        "train_forces_rmse_ev_per_ang": history.train_forces,
        "validation_forces_rmse_ev_per_ang": history.validation_forces,
    }


def _clear_checkpoints(folder: Path) -> None:
    """Remove what only an interrupted training needs, also what a kill in the middle of writing has left."""
    places = [*folder.glob("member-*"), folder]
    for place in places:
        for checkpoint in (*place.glob("checkpoint*.safetensors"), *place.glob(".checkpoint*.safetensors")):
            checkpoint.unlink()
    for place in places[:-1]:
        if not any(place.iterdir()):
            place.rmdir()


def _writable(out: str | Path) -> Path:
    """The folder, made and proved writable before anything is computed."""
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"out: cannot write to {folder}: {error.strerror or error}. Choose another folder.") from error
    return folder
