"""The checkpoint of a training: everything that changes, in one safetensors file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as parse_tensors
from safetensors.numpy import save as pack_tensors

from mlip_lab.core.errors import FileFormatError, InputError

Floats = NDArray[np.float64]
CHECKPOINT = "checkpoint.safetensors"


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


def packed(network: torch.nn.Module, optimizer: torch.optim.Optimizer, state: Progressed, identity: str) -> bytes:
    """The file's content: parameters, moments, averages and history."""
    arrays: dict[str, Floats] = {}
    groups = {"network": copies(network), "average": state.average, "best": state.best}
    for group, values in groups.items():
        arrays |= {f"{group}.{name}": value.cpu().numpy() for name, value in values.items()}
    for index, moments in optimizer.state_dict()["state"].items():
        arrays |= {f"optimizer.{index}.{name}": np.atleast_1d(value.cpu().numpy()) for name, value in moments.items()}
    about = {
        "sha256": _digest(arrays),
        "identity": identity,
        "epoch": state.epoch,
        "best_loss": state.best_loss,
        "history": vars(state.history),
    }
    return pack_tensors(
        {name: np.ascontiguousarray(array) for name, array in arrays.items()}, metadata={"state": json.dumps(about)}
    )


def copies(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Copies of all parameters and constants of a network."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _digest(arrays: dict[str, Floats]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def restored(
    network: torch.nn.Module, optimizer: torch.optim.Optimizer, folder: Path | None, identity: str
) -> Progressed | None:
    """Put a folder's checkpoint into network and optimiser; None if there is none.

    Raises:
        FileFormatError: If it is damaged.
        InputError: If it belongs to another training.
    """
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
        network.load_state_dict(part("network"))
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in part("optimizer").items():
            index, _, key = name.partition(".")
            moments.setdefault(int(index), {})[key] = value.reshape(()) if key == "step" else value
        content = optimizer.state_dict()
        optimizer.load_state_dict({**content, "state": moments})
    except (RuntimeError, ValueError, KeyError) as error:
        raise FileFormatError(f"{path} is damaged: {error}. Delete it to train from the start.") from error
    device = next(network.parameters()).device
    average, best = ({name: value.to(device) for name, value in part(group).items()} for group in ("average", "best"))
    return Progressed(epoch, average, best, best_loss, history)
