"""Labelling structures with a reference method: energy, forces and stress for every frame, kill-proof.

Each finished label is written at once into the folder `<out>.labels/`, under a name made from the structure and
the settings; a run that is repeated after a kill computes only what is missing there. The labelled file itself is
written last, by a rename, in the order of the input.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tomllib
from collections.abc import Sequence
from concurrent.futures import CancelledError, Executor, Future, as_completed
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write

from mlip_lab.core.checks import as_floats, one_of
from mlip_lab.core.errors import CalculationError, InputError
from mlip_lab.core.files import write_bytes, write_json
from mlip_lab.core.progress import Progress, silent
from mlip_lab.data.molecule import MoleculeSettings
from mlip_lab.data.qe import EspressoSettings, Labels

# Label names that an input frame may carry; they must not survive beside the new labels.
_LABEL_KEYS = ("energy", "free_energy", "stress", "virial", "forces", "energies", "stresses", "momenta")


@dataclass(frozen=True)
class EmtSettings:
    """ASE's effective-medium theory (Al, Ni, Cu, Pd, Ag, Pt, Au and a few more): labels for tests and demos."""

    def provenance(self) -> dict[str, str | float]:
        """Return what fixes the numbers."""
        return {"code": "ASE EMT"}

    def check(self) -> None:
        """Accept: there is nothing to install."""

    def check_structure(self, atoms: Atoms) -> None:
        """Refuse elements that EMT does not know and cells without volume.

        Raises:
            InputError: If EMT cannot label the structure.
        """
        from ase.calculators.emt import parameters

        unknown = sorted(set(atoms.get_chemical_symbols()) - set(parameters))
        if unknown:
            raise InputError(f"structure: EMT knows {', '.join(parameters)}; got {', '.join(unknown)}.")
        if atoms.cell.rank < 3:
            raise InputError("structure: a stress needs three cell vectors; give the structure a cell.")

    def calculate(self, atoms: Atoms, scratch: Path) -> Labels:
        """Return EMT's labels of one structure."""
        from ase import __version__
        from ase.calculators.emt import EMT

        work = atoms.copy()
        work.calc = EMT()
        return Labels(
            energy=float(work.get_potential_energy()),
            forces=np.array(work.get_forces()),
            stress=np.array(work.get_stress(voigt=False)),
            version=f"ASE EMT {__version__}",
        )


Settings = EspressoSettings | MoleculeSettings | EmtSettings
_BACKENDS: dict[str, type[EspressoSettings] | type[MoleculeSettings] | type[EmtSettings]] = {
    "espresso": EspressoSettings,
    "pyscf": MoleculeSettings,
    "emt": EmtSettings,
}
# Lowest and highest value that can be meant, and the unit: a cutoff given in eV or a spacing in 1/bohr is noticed.
_RANGES: dict[str, tuple[float, float, str]] = {
    "ecutwfc": (5.0, 250.0, "Ry"),
    "ecutrho": (20.0, 3000.0, "Ry"),
    "kspacing": (0.02, 3.0, "1/Å, with the factor 2π"),
    "degauss": (0.0001, 0.1, "Ry"),
    "conv_thr": (1e-14, 1e-4, "Ry per atom"),
    "extra_bands": (0.0, 5.0, "bands per occupied band"),
    "mixing_beta": (0.01, 1.0, "share of the new density"),
    "electron_maxstep": (1, 10_000, "steps"),
    "grid_level": (0, 9, "steps of fineness"),
    "scf_tol": (1e-12, 1e-4, "Ha"),
    "timeout": (1.0, 1e8, "s"),
}


@dataclass(frozen=True)
class LabelReport:
    """What a labelling run did.

    Attributes:
        out: The labelled file.
        frames: Frames asked for.
        computed: Labels computed by this run.
        reused: Frames whose label was there already.
        failed: Index of each frame left out, with the reason in words.
    """

    out: Path
    frames: int
    computed: int
    reused: int
    failed: tuple[tuple[int, str], ...]

    def __str__(self) -> str:
        """Return the report in words."""
        done = self.frames - len(self.failed)
        counts = f"{self.computed} computed, {self.reused} reused"
        lines = [f"{done} of {self.frames} frames labelled in {self.out}: {counts}."]
        lines += [f"Frame {index} left out: {reason}" for index, reason in self.failed]
        return "\n".join(lines)


