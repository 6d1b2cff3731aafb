"""Read labelled structures from any file ASE reads, find the labels, and judge them before anything is trained.

Nothing is converted silently: the only conversions are virial to stress and six Voigt numbers to 3×3, and both are
told in the report. Data in other units are refused, in words, with what was measured.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from ase import Atoms
from ase.io import read as ase_read
from ase.io.formats import UnknownFileTypeError, filetype

from mlip_lab.core.errors import DataError, InputError
from mlip_lab.core.frame import Frame
from mlip_lab.data.distances import nearest_neighbors
from mlip_lab.data.judge import Reading, judge
from mlip_lab.data.labels import Labels, find_labels
from mlip_lab.data.report import DataReport

Source: TypeAlias = str | Path | Atoms | Sequence[str | Path | Atoms]

CLOSEST = 0.3  # Å; no two atoms of matter come this close
_OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_KNOWN = (".xyz", ".extxyz", ".traj", ".db", ".vasp")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled frames and what is known about them.

    Attributes:
        frames: The frames, in the order read.
        report: What was found and how it was judged.
        elements: Chemical symbols, by atomic number.
        hash: SHA-256 over numbers, positions, cells, periodicity and labels.
    """

    frames: tuple[Frame, ...]
    report: DataReport
    elements: tuple[str, ...]
    hash: str

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.frames)


def read_frames(source: Source) -> Dataset:
    """Read frames with their labels, refusing what cannot be trained on.

    Args:
        source: A file, a folder (searched through), ASE Atoms, or a list of these.

    Returns:
        The frames in Å, eV, eV/Å and eV/Å³, with the report.

    Raises:
        InputError: If `source` is not one of these, or does not exist.
        DataError: If a file cannot be read or the report holds problems; the message names them.
    """
    reading = _read(source)
    report = judge(reading)
    if report.problems:
        shown = "\n".join(f"  - {problem}" for problem in report.problems[:5])
        more = f"\n  - and {len(report.problems) - 5} more" if len(report.problems) > 5 else ""
        raise DataError(f"The data cannot be used:\n{shown}{more}")
    return Dataset(tuple(reading.frames), report, report.elements, frames_hash(reading.frames))


def inspect(source: Source) -> DataReport:
    """Report what labels are in the data and whether they make sense; unusable data are reported, not refused.

    Args:
        source: A file, a folder (searched through), ASE Atoms, or a list of these.

    Returns:
        The report: print it. Its `problems` are what `read_frames` refuses.

    Raises:
        InputError: If `source` is not one of these, or does not exist.
        DataError: If a file cannot be read at all.
    """
    return judge(_read(source))


def frames_hash(frames: Sequence[Frame]) -> str:
    """SHA-256 over the arrays of the frames; file names and kinds do not count."""
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(frame.numbers.astype("<i8").tobytes() + frame.pbc.astype("u1").tobytes())
        for name in ("positions", "cell", "energy", "forces", "stress"):
            value = getattr(frame, name)
            digest.update(b"-" if value is None else b"+" + np.asarray(value, dtype="<f8").tobytes())
    return digest.hexdigest()


def _read(source: Source) -> Reading:
    reading = Reading()
    for atoms, file, index in _structures(source, reading):
        where = f"frame {index} of {file}" if file else f"frame {index}"
        try:
            labels = find_labels(atoms)
            frame = _frame(atoms, labels, f"{file}#{index}" if file else f"#{index}")
        except DataError as error:
            reading.problems.append(f"{where}: {error}")
            continue
        if not reading.seen:
            reading.seen = tuple(sorted({*atoms.info, *atoms.arrays} - {"numbers", "positions"}, key=str))
        if frame.energy is None and frame.forces is None and frame.stress is None:
            reading.unlabelled += 1
            reading.unknown.update(labels.unknown)
            continue
        reading.frames.append(frame)
        reading.labels.append(labels)
        reading.files.append(file)
    if not (reading.frames or reading.problems or reading.unlabelled):
        raise DataError(f"No structures found in {_shown(source)}. Give files that hold labelled structures.")
    return reading


def _structures(source: Source, reading: Reading) -> Iterator[tuple[Atoms, str, int]]:
    """Every structure with its file and its index there."""
    items = [source] if isinstance(source, (str, Path, Atoms)) else source
    if not isinstance(items, Sequence) or not all(isinstance(item, (str, Path, Atoms)) for item in items):
        raise InputError(f"source: expected a file, a folder, ASE Atoms or a list of these, got {_shown(source)}.")
    if not items:
        raise InputError("source: expected at least one file or structure, got an empty list.")
    for number, item in enumerate(items):
        if isinstance(item, Atoms):
            yield _current(item, number), "", number
            continue
        path = Path(item)
        if not str(item) or "\0" in str(item) or not path.exists():
            raise InputError(f"source: there is no file or folder {str(item)!r}. Check the path.")
        for file in _files(path):
            structures = _atoms_from_file(file, forgiving=path.is_dir())
            if structures is None:
                reading.not_read.append(str(file))
            for index, atoms in enumerate(structures or ()):
                yield atoms, str(file), index


def _shown(source: Any) -> str:
    return str(source) if isinstance(source, (str, Path)) else type(source).__name__


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    inside = (file for file in sorted(path.rglob("*")) if file.is_file())
    return [file for file in inside if not any(part.startswith(".") for part in file.relative_to(path).parts)]


def _current(atoms: Atoms, number: int) -> Atoms:
    """The structure, if its calculator's results belong to these positions."""
    results = getattr(atoms.calc, "results", None)
    if results and hasattr(atoms.calc, "check_state"):
        moved = {"positions", "numbers", "cell", "pbc"}.intersection(atoms.calc.check_state(atoms))
        if moved:
            raise DataError(
                f"frame {number}: its calculator holds results for other {' and '.join(sorted(moved))}. "
                "Compute the labels again for the structure as it is."
            )
    return atoms


