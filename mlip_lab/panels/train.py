"""Training a potential by clicks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from mlip_lab.calculators.catalogue import unknown_elements
from mlip_lab.core.errors import DataError, InputError
from mlip_lab.data.packaged import packaged_names, packaged_set
from mlip_lab.data.reader import inspect
from mlip_lab.panels.base.capability import Capability
from mlip_lab.panels.base.record import Number, Verdict
from mlip_lab.panels.base.shelf import PotentialEntry, Snippet
from mlip_lab.plots import training as pictures
from mlip_lab.workflows.errors import errors_by_kind
from mlip_lab.workflows.train import TrainingResult, train

HOME = "potentials"  # folder beside the notebook
CURVES = {
    "train_energy": "train_energy_rmse_mev_per_atom",
    "train_forces": "train_forces_rmse_ev_per_ang",
    "validation_energy": "validation_energy_rmse_mev_per_atom",
    "validation_forces": "validation_forces_rmse_ev_per_ang",
}
LABELS = {"data": "Labelled structures", "test": "Test structures", "preset": "Size", "readout": "Kind of fit"}
ERRORS = (
    ("energy", "energy_rmse_mev_per_atom", "meV/atom"),
    ("force", "forces_rmse_ev_per_ang", "eV/Å"),
    ("stress", "stress_rmse_gpa", "GPa"),
)
OVERFIT = 2.0  # errors on test frames beyond so many times those on training frames are worth a word


def _live(live: Mapping[str, Any]) -> Figure | None:
    trace = live["trace"]
    history = {CURVES[name]: values for name, values in trace.items() if name in CURVES}
    if not history:
        return None
    length = min(len(values) for values in history.values())
    if length < 2:
        return None
    return pictures.learning_curve(
        {name: values[-length:] for name, values in history.items()} | {"epoch": trace["done"][-length:]}
    )


def _verdicts(result: TrainingResult) -> list[Verdict]:
    trained, tested = result.report["train"], result.report["test"]
    if tested is None:
        return [Verdict("warning", "No test frames: the errors shown are on frames that were learned from.")]
    found = []
    for name, key, unit in ERRORS[:2]:
        if tested[key] is None or trained[key] is None:
            continue
        words = f"{tested[key]:.3g} {unit} on test frames, {trained[key]:.3g} on frames learned from"
        if tested[key] > OVERFIT * trained[key]:
            found.append(Verdict("warning", f"The {name} error is much larger on frames it has not seen.", words))
        else:
            found.append(Verdict("good", f"The {name} error is alike on frames it has seen and has not.", words))
    return found


def _numbers(result: TrainingResult) -> list[Number]:
    part = "test" if result.report["test"] else "train"
    errors = result.report[part]
    found = [
        Number(f"{name} RMSE, {part} frames", errors[key], unit)
        for name, key, unit in ERRORS
        if errors[key] is not None
    ]
    for kind in errors_by_kind(result.predictions)[:-1]:
        if kind.forces is not None:
            found.append(Number(f"force RMSE, {kind.kind or 'unnamed'} ({kind.frames} frames)", kind.forces, "eV/Å"))
    return [
        *found,
        Number("parameters", result.report["n_parameters"]),
        Number("time", result.report["train_seconds"], "s"),
    ]


def _data(result: TrainingResult) -> dict[str, Any]:
    return {"report": dict(result.report), "history": {name: list(v) for name, v in result.history.items()}}


def _about(values: Mapping[str, Any]) -> str:
    """The reader's report on the chosen data; DataError says why they cannot be trained on."""
    words = []
    for name in ("data", "test"):
        source = values[name]
        if source is None:
            continue
        if source in packaged_names():
            frames, held_out = packaged_set(source)
            words.append(f"Packaged set {source!r}: {len(frames)} frames to learn from, {len(held_out)} to test on.")
            words.append(str(frames.report))
            continue
        try:
            report = inspect(source)
        except InputError as error:
            raise InputError(str(error).replace("source:", f"{LABELS[name]}:", 1)) from error
        if not report.usable:
            raise DataError(f"{source} cannot be trained on: {' '.join(report.problems)}")
        words.append(f"{source}\n{report}")
    return "\n\n".join(words)


def _exact(values: Mapping[str, Any]) -> bool:
    """Whether the fit is solved in one go, without checkpoints."""
    return values["readout"] in ("linear", "kernel")


def _extra(values: Mapping[str, Any]) -> dict[str, Any]:
    """A folder of its own for each training: its checkpoints, then the potential."""
    parts = [Path(str(values["data"])).stem.split(".")[0], values["preset"], values["readout"] or ""]
    stem = "-".join(part for part in parts if part)
    names = (Path(HOME) / (stem if n == 1 else f"{stem}-{n}") for n in range(1, 10_000))
    return {"out": next(path for path in names if not path.exists())}


def _keep(result: TrainingResult, extra: Mapping[str, Any]) -> Sequence[PotentialEntry]:
    folder = Path(extra["out"])
    potential = result.potential

    def refuses(atoms: Any) -> str:
        return unknown_elements(folder.name, potential.elements, atoms)

    code = Snippet(f"mlip_lab.load({str(folder)!r}).calculator()", ("import mlip_lab",))
    source = {"kind": "folder", "path": str(folder.resolve())}
    return (PotentialEntry(folder.name, code, potential.calculator, source, refuses),)


TRAIN = Capability(
    function=train,
    title="Train a potential",
    meaning="Learns the energy of atoms from labelled structures, and says how far off it is on ones it has not seen.",
    shows="how the errors fall, then predictions against labels",
    group="Learn",
    formula=(
        "$$E=\\sum_i\\left[e(z_i)+f_\\theta(\\mathbf d_i)\\right]$$ "
        "The descriptors $\\mathbf d_i$ of an atom's surroundings stay the same when they are turned or moved, or "
        "when like atoms change places (<a href='https://doi.org/10.1103/PhysRevLett.131.028001'>10.1103/PhysRevLett.131.028001"
        "</a>); $f_\\theta$ is fitted to energies, forces and stress."
    ),
    picture=lambda result: pictures.overview(result.predictions, result.history),
    live=_live,
    verdicts=_verdicts,
    numbers=_numbers,
    data=_data,
    about=_about,
    about_of=("data", "test"),
    extra=_extra,
    keep=_keep,
    unit=lambda values: "frames" if _exact(values) else "epochs",
    starts_over=_exact,
    defaults={"data": "si", "preset": "small"},
    labels=LABELS,
    advanced=("test", "body_order", "members", "streamed", "seed"),
    left_out=("device", "out"),
)