def load_settings(path: str | Path) -> Settings:
    """Read labelling settings from a TOML file.

    Args:
        path: File with `backend = "espresso"` or "pyscf" (keys as in `EspressoSettings` and `MoleculeSettings`, units
            there) or `backend = "emt"`.

    Returns:
        The checked settings.

    Raises:
        InputError: If the file is missing, no TOML, or has a key or value that cannot be meant; in words.
    """
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"settings: cannot read {path}: {error.strerror or error}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"settings: {path} is not a TOML file: {error}.") from error
    if "backend" not in table:
        raise InputError(f'settings: {path} names no backend; write backend = "espresso" (or "emt").')
    backend = _BACKENDS[one_of("backend", table.pop("backend"), sorted(_BACKENDS))]
    known = {field.name: field for field in fields(backend)}
    for key in table:
        if key not in known:
            raise InputError(f"settings: unknown key {key!r}; expected one of {', '.join(known) or 'none'}.")
    for field in known.values():
        if field.default is MISSING and field.default_factory is MISSING and field.name not in table:
            raise InputError(f"settings: {field.name} is missing; see {backend.__name__} for its meaning and unit.")
    settings = backend(**{key: _checked(key, value) for key, value in table.items()})
    settings.check()
    return settings


def label_frames(
    frames: str | Path | Sequence[Atoms],
    settings: Settings | str | Path,
    out: str | Path,
    *,
    progress: Progress = silent,
    executor: Executor | None = None,
) -> LabelReport:
    """Label every frame and write them as extended XYZ with energy, forces, stress and provenance.

    Args:
        frames: A file that ASE reads, or structures.
        settings: Settings, or the path of their TOML file.
        out: The file to write, .xyz or .extxyz (may end in .gz); `<out>.labels/` beside it keeps finished labels.
        progress: Called after each label with the frames done, all frames, and failed=number so far.
        executor: Where labels are computed; None computes them here, one after the other.

    Returns:
        Counts, and each frame left out with its reason; energies are in eV, forces in eV/Å, stress in eV/Å³.

    Raises:
        InputError: If frames or settings cannot be used; nothing is computed then.
        CalculationError: If not one frame could be labelled.
        Cancelled: From `progress`; finished labels are kept.
    """
    settings = load_settings(settings) if isinstance(settings, str | Path) else settings
    settings.check()
    out = Path(out)
    if not any(str(out).endswith(end) for end in (".xyz", ".extxyz", ".xyz.gz", ".extxyz.gz")):
        raise InputError(f"out: expected a name ending in .xyz or .extxyz (or either with .gz), got {out.name!r}.")
    atoms = _structures(frames)
    for index, structure in enumerate(atoms):
        try:
            settings.check_structure(structure)
        except InputError as error:
            raise InputError(f"Frame {index}: {error}") from error
    store = out.with_name(out.name + ".labels")
    keys = [label_key(structure, settings) for structure in atoms]
    missing = {key: index for index, key in reversed(list(enumerate(keys))) if _stored(store / f"{key}.json") is None}
    failures = _compute(atoms, settings, store, missing, len(set(keys)), progress, executor)
    failed = tuple((index, failures[key]) for index, key in enumerate(keys) if key in failures)
    if len(failed) == len(atoms):
        raise CalculationError(f"Not one of {len(atoms)} frames could be labelled. First reason: {failed[0][1]}")
    good = [(a, store / f"{key}.json") for a, key in zip(atoms, keys, strict=True) if key not in failures]
    write_labelled(out, [_labelled(a, settings, path) for a, path in good])
    computed = len(missing) - len(failures)
    return LabelReport(out, len(atoms), computed, len(atoms) - len(failed) - computed, failed)


def write_labelled(out: Path, labelled: list[Atoms]) -> None:
    """Write extended XYZ by a rename, compressed where the name ends in .gz; equal frames give equal bytes."""
    text = io.StringIO()
    write(text, labelled, format="extxyz")
    content = text.getvalue().encode()
    write_bytes(out, gzip.compress(content, mtime=0) if out.suffix == ".gz" else content)


def label_key(atoms: Atoms, settings: Settings) -> str:
    """Return the hexadecimal name of a label: sha256 of structure and settings, without folders and labels."""
    digest = hashlib.sha256(settings_hash(settings).encode())
    for array in (atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc):
        # Adding zero turns -0.0 into 0.0, which is the same structure.
        digest.update(np.ascontiguousarray(np.asarray(array, dtype=np.float64) + 0.0).tobytes())
    return digest.hexdigest()[:32]


def settings_hash(settings: Settings) -> str:
    """Return sha256 of what fixes the numbers (cutoff, k-points, smearing, contents of pseudopotentials)."""
    return hashlib.sha256(json.dumps(settings.provenance(), sort_keys=True).encode()).hexdigest()