def _atoms_from_file(path: Path, *, forgiving: bool) -> list[Atoms] | None:
    """All structures of a file; None if `forgiving` and it does not look like a file of structures."""
    name = path.name.lower()
    packed = _OPENERS.get(path.suffix.lower())
    inner = name[: -len(path.suffix)] if packed else name
    known = inner.endswith(_KNOWN) or name.startswith(("vasprun", "outcar"))
    try:
        kind = "extxyz" if inner.endswith((".xyz", ".extxyz")) else filetype(str(path))
        if kind in ("xyz", "extxyz"):
            with packed(path, "rt", encoding="utf-8") if packed else open(path, encoding="utf-8") as handle:
                return _xyz(handle.read(), path)
        found = ase_read(path, index=":", do_not_split_by_at_sign=True)
        structures = [found] if isinstance(found, Atoms) else [atoms for atoms in found if isinstance(atoms, Atoms)]
        return structures if structures or not forgiving else None
    except DataError:
        raise
    except Exception as error:  # ASE's readers raise anything on a damaged file
        if forgiving and not known:
            return None
        if isinstance(error, UnknownFileTypeError):
            raise DataError(f"{path}: not a format that ASE reads. Convert it to extended XYZ.") from error
        raise DataError(f"{path}: could not be read ({_reason(error)}). Is the file whole and of this type?") from error


def _reason(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200].rstrip(": ")


def _xyz(text: str, path: Path) -> list[Atoms]:
    """Extended XYZ through ASE, after a count of lines: ASE stops at a blank line and waits on a huge count."""
    lines = io.StringIO(text).readlines()  # not splitlines, which also splits at form feeds
    starts = _frame_starts(lines, path)
    try:
        return list(ase_read(io.StringIO(text), index=":", format="extxyz")) if starts else []
    except Exception:
        for index, (start, end) in enumerate(zip(starts, [*starts[1:], len(lines)], strict=True)):
            try:
                ase_read(io.StringIO("".join(lines[start:end])), format="extxyz")
            except Exception as error:
                raise DataError(
                    f"frame {index} of {path} (line {start + 1}): could not be read ({_reason(error)}). "
                    "Check that its line of labels and its columns agree with Properties=."
                ) from error
        raise


def _frame_starts(lines: list[str], path: Path) -> list[int]:
    starts: list[int] = []
    at = 0
    while at < len(lines):
        head = lines[at].strip()
        if not head:
            if "".join(lines[at:]).strip():
                raise DataError(f"{path}: blank line {at + 1} hides the frames after it. Delete it.")
            break
        if not head.isascii() or not head.isdigit() or int(head) == 0:
            wanted = f"line {at + 1} should say how many atoms frame {len(starts)} has"
            raise DataError(f"{path}: {wanted}, got {head!r:.60}. Is this an XYZ file?")
        if int(head) > len(lines) - at - 2:
            raise DataError(
                f"{path}: frame {len(starts)} (line {at + 1}) has {head[:20]} atoms, but the file ends before them. "
                "It was cut off: delete the last frame or write the file again."
            )
        if "properties" not in lines[at + 1].lower() and len(lines[at + 2].split()) > 4:
            raise DataError(
                f"{path}: frame {len(starts)} (line {at + 1}) has columns beyond x y z that nothing names. "
                "Name them in the comment line: Properties=species:S:1:pos:R:3:forces:R:3"
            )
        starts.append(at)
        at += int(head) + 2
        while at < len(lines) and lines[at].lstrip().startswith("VEC"):
            at += 1
    return starts


def _frame(atoms: Atoms, labels: Labels, source: str) -> Frame:
    """The structure as plain arrays, once it is seen to be one."""
    pbc = np.array(atoms.pbc, dtype=bool)
    numbers = np.array(atoms.numbers, dtype=np.int64)
    positions = np.array(atoms.positions, dtype=np.float64)
    cell = np.where(pbc[:, None], np.array(atoms.cell[:], dtype=np.float64), 0.0)
    if len(numbers) == 0:
        raise DataError("no atoms. Delete the frame.")
    if numbers.min() < 1:
        raise DataError("an atom without a known element. Give chemical symbols or atomic numbers from 1.")
    if not (np.isfinite(positions).all() and np.isfinite(cell).all()):
        raise DataError("NaN or infinity among positions or cell. Delete the frame.")
    if max(np.abs(positions).max(), np.abs(cell).max()) > 1e7:
        raise DataError("positions or cell beyond a millimetre. Give them in Å.")
    if pbc.any():
        edges = cell[pbc]
        lengths = np.linalg.norm(edges, axis=1)
        if lengths.min() < CLOSEST or np.linalg.svd(edges / lengths[:, None])[1].min() < 1e-4:
            raise DataError("periodic directions without a proper cell (zero volume). Correct Lattice or pbc.")
    distance, neighbor = nearest_neighbors(positions, cell, pbc, CLOSEST)
    if distance.min() < CLOSEST:
        i = int(distance.argmin())
        raise DataError(
            f"atoms {i} and {neighbor[i]} are {distance[i]:.3f} Å apart, closer than {CLOSEST} Å. "
            "Delete the frame, or convert the positions to Å if they are in nm or fractions of the cell."
        )
    kind = atoms.info.get("config_type", "")
    if not kind and isinstance(atoms.info.get("key_value_pairs"), dict):
        kind = atoms.info["key_value_pairs"].get("config_type", "")
    return Frame(numbers, positions, cell, pbc, labels.energy, labels.forces, labels.stress, str(kind), source)
