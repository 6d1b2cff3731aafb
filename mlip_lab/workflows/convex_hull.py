"""The convex hull of a system by any calculator: candidates made, relaxed in bulk, and judged."""

from __future__ import annotations

import hashlib
import json
import pickle
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from ase import Atoms

from mlip_lab.core.errors import CalculationError, FileFormatError, InputError
from mlip_lab.core.files import write_json
from mlip_lab.core.late import plotted
from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.quantities import Count, Force, Quantity, validated
from mlip_lab.data.orderings import LARGEST, candidates, species_in
from mlip_lab.data.packaged import reference
from mlip_lab.properties.attach import attached, energy_of
from mlip_lab.properties.convex_hull import ConvexHull, hull_of
from mlip_lab.properties.relax import relax

Sites = Annotated[int, Quantity("", low=1, high=LARGEST, whole=True)]
SAME = 1e-6  # eV/atom, energies of one structure by one calculator differ by less


@dataclass(frozen=True, eq=False)
class RelaxedHull:
    """The hull of relaxed candidates.

    Attributes:
        hull: Formation energies, stable phases, decompositions.
        structures: The relaxed structure of each phase of the hull, in its order.
        steps: Optimiser steps of each.
        failed: Candidates left out, with the reason in words.
    """

    hull: ConvexHull
    structures: tuple[Atoms, ...]
    steps: tuple[int, ...]
    failed: dict[str, str]

    def plot(self, **options: Any) -> Any:
        """The hull as a matplotlib Figure; options as in `mlip_lab.plots.convex_hull.convex_hull`."""
        return plotted("convex_hull", "convex_hull", self.hull, **options)


@validated
def convex_hull(
    calculator: Any,
    *,
    symbols: str,
    largest: Sites = 4,
    symmetry: bool = True,
    force: Force = 0.01,
    steps: Count = 300,
    folder: str | Path | None = None,
    executor: Executor | None = None,
    progress: Progress = silent,
) -> RelaxedHull:
    """Make candidates of some elements, relax them, and find which of them are stable.

    Candidates are elements (fcc, bcc, hcp), named prototypes, and every ordering of up to `largest` atoms on fcc and
    bcc lattices (`mlip_lab.data.orderings`).

    Args:
        calculator: Any ASE calculator with stress.
        symbols: Chemical symbols of the components, as "Al Li".
        largest: Atoms in the primitive cell of enumerated orderings.
        symmetry: Whether candidates keep the symmetry they start with.
        force: Largest force to be left, eV/Å, also of the virial per atom divided by 1 Å.
        steps: Steps after which a candidate is given up.
        folder: Where finished candidates are kept, made if need be; a repeated call goes on from there.
        executor: Where candidates are relaxed; None is here. It must run processes, here or on a cluster.
        progress: Called after every candidate.

    Returns:
        Hull, relaxed structures, and what failed. Energies are in eV/atom.

    Raises:
        InputError: If an argument is unusable, or `folder` holds the work of another calculator.
        CalculationError: If no phase of some element could be relaxed.
        Cancelled: From `progress`; finished candidates are kept in `folder`.
    """
    return relaxed_hull(
        candidates(species_in(symbols), largest=largest),
        calculator,
        symmetry=symmetry,
        force=force,
        steps=steps,
        folder=folder,
        executor=executor,
        progress=progress,
    )