def _checked(key: str, value: Any) -> Any:
    """Return a value from TOML in the type of its field, or refuse it in words."""
    if key in _RANGES:
        low, high, unit = _RANGES[key]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"{key}: expected a plain number in {unit}, got {value!r}. Leave the unit out.")
        if not low <= value <= high:
            raise InputError(f"{key}: expected {low:g} to {high:g} {unit}, got {value!r}. Is it in another unit?")
        whole = key in ("electron_maxstep", "grid_level")
        if whole and not isinstance(value, int):
            raise InputError(f"{key}: expected a whole number, got {value!r}.")
        return value if whole else float(value)
    if key == "symmetry":
        if not isinstance(value, bool):
            raise InputError(f"symmetry: expected true or false, got {value!r}.")
        return value
    if key == "smearing":
        return one_of(key, value, ("gaussian", "m-p", "m-v", "f-d"))
    if key == "kshift":
        if not isinstance(value, list) or len(value) != 3 or any(type(v) is not int or v not in (0, 1) for v in value):
            raise InputError(f"kshift: expected three of 0 and 1 such as [0, 0, 0], got {value!r}.")
        return tuple(value)
    if key == "pseudopotentials":
        if not isinstance(value, dict) or not value or not all(isinstance(v, str) for v in value.values()):
            raise InputError(f'pseudopotentials: expected a table such as {{ Si = "Si.UPF" }}, got {value!r}.')
        return value
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{key}: expected text, got {value!r}.")
    return value


def _structures(frames: str | Path | Sequence[Atoms]) -> list[Atoms]:
    """Return the frames as a list of checked structures."""
    if isinstance(frames, str | Path):
        try:
            found = read(frames, index=":")
        except Exception as error:  # ASE's readers raise anything from OSError to IndexError
            raise InputError(f"frames: cannot read {frames}: {type(error).__name__}: {error}") from error
        atoms = list(found)
    else:
        atoms = list(frames)
    if not atoms:
        raise InputError("frames: expected at least one structure, got none.")
    for index, structure in enumerate(atoms):
        if not isinstance(structure, Atoms):
            raise InputError(f"frames: expected ASE Atoms, got {type(structure).__name__} at {index}.")
        if len(structure) == 0:
            raise InputError(f"frames: frame {index} has no atoms.")
        as_floats(f"positions of frame {index}", structure.positions, (None, 3))
        as_floats(f"cell of frame {index}", structure.cell.array, (3, 3))
    return atoms


def _compute(
    atoms: list[Atoms],
    settings: Settings,
    store: Path,
    missing: dict[str, int],
    total: int,
    progress: Progress,
    executor: Executor | None,
) -> dict[str, str]:
    """Compute the missing labels in the order of the frames; return the reason for each that failed."""
    try:
        store.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"out: cannot make the folder {store}: {error.strerror}. Choose another folder.") from error
    order = sorted(missing.items(), key=lambda item: item[1])
    done = total - len(missing)
    failures: dict[str, str] = {}
    if executor is None:
        for key, index in order:
            reason = _label_one(atoms[index], settings, store, key)
            done += 1
            failures |= {key: reason} if reason else {}
            progress(done, total, failed=len(failures))
        return failures
    futures: dict[Future[str], str] = {
        executor.submit(_label_one, atoms[index], settings, store, key): key for key, index in order
    }
    try:
        for future in as_completed(futures):
            done += 1
            reason = future.result()
            failures |= {futures[future]: reason} if reason else {}
            progress(done, total, failed=len(failures))
    except BaseException as error:
        for future in futures:
            future.cancel()
        if isinstance(error, CancelledError):
            raise CalculationError("labelling: the executor was shut down; run again to go on.") from error
        raise
    return failures


def _label_one(atoms: Atoms, settings: Settings, store: Path, key: str) -> str:
    """Compute one label and write it at once; return the reason in words if that fails, else an empty text."""
    try:
        labels = settings.calculate(atoms, store)
        numbers = [labels.energy, *labels.forces.flat, *(labels.stress.flat if labels.stress is not None else ())]
        if not np.isfinite(numbers).all():
            raise CalculationError("the calculation gave numbers that are not finite.")
    except (CalculationError, InputError) as error:
        return str(error)
    content = {
        "energy": labels.energy,
        "forces": labels.forces.tolist(),
        "stress": None if labels.stress is None else labels.stress.tolist(),
        "version": labels.version,
    }
    write_json(store / f"{key}.json", content)
    return ""


def _stored(path: Path) -> dict[str, Any] | None:
    """Return a label from the store, None if it is not there or not whole."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and {"energy", "forces", "stress", "version"} <= set(content) else None


def _labelled(atoms: Atoms, settings: Settings, path: Path) -> Atoms:
    """Return a copy of the structure with its label and where it comes from."""
    content = _stored(path)
    if content is None:
        raise CalculationError(f"labels: {path} was there and is gone or damaged; run again.")
    structure: Atoms = atoms.copy()
    for name in _LABEL_KEYS:
        structure.info.pop(name, None)
        structure.arrays.pop(name, None)
    structure.info |= {"version": content["version"], "settings_sha256": settings_hash(settings)}
    structure.info |= settings.provenance()
    results = {"energy": content["energy"], "forces": np.array(content["forces"])}
    if content["stress"] is not None:
        results["stress"] = np.array(content["stress"]).reshape(9)[[0, 4, 8, 5, 2, 1]]
    structure.calc = SinglePointCalculator(structure, **results)
    return structure
