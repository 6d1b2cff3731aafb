"""Many reaction paths at once: in place, on processes of this machine or on a cluster, each kept as soon as it is done.

One file a path: what is finished survives whatever happens to the rest, and the same call goes on from there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.core.errors import CalculationError, Cancelled, FileFormatError, InputError
from mlip_lab.core.files import write_json
from mlip_lab.core.late import plotted
from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.quantities import Force, Quantity, Seed, validated
from mlip_lab.properties.attach import attached, energy_of
from mlip_lab.properties.fan_out import fan_out
from mlip_lab.properties.hops import Hop, adsorbate_hops, vacancy_hops
from mlip_lab.properties.reaction_path import Images, reaction_path

Floats = NDArray[np.float64]
Hops = Annotated[int, Quantity("", low=1, high=100_000, whole=True)]
Kind = Literal["vacancy", "adsorbate"]
ASK_EVERY = 0.2  # s
SAME_ENERGY = 1e-6  # eV; energies of one structure that differ by more are those of two calculators


@dataclass(frozen=True)
class ScreenedPath:
    """What is kept of one path.

    Attributes:
        name: Of the hop.
        kind: What it is compared with others by.
        error: Why it failed, in words; "" if it did not. The rest is then empty.
        given: Energy of the reactant as it was given, before it was relaxed, in eV.
        barrier: Energy of the saddle above the reactant in eV.
        reaction_energy: Energy of the product above the reactant in eV.
        imaginary: Imaginary frequencies of the saddle in THz, negative; exactly one makes it a saddle.
        prefactor: Of the harmonic rate in THz; None if rates were not asked for.
        distances: Along the path in Å, one an image.
        energies: Above the reactant in eV, one an image.
        positions: Of the images in Å, (m, n, 3) as lists.
        doubts: What did not work, in words.
    """

    name: str
    kind: str
    error: str = ""
    given: float | None = None
    barrier: float | None = None
    reaction_energy: float | None = None
    imaginary: tuple[float, ...] = ()
    prefactor: float | None = None
    distances: tuple[float, ...] = ()
    energies: tuple[float, ...] = ()
    positions: tuple[Any, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def certified(self) -> bool:
        """Whether its top is a saddle point."""
        return not self.error and len(self.imaginary) == 1


@dataclass(frozen=True, eq=False)
class Screening:
    """Paths that were found.

    Attributes:
        hops: All that were asked for.
        paths: Those that are done, failed ones among them, by their place in `hops`.
        lost: Names of hops whose process ended before they were done; the same call tries them again.
        folder: Where results are kept; None if nowhere.
        stopped: Whether the work was stopped before its end.
    """

    hops: tuple[Hop, ...]
    paths: dict[int, ScreenedPath]
    lost: tuple[str, ...] = ()
    folder: Path | None = None
    stopped: bool = False

    def plot(self) -> Any:
        """Barriers as a distribution, and over the energy of reaction, as a matplotlib Figure."""
        return plotted("screening", "screening", self)

    @property
    def good(self) -> tuple[ScreenedPath, ...]:
        """Paths over a certified saddle point."""
        return tuple(path for path in self.paths.values() if path.certified)

    @property
    def failed(self) -> dict[str, str]:
        """Why, by name of the hop: paths that failed, and those whose top is no saddle point."""
        words = {}
        for path in self.paths.values():
            if path.error:
                words[path.name] = path.error
            elif not path.certified:
                words[path.name] = " ".join(path.doubts) or (
                    f"Its top has {len(path.imaginary)} imaginary modes; a saddle point has one."
                )
        return words

    @property
    def barriers(self) -> Floats:
        """Of the good paths in eV."""
        return np.array([path.barrier for path in self.good], dtype=np.float64)


@validated
def screening(
    atoms: Atoms,
    calculator: Any,
    *,
    kind: Kind = "vacancy",
    adsorbate: str = "H",
    count: Hops | None = 24,
    images: Images = 3,
    force: Force = 0.02,
    rates: bool = False,
    seed: Seed = 0,
    again: bool = False,
    folder: str | Path | None = None,
    executor: Executor | None = None,
    progress: Progress = silent,
) -> Screening:
    """Find the barriers of many hops in a crystal or on a surface.

    Args:
        atoms: A crystal, perfect and large enough for a vacancy, or a slab with its surface up along z.
        calculator: Any ASE calculator.
        kind: "vacancy": each atom hops into each vacancy beside it. "adsorbate": an atom hops between hollow sites.
        adsorbate: Element of the atom that hops on the surface.
        count: Hops to be drawn at random; None takes all.
        images: Images between the ends of a path; one whose saddle is not found is sought again with 2 images + 1.
        force: Largest force to be left on an atom, across a path and at its ends and saddle, eV/Å.
        rates: Whether prefactors of rates are computed, too: more than twice the work.
        seed: Of the draw.
        again: Whether paths that failed before are tried again.
        folder: Where each path is kept as it is done; the same call finds it there. None keeps nothing.
        executor: Where paths are computed: None is here, a process pool, or a cluster's executor.
        progress: Called as each path is done with `so_far`, a function that gives the screening as it is, and in
            between to ask whether to stop. If it raises Cancelled, the paths done are returned.

    Raises:
        InputError: If an argument is unusable, or the folder holds paths of another calculator.
    """
    vacancies = kind == "vacancy"
    draw: dict[str, Any] = {"count": count, "seed": seed}
    return screen(
        vacancy_hops(atoms, **draw) if vacancies else adsorbate_hops(atoms, adsorbate, **draw),
        calculator,
        images=images,
        force=force,
        rates=rates,
        again=again,
        folder=folder,
        executor=executor,
        progress=progress,
    )


@validated
def screen(
    hops: Sequence[Hop],
    calculator: Any,
    *,
    images: Images = 3,
    force: Force = 0.02,
    rates: bool = False,
    again: bool = False,
    folder: str | Path | None = None,
    executor: Executor | None = None,
    progress: Progress = silent,
) -> Screening:
    """Find the paths of hops; see `screening` for the arguments.

    Args:
        hops: What to find.
        calculator: Any ASE calculator.
        images: Images between the ends of a path; one whose saddle is not found is sought again with 2 images + 1.
        force: Largest force to be left on an atom, across a path and at its ends and saddle, eV/Å.
        rates: Whether prefactors of rates are computed, too.
        again: Whether paths that failed before are tried again.
        folder: Where each path is kept.
        executor: Where paths are computed.
        progress: Called as each path is done, and in between.

    Raises:
        InputError: If an argument is unusable, or the folder holds paths of another calculator.
    """
    if not hops:
        raise InputError("hops: expected at least one, got none.")
    work = partial(_found, calculator=calculator, images=images, force=force, rates=rates)
    if executor is not None:
        fan_out(work, (), executor, silent)  # refuses a calculator that cannot be sent
    run = _Run(tuple(hops), [images, force, rates], None if folder is None else Path(folder), progress)
    run.read(again)
    run.check_same(calculator, executor)
    try:
        run.report()
        if executor is None:
            run.here(work)
        else:
            run.there(work, executor)
    except Cancelled:
        return run.result(stopped=True)
    return run.result()


class _Run:
    """A screening while it grows."""

    def __init__(self, hops: tuple[Hop, ...], settings: list[Any], folder: Path | None, progress: Progress) -> None:
        self.hops, self.folder, self.progress = hops, folder, progress
        self.keys = [_key(hop, settings) for hop in hops]
        self.paths: dict[int, ScreenedPath] = {}
        self.lost: list[str] = []

    @property
    def waiting(self) -> list[int]:
        """Hops that are not done."""
        return [k for k in range(len(self.hops)) if k not in self.paths]

    def result(self, *, stopped: bool = False) -> Screening:
        """What is done, in the order of the hops."""
        return Screening(self.hops, dict(sorted(self.paths.items())), tuple(self.lost), self.folder, stopped)

    def ask(self) -> None:
        """Ask whether to stop."""
        self.progress(len(self.paths), len(self.hops))

    def report(self) -> None:
        """Tell what is done."""
        self.progress(len(self.paths), len(self.hops), so_far=self.result)

    def read(self, again: bool) -> None:
        """Take what the folder has."""
        for k, key in enumerate(self.keys):
            path = None if self.folder is None else self.folder / f"{key}.json"
            if path is not None and path.is_file():
                found = _read(path)
                if not (again and found.error):
                    self.paths[k] = found

    def check_same(self, calculator: Any, executor: Executor | None) -> None:
        """Refuse a folder whose paths another calculator has made: it gives one reactant the energy it had."""
        known = next((k for k, path in self.paths.items() if path.given is not None), None)
        if known is None:
            return
        look = partial(_energy, calculator=calculator)
        (energy,) = fan_out(look, [self.hops[known].reactant], executor, lambda *_, **__: self.ask())
        given = self.paths[known].given
        if given is not None and abs(energy - given) > SAME_ENERGY:
            raise InputError(
                f"folder: {self.folder} holds paths of another calculator: {self.paths[known].name} began at "
                f"{given:.6f} eV, now at {energy:.6f} eV. Choose another folder."
            )

    def keep(self, k: int, path: ScreenedPath) -> None:
        """Keep a path that is done."""
        self.paths[k] = path
        if self.folder is not None:
            write_json(self.folder / f"{self.keys[k]}.json", asdict(path))
        self.report()

    def here(self, work: Callable[..., ScreenedPath]) -> None:
        """Find one after another."""
        for k in self.waiting:
            self.keep(k, work(self.hops[k], progress=lambda *_, **__: self.ask()))

    def there(self, work: Callable[..., ScreenedPath], executor: Executor) -> None:
        """Find them on an executor, and keep each as it comes."""
        futures: dict[Future[ScreenedPath], int] = {}
        try:
            for k in self.waiting:
                futures[executor.submit(work, self.hops[k])] = k
            while futures:
                done, _ = wait(futures, timeout=ASK_EVERY, return_when=FIRST_COMPLETED)
                for future in done:
                    self.take(futures.pop(future), future)
                self.ask()
        except BrokenExecutor:  # no more is taken by a pool that has lost a process
            self.lost.extend(self.hops[k].name for k in self.waiting if self.hops[k].name not in self.lost)
        finally:
            for future in futures:
                future.cancel()

    def take(self, k: int, future: Future[ScreenedPath]) -> None:
        """Keep what a future gave; note a process that ended before it was done."""
        try:
            found = future.result()
        except Exception:  # errors of the path itself are in what it gives: this one is of the machinery
            self.lost.append(self.hops[k].name)
        else:
            self.keep(k, found)


def _found(
    hop: Hop, *, calculator: Any, images: int, force: float, rates: bool, progress: Progress = silent
) -> ScreenedPath:
    """The path of one hop; what fails is said in words."""
    try:
        given = energy_of(attached(hop.reactant, calculator))
        accuracy: dict[str, Any] = {"force": force, "end_force": force, "rates": rates, "progress": progress}
        for finer in (images, 2 * images + 1):  # few images do not settle on a path with two tops of about one height
            path = reaction_path(hop.reactant, hop.product, calculator, images=finer, **accuracy)
            if path.stopped:
                raise Cancelled("Stopped within a path.")
            if path.saddle is not None:
                break
        prefactor = path.rate().prefactor if path.ends is not None else None
    except Cancelled:
        raise
    except (CalculationError, InputError) as error:
        return ScreenedPath(hop.name, hop.kind, error=str(error))
    except Exception as error:  # a calculator may fail in any way, and the other paths must not suffer
        return ScreenedPath(hop.name, hop.kind, error=f"{type(error).__name__}: {error}")
    return ScreenedPath(
        hop.name,
        hop.kind,
        given=given,
        barrier=path.barrier,
        reaction_energy=path.reaction_energy,
        imaginary=tuple(float(f) for f in path.saddle.modes.imaginary) if path.saddle else (),
        prefactor=prefactor,
        distances=tuple(path.distances.tolist()),
        energies=tuple((path.energies - path.energies[0]).tolist()),
        positions=tuple(path.positions.tolist()),
        doubts=path.doubts,
    )


def _energy(atoms: Atoms, *, calculator: Any) -> float:
    return energy_of(attached(atoms, calculator))


def _key(hop: Hop, settings: list[Any]) -> str:
    """Name of a path's file: the same for the same structures and settings."""
    digest = hashlib.sha256(json.dumps([hop.name, hop.kind, settings]).encode())
    for atoms in (hop.reactant, hop.product):
        digest.update(repr([c.todict() for c in atoms.constraints]).encode())
        for array in (atoms.numbers, np.round(atoms.positions, 8), np.round(atoms.cell.array, 8), atoms.pbc):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]


def _read(path: Path) -> ScreenedPath:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if set(content) != {field.name for field in fields(ScreenedPath)}:
            raise ValueError("its names are not those of a path")
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in content.items()}
        return ScreenedPath(**values)
    except (OSError, ValueError, TypeError) as error:
        raise FileFormatError(f"{path} cannot be read ({error}). Remove it: the path is then found anew.") from error