@validated
def relaxed_hull(
    structures: Sequence[Atoms],
    calculator: Any,
    *,
    symmetry: bool = True,
    force: Force = 0.01,
    steps: Count = 300,
    folder: str | Path | None = None,
    executor: Executor | None = None,
    progress: Progress = silent,
) -> RelaxedHull:
    """Relax structures, each by itself, ions and cell, and find which of them are stable; see `convex_hull`.

    Args:
        structures: Candidates, each element among them; info["name"] tells what they are called. They stay as they are.
        calculator: Any ASE calculator with stress.
        symmetry: Whether candidates keep the symmetry they start with.
        force: Largest force to be left, eV/Å, also of the virial per atom divided by 1 Å.
        steps: Steps after which a candidate is given up; it is then left out and named.
        folder: Where finished candidates are kept, made if need be; a repeated call goes on from there.
        executor: Where candidates are relaxed; None is here. It must run processes, here or on a cluster.
        progress: Called after every candidate.

    Returns:
        Hull, relaxed structures, and what failed. Energies are in eV/atom.

    Raises:
        InputError: If an argument is unusable, or `folder` holds the work of another calculator.
        CalculationError: If no phase of some element could be relaxed.
        Cancelled: From `progress`; finished candidates are kept in `folder`.
    """
    chosen = _named(structures)
    jobs = {_key(atoms, symmetry, force, steps): atoms for atoms in chosen}
    kept = _Kept(folder, jobs, calculator)
    work = partial(_relaxed, calculator=calculator, symmetry=symmetry, force=force, steps=steps)
    waiting = {key: atoms for key, atoms in jobs.items() if key not in kept.records}
    for key, record in _carried_out(work, waiting, executor, progress, len(jobs)):
        kept.add(key, record)
    elements = sorted({symbol for atoms in chosen for symbol in atoms.get_chemical_symbols()})
    return _judged(elements, [kept.records[key] for key in jobs if key in kept.records])


def reference_hull(name: str = "al_li") -> RelaxedHull:
    """Return the hull that the reference method gives, of a packaged set that has one.

    Args:
        name: Name of the set.

    Returns:
        Hull and structures relaxed by the reference method.

    Raises:
        InputError: If there is no such set, or it has no hull.
    """
    content = reference(name)
    if "phases" not in content:
        raise InputError(f"name: expected a set with a convex hull such as al_li, got {name!r}.")
    elements = sorted({symbol for phase in content["phases"] for symbol in phase["symbols"]})
    return _judged(elements, content["phases"])


def _named(structures: Sequence[Atoms]) -> list[Atoms]:
    """Return the candidates with names that are there and no two the same."""
    named, counts = list[Atoms](), dict[str, int]()
    for atoms in structures:
        if not isinstance(atoms, Atoms):
            raise InputError(f"structures: expected ase.Atoms, got {type(atoms).__name__}.")
        copy: Atoms = atoms.copy()
        name = str(atoms.info.get("name") or atoms.get_chemical_formula("hill"))
        counts[name] = counts.get(name, 0) + 1
        copy.info["name"] = name if counts[name] == 1 else f"{name} ({counts[name]})"
        named.append(copy)
    if not named:
        raise InputError("structures: expected at least one structure, got none.")
    return named


def _key(atoms: Atoms, symmetry: bool, force: float, steps: int) -> str:
    digest = hashlib.sha256(f"{atoms.info['name']} {symmetry} {force!r} {steps}".encode())
    for array in (atoms.numbers, atoms.positions, atoms.cell.array):
        digest.update(np.ascontiguousarray(np.asarray(array, dtype=np.float64) + 0.0).tobytes())
    return digest.hexdigest()[:24]


class _Kept:
    """Records of finished candidates, in memory and in a folder.

    Whether a folder is this calculator's is told by what it says of a start that is kept there.
    """

    def __init__(self, folder: str | Path | None, jobs: dict[str, Atoms], calculator: Any) -> None:
        self.folder = None if folder is None else Path(folder)
        self.records: dict[str, dict[str, Any]] = {}
        if self.folder is not None:
            paths = {key: self.folder / f"{key}.json" for key in jobs}
            self.records = {key: _read(path) for key, path in paths.items() if path.is_file()}
        for key, record in self.records.items():
            if "start_energy_ev" in record:
                found = energy_of(attached(jobs[key], calculator))
                if abs(found - record["start_energy_ev"]) > SAME * len(jobs[key]):
                    raise InputError(
                        f"folder: {self.folder} holds the work of another potential: {record['name']} has "
                        f"{record['start_energy_ev']:.4f} eV there, {found:.4f} eV by this one. Choose another folder."
                    )
                break

    def add(self, key: str, record: dict[str, Any]) -> None:
        self.records[key] = record
        if self.folder is not None and not record.get("lost"):
            write_json(self.folder / f"{key}.json", record)


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text())
        if not {"name", "start_energy_ev"} <= set(record) and not {"name", "failed"} <= set(record):
            raise ValueError("it is no record of a candidate")
    except (OSError, ValueError, TypeError) as error:
        raise FileFormatError(f"folder: {path} cannot be read ({error}). Delete it to have it made again.") from error
    return dict(record)


