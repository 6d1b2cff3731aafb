"""Training the neural readout: by gradient, against an exact linear solution.

Adam with decoupled weight decay (Loshchilov & Hutter, arXiv:1711.05101) on a one-cycle learning rate (Smith & Topin,
arXiv:1708.07120) trains the radial mixing, whose coefficients move less the higher their radial order, and the network.
Weights are averaged along the way, and the average that is best on a validation split is kept. The exact linear
solution on random channels competes on the same split: where the energy is all but linear in the invariants, as for a
simple metal, nothing trained by gradient comes near its precision, and it is what is returned.

An interrupted training goes on from its last checkpoint and ends in the same weights: everything that changes is in the
checkpoint, and the order of frames in an epoch depends on seed and epoch alone.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as parse_tensors
from safetensors.numpy import save as pack_tensors

from mlip_lab.core.errors import FileFormatError, InputError
from mlip_lab.core.files import write_bytes
from mlip_lab.core.frame import Frame
from mlip_lab.core.progress import Progress, silent
from mlip_lab.model.config import PotentialConfig
from mlip_lab.model.exact import solve_linear
from mlip_lab.model.features import smooth_mixing
from mlip_lab.model.linear import reference_energies
from mlip_lab.model.network import Network, Sample, sample
from mlip_lab.model.potential import Potential
from mlip_lab.model.structures import Structure, complete, prepare

Floats = NDArray[np.float64]

BATCH = 4  # frames
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 1.0
LINEAR_SHARE = 0.3  # of the learning rate, for the linear terms
ENERGY_WEIGHT = 3.0  # Å, of the error per atom against that of a force component
STRESS_WEIGHT = 1.0  # of the virial error per atom in eV
AVERAGING = 0.999
VALIDATION = 0.05  # share of the frames
ATOM_EPOCHS = 3.0e6  # atoms seen in all, which sets the number of epochs
EPOCHS = (30, 300)  # at least, at most
CHECKPOINT = "checkpoint.safetensors"
CHECKPOINT_SECONDS = 5.0


@dataclass
class History:
    """RMSE of energy (meV/atom) and forces (eV/Å) in each epoch, while training and on the validation split."""

    train_energy: list[float] = field(default_factory=list)
    train_forces: list[float] = field(default_factory=list)
    validation_energy: list[float] = field(default_factory=list)
    validation_forces: list[float] = field(default_factory=list)


@dataclass
class Progressed:
    """Everything that changes during training, apart from the network and the optimiser.

    Attributes:
        epoch: Epochs done.
        average: Averaged parameters.
        best: The best average so far, by the validation loss.
        best_loss: Its loss.
        history: Errors so far.
    """

    epoch: int
    average: dict[str, torch.Tensor]
    best: dict[str, torch.Tensor]
    best_loss: float
    history: History


def fit_neural(
    config: PotentialConfig,
    frames: Sequence[Frame],
    *,
    seed: int,
    trusted: bool = True,
    folder: Path | None = None,
    identity: str = "",
    progress: Progress = silent,
) -> tuple[Potential, History]:
    """Fit a neural readout.

    Args:
        config: With readout "neural".
        frames: Labelled frames; energies, forces and stress are each optional.
        seed: Of everything random.
        trusted: Whether the trace of the stress may be used.
        folder: Where checkpoints are kept; None keeps none.
        identity: What must be the same for a checkpoint to be gone on from.
        progress: Called after each epoch with the latest errors.

    Returns:
        The potential and the errors along the way.

    Raises:
        FileFormatError: If the folder holds a damaged checkpoint.
        InputError: If it holds the checkpoint of another training.
    """
    config = complete(config, frames)
    split = np.random.default_rng([seed, 1]).permutation(len(frames))
    n_validation = max(1, round(VALIDATION * len(frames))) if len(frames) > 4 else 0
    structures = [prepare(frame, config) for frame in frames]
    samples = [sample(structure, config) for structure in structures]
    validation = [samples[i] for i in split[:n_validation]]
    training = [samples[i] for i in split[n_validation:]]
    mixing = smooth_mixing(config, np.random.default_rng([seed, 0]))
    network = Network(config, mixing, np.random.default_rng([seed, 2]))
    epochs = int(np.clip(ATOM_EPOCHS / sum(len(frame.numbers) for frame in frames), *EPOCHS))
    trainer = _Trainer(network, training, epochs, seed, trusted)
    state = _restore(trainer, folder, identity)
    if state is None:
        _start(network, training)
        state = Progressed(0, trainer.parameters(), trainer.parameters(), math.inf, History())
    _run(trainer, state, validation, folder, identity, progress)
    trainer.assign(_linear(network, mixing, [one.structure for one in training], trusted))
    if not validation or trainer.errors(validation)[2] > state.best_loss:
        trainer.assign(state.best)
    else:
        trainer.assign(_linear(network, mixing, structures, trusted))
    return Potential(config, (exported(network),)), state.history


def _run(
    trainer: _Trainer,
    state: Progressed,
    validation: Sequence[Sample],
    folder: Path | None,
    identity: str,
    progress: Progress,
) -> None:
    written = time.monotonic()
    h = state.history
    while state.epoch < trainer.epochs:
        energy, forces = trainer.epoch(state.epoch, state.average)
        h.train_energy.append(1000 * energy)
        h.train_forces.append(forces)
        current = trainer.parameters()
        trainer.assign(state.average)
        energy, forces, loss = trainer.errors(validation) if validation else (energy, forces, energy + forces)
        if loss <= state.best_loss:
            state.best_loss, state.best = loss, trainer.parameters()
        trainer.assign(current)
        h.validation_energy.append(1000 * energy)
        h.validation_forces.append(forces)
        state.epoch += 1
        if folder is not None and (time.monotonic() - written > CHECKPOINT_SECONDS or state.epoch == trainer.epochs):
            _save(trainer, state, folder, identity)
            written = time.monotonic()
        progress(
            state.epoch,
            trainer.epochs,
            train_energy=h.train_energy[-1],
            train_forces=h.train_forces[-1],
            validation_energy=h.validation_energy[-1],
            validation_forces=h.validation_forces[-1],
        )


class _Trainer:
    """One network, its data and its optimiser."""

    def __init__(self, network: Network, training: Sequence[Sample], epochs: int, seed: int, trusted: bool) -> None:
        self.network, self.training, self.epochs, self.seed, self.trusted = network, training, epochs, seed, trusted
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [network.radial, network.b1, network.b2], "weight_decay": 0.0, "share": 1.0},
                {"params": [network.w1, network.w2, network.w3], "weight_decay": WEIGHT_DECAY, "share": 1.0},
                {"params": [network.pair, network.linear], "weight_decay": WEIGHT_DECAY, "share": LINEAR_SHARE},
                {"params": [network.e0], "weight_decay": 0.0, "share": LINEAR_SHARE},
            ],
            lr=LEARNING_RATE,
            betas=(0.9, 0.99),
        )
        self.steps_per_epoch = -(-len(training) // BATCH)
        squares = [
            float(np.mean(s.structure.frame.forces**2)) for s in training if s.structure.frame.forces is not None
        ]
        self.force_scale = max(math.sqrt(float(np.mean(squares))) if squares else 1.0, 0.1)

    def parameters(self) -> dict[str, torch.Tensor]:
        """Copies of all parameters and constants of the network."""
        return {name: value.detach().clone() for name, value in self.network.state_dict().items()}

    def assign(self, values: dict[str, torch.Tensor]) -> None:
        """Put parameters into the network."""
        self.network.load_state_dict(values)

    def rate(self, step: int) -> float:
        """One-cycle learning rate: up over a tenth of the steps, then down to nothing, both as half a cosine."""
        total = self.epochs * self.steps_per_epoch
        rise = 0.1 * total
        if step < rise:
            return LEARNING_RATE * (0.04 + 0.96 * 0.5 * (1.0 - math.cos(math.pi * step / rise)))
        return LEARNING_RATE * 0.5 * (1.0 + math.cos(math.pi * (step - rise) / (total - rise)))

    def epoch(self, epoch: int, average: dict[str, torch.Tensor]) -> tuple[float, float]:
        """Train for one epoch and update the averaged parameters; return RMSE of energy per atom and forces."""
        order = np.random.default_rng([self.seed, 3, epoch]).permutation(len(self.training))
        totals = np.zeros(4)
        for number in range(self.steps_per_epoch):
            step = epoch * self.steps_per_epoch + number
            for group in self.optimizer.param_groups:
                group["lr"] = group["share"] * self.rate(step)
            batch = [self.training[i] for i in order[number * BATCH : (number + 1) * BATCH]]
            loss, sums = self._loss(batch)
            self.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 10.0 * self.force_scale)
            self.optimizer.step()
            totals += sums
            keep = min(AVERAGING, (1.0 + step) / (10.0 + step))
            for name, value in self.network.state_dict().items():
                average[name].mul_(keep).add_(value, alpha=1.0 - keep)
        return _rmse(totals)

    def errors(self, samples: Sequence[Sample]) -> tuple[float, float, float]:
        """RMSE of energy per atom (eV) and forces (eV/Å), and the loss, without learning."""
        totals, loss = np.zeros(4), 0.0
        for one in samples:
            value, sums = self._loss([one])
            totals += sums
            loss += float(value.detach())
        return (*_rmse(totals), loss / len(samples))

    def _loss(self, batch: Sequence[Sample]) -> tuple[torch.Tensor, Floats]:
        energies, forces, virials = self.network(batch)
        loss = torch.zeros((), dtype=torch.float64)
        sums = np.zeros(4)  # squares and counts of energies, then of forces
        begin = 0
        for k, one in enumerate(batch):
            s, frame, n = one.structure, one.structure.frame, one.structure.n_atoms
            end = begin + n
            if frame.energy is not None:
                error = (energies[k] - (frame.energy - s.energy)) / n
                loss = loss + _robust(ENERGY_WEIGHT * error, self.force_scale)
                sums[:2] += float(error.detach()) ** 2, 1.0
            if frame.forces is not None:
                errors = forces[begin:end] - torch.from_numpy(frame.forces - s.forces)
                loss = loss + _robust(errors, self.force_scale).mean()
                sums[2:] += float((errors.detach() ** 2).sum()), 3.0 * n
            if frame.stress is not None and frame.volume > 0.0:
                strain = (virials[k] - torch.from_numpy(frame.volume * frame.stress - s.virial)) / n
                if not self.trusted:
                    strain = strain - torch.eye(3, dtype=torch.float64) * torch.diagonal(strain).mean()
                loss = loss + _robust(STRESS_WEIGHT * strain, self.force_scale).mean()
            begin = end
        return loss / len(batch), sums


def _robust(error: torch.Tensor, scale: float) -> torch.Tensor:
    """The square of small errors, and 2·scale·|error| of large ones (pseudo-Huber)."""
    return 2.0 * scale**2 * (torch.sqrt(1.0 + (error / scale) ** 2) - 1.0)


def _rmse(totals: Floats) -> tuple[float, float]:
    return math.sqrt(totals[0] / max(totals[1], 1.0)), math.sqrt(totals[2] / max(totals[3], 1.0))


def _start(network: Network, samples: Sequence[Sample]) -> None:
    """Standardise the invariants, and start from the reference energies."""
    config = network.config
    frames = [one.structure.frame for one in samples]
    with torch.no_grad():
        network.e0.copy_(torch.from_numpy(reference_energies(frames, config.numbers)))
        for z in range(config.n_species):
            found = []
            for one in samples:
                index = torch.from_numpy(np.flatnonzero(one.structure.species == z))
                if index.numel():
                    found.append(network.invariants(one.a[:, index], z))
            b = torch.cat(found)
            network.mean[z] = b.mean(dim=0)
            network.scale[z] = b.std(dim=0, correction=0) + 1e-9


def _linear(
    network: Network, mixing: Floats, structures: Sequence[Structure], trusted: bool
) -> dict[str, torch.Tensor]:
    """Parameters of a network that is the exact linear solution on channels of the given mixing."""
    config = network.config
    e0, pair, linear = solve_linear(config, structures, mixing, trusted)
    state = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    state["scale"] += 1.0
    state["decay"] = network.decay.clone()
    state["radial"] = torch.from_numpy(mixing) / network.decay
    state["e0"], state["pair"] = torch.from_numpy(e0), torch.from_numpy(pair.copy())
    state["linear"] = torch.from_numpy(linear.copy())
    return state


def exported(network: Network) -> dict[str, Floats]:
    """Weights for the running path, with the standardisation folded in."""
    with torch.no_grad():
        w1 = network.w1 / network.scale[:, :, None]
        b1 = network.b1 - torch.einsum("zf,zfh->zh", network.mean, w1)
        tensors = {
            "e0": network.e0 - (network.linear * network.mean / network.scale).sum(dim=1),
            "pair": network.pair,
            "mixing": network.mixing(),
            "linear": network.linear / network.scale,
            "w1": w1,
            "b1": b1,
            "w2": network.w2,
            "b2": network.b2,
            "w3": network.w3,
        }
        return {name: np.ascontiguousarray(value.detach().numpy().copy()) for name, value in tensors.items()}


def _save(trainer: _Trainer, state: Progressed, folder: Path, identity: str) -> None:
    """One file with parameters, moments, averages and history; the old one stays whole until it is replaced."""
    arrays: dict[str, Floats] = {}
    groups = {"network": trainer.parameters(), "average": state.average, "best": state.best}
    for group, values in groups.items():
        arrays |= {f"{group}.{name}": value.numpy() for name, value in values.items()}
    for index, moments in trainer.optimizer.state_dict()["state"].items():
        arrays |= {f"optimizer.{index}.{name}": np.atleast_1d(value.numpy()) for name, value in moments.items()}
    about = {
        "sha256": _digest(arrays),
        "identity": identity,
        "epoch": state.epoch,
        "best_loss": state.best_loss,
        "history": vars(state.history),
    }
    packed = pack_tensors(
        {name: np.ascontiguousarray(array) for name, array in arrays.items()}, metadata={"state": json.dumps(about)}
    )
    write_bytes(folder / CHECKPOINT, packed)


def _digest(arrays: dict[str, Floats]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def _restore(trainer: _Trainer, folder: Path | None, identity: str) -> Progressed | None:
    if folder is None or not (folder / CHECKPOINT).exists():
        return None
    path = folder / CHECKPOINT
    try:
        data = path.read_bytes()
        arrays = {name: torch.from_numpy(array.copy()) for name, array in parse_tensors(data).items()}
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        about = json.loads(header["__metadata__"]["state"])
        history = History(**about["history"])
        known, epoch, best_loss = about["identity"], int(about["epoch"]), float(about["best_loss"])
        if _digest({name: array.numpy() for name, array in arrays.items()}) != about["sha256"]:
            raise ValueError("its numbers are not those that were written")
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise FileFormatError(f"{path} is damaged: {error}. Delete it to train from the start.") from error
    if known != identity:
        raise InputError(
            f"{path} belongs to another training (other data, preset or seed). Choose another folder, or delete it."
        )

    def part(group: str) -> dict[str, torch.Tensor]:
        return {name[len(group) + 1 :]: value for name, value in arrays.items() if name.startswith(group + ".")}

    try:
        trainer.assign(part("network"))
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in part("optimizer").items():
            index, _, key = name.partition(".")
            moments.setdefault(int(index), {})[key] = value.reshape(()) if key == "step" else value
        content = trainer.optimizer.state_dict()
        trainer.optimizer.load_state_dict({**content, "state": moments})
    except (RuntimeError, ValueError, KeyError) as error:
        raise FileFormatError(f"{path} is damaged: {error}. Delete it to train from the start.") from error
    return Progressed(epoch, part("average"), part("best"), best_loss, history)