def _relaxed(
    atoms: Atoms, *, calculator: Any, symmetry: bool, force: float, steps: int, ask: Callable[..., None] = silent
) -> dict[str, Any]:
    """Return the record of a candidate: relaxed, or why it could not be."""
    name = str(atoms.info["name"])
    start = energy_of(attached(atoms, calculator, crystal=True))  # what a calculator refuses from the start is an error
    try:
        with warnings.catch_warnings():
            # A first step across a large strain is followed by smaller ones, and what counts is the end.
            warnings.filterwarnings("ignore", "FixSymmetry adjust_cell may be ill behaved", UserWarning)
            found = relax(atoms, calculator, symmetry=symmetry, force=force, steps=steps, progress=ask)
    except (RuntimeError, InputError) as error:  # not converged, or collapsed into what the calculator refuses
        return {"name": name, "failed": str(error)}
    return {
        "name": name,
        "symbols": found.atoms.get_chemical_symbols(),
        "cell_ang": found.atoms.cell.array.tolist(),
        "positions_ang": found.atoms.positions.tolist(),
        "energy_ev": found.energy,
        "start_energy_ev": start,
        "steps": found.steps,
    }


def _carried_out(
    work: Callable[..., dict[str, Any]],
    waiting: dict[str, Atoms],
    executor: Executor | None,
    progress: Progress,
    total: int,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the record of each candidate as it is finished; what a worker takes down with it is named as failed."""
    done = total - len(waiting)
    progress(done, total)
    if executor is None:
        for key, atoms in waiting.items():
            yield key, work(atoms, ask=lambda *_, **__: progress(done, total))  # noqa: B023 - called at once
            done += 1
            progress(done, total)
        return
    try:
        pickle.dumps(work)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InputError(
            f"calculator: it cannot be sent to another process ({error}). Use executor=None, or a calculator that "
            "can be pickled."
        ) from error
    futures: dict[Future[dict[str, Any]], str] = {executor.submit(work, atoms): key for key, atoms in waiting.items()}
    try:
        for future in as_completed(futures):
            key = futures[future]
            yield key, _received(future, str(waiting[key].info["name"]))
            done += 1
            progress(done, total)
    finally:
        for future in futures:
            future.cancel()


def _received(future: Future[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return what a worker found; one whose process ended, here or on a cluster, has lost the candidate."""
    try:
        return future.result()
    except Exception as error:
        ended = isinstance(error, BrokenExecutor | CancelledError) or type(error).__module__.startswith("distributed")
        if not ended:
            raise
        return {"name": name, "failed": f"its worker ended ({type(error).__name__}). Run again to go on.", "lost": True}


def _judged(elements: Sequence[str], records: Sequence[dict[str, Any]]) -> RelaxedHull:
    failed = {record["name"]: record["failed"] for record in records if "failed" in record}
    good = [record for record in records if "failed" not in record]
    pure = {record["symbols"][0] for record in good if len(set(record["symbols"])) == 1}
    if missing := [symbol for symbol in elements if symbol not in pure]:
        reason = next(iter(failed.values()), "there is none among the candidates.")
        raise CalculationError(f"convex hull: no phase of pure {', '.join(missing)} could be relaxed: {reason}")
    atoms = [
        Atoms(
            record["symbols"], record["positions_ang"], cell=record["cell_ang"], pbc=True, info={"name": record["name"]}
        )
        for record in good
    ]
    counts = [dict(a.symbols.formula.count()) for a in atoms]
    names = [record["name"] for record in good]
    hull = hull_of(names, counts, [record["energy_ev"] for record in good], elements=elements)
    return RelaxedHull(hull, tuple(atoms), tuple(int(record["steps"]) for record in good), failed)
