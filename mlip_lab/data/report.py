"""What a person is told about a set of labelled structures."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any

from mlip_lab.core.units import GPA

WIDTH = 100
_MARKS = {"good": "ok", "bad": "NO", "unknown": "?"}
_UNITS = {"energy": "eV/atom", "forces": "eV/Å", "stress": "GPa"}


@dataclass(frozen=True)
class LabelFound:
    """One quantity under one name.

    Attributes:
        quantity: "energy", "forces" or "stress".
        name: The name it was found under.
        frames: How many frames it was taken from.
    """

    quantity: str
    name: str
    frames: int


@dataclass(frozen=True)
class Judgement:
    """One question put to the data by physics.

    Attributes:
        about: What was asked.
        verdict: "good", "bad" or "unknown" (could not be judged).
        words: The answer with what was measured.
    """

    about: str
    verdict: str
    words: str


@dataclass(frozen=True)
class Consistency:
    """Energy differences over the work of a label along pairs of similar frames: 1 if they belong together.

    Attributes:
        slope: Energy difference per work of the label.
        error: Its standard error.
        pairs: Pairs of frames.
        offset: Constant the label lacks, GPa (hydrostatic stress only).
        offset_error: Its standard error, GPa.
    """

    slope: float
    error: float
    pairs: int
    offset: float | None = None
    offset_error: float | None = None


@dataclass(frozen=True)
class StressConsistency:
    """The mean of the diagonal and the traceless rest of the stress, each against dE/dstrain."""

    hydrostatic: Consistency | None
    shear: Consistency | None


@dataclass(frozen=True)
class DataReport:
    """What is in a set of labelled structures; print it.

    Attributes:
        sources: Files read, with the frames each gave.
        not_read: Files of a folder that hold no structures.
        n_frames: Frames with at least one label.
        n_atoms: Atoms in all of them.
        unlabelled: Structures without any label, left out.
        elements: Chemical symbols by atomic number.
        atoms_per_frame: Fewest and most.
        composition: Per element, smallest and largest fraction of a frame's atoms.
        volume_per_atom: Å³ per atom, smallest and largest among fully periodic frames; None if there are none.
        kinds: Frames per `config_type`.
        labels: What was found under which name.
        missing: Per quantity, frames without it.
        energy_range: eV/atom.
        force_range: eV/Å, smallest and largest of the frames' largest force.
        stress_range: eV/Å³, smallest and largest component.
        duplicates: Groups of frames with the same structure, as sources.
        outliers: (source, what is unusual).
        judgements: The questions put by physics.
        force_consistency: Forces against energy differences.
        stress_consistency: Stress against energy differences.
        forces_trusted: Whether forces belong to the energies; None if it could not be judged.
        hydrostatic_stress_trusted: Whether the pressure may be trained on; None if it could not be judged.
        shear_stress_trusted: The same for the traceless part.
        notes: What a person should know.
        problems: Why the data cannot be used; empty if they can.
    """

    sources: dict[str, int]
    not_read: tuple[str, ...]
    n_frames: int
    n_atoms: int
    unlabelled: int
    elements: tuple[str, ...]
    atoms_per_frame: tuple[int, int]
    composition: dict[str, tuple[float, float]]
    volume_per_atom: tuple[float, float] | None
    kinds: dict[str, int]
    labels: tuple[LabelFound, ...]
    missing: dict[str, int]
    energy_range: tuple[float, float] | None
    force_range: tuple[float, float] | None
    stress_range: tuple[float, float] | None
    duplicates: tuple[tuple[str, ...], ...]
    outliers: tuple[tuple[str, str], ...]
    judgements: tuple[Judgement, ...]
    force_consistency: Consistency | None
    stress_consistency: StressConsistency | None
    forces_trusted: bool | None
    hydrostatic_stress_trusted: bool | None
    shear_stress_trusted: bool | None
    notes: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def usable(self) -> bool:
        """Whether `read_frames` accepts the data."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """The report as a dictionary that JSON can hold."""
        return {**asdict(self), "usable": self.usable}

    def __str__(self) -> str:
        """The report as a person reads it in a terminal."""
        return "\n".join(line.rstrip() for part in self._parts() for line in part)

    def _parts(self) -> Iterator[list[str]]:
        yield [self._title()]
        if self.problems:
            yield ["", "Cannot be used", *_bullets(self.problems)]
        if self.n_frames:
            yield ["", "Labels", *self._label_lines()]
            yield ["", "Structures", *self._structure_lines()]
        if self.judgements:
            width = max(len(judgement.about) for judgement in self.judgements)
            yield ["", "Judged by physics"]
            for judgement in self.judgements:
                head = f"  {_MARKS[judgement.verdict]:<3} {judgement.about:<{width}}  "
                yield _wrapped(head, judgement.words)
        if self.notes:
            yield ["", "Worth knowing", *_bullets(self.notes)]

    def _title(self) -> str:
        what = next(iter(self.sources), "") if len(self.sources) == 1 else f"{len(self.sources)} files"
        title = f"{_counted(self.n_frames, 'labelled frame')}, {_counted(self.n_atoms, 'atom')}"
        title += f", {' '.join(self.elements)}" if self.elements else ""
        return f"{what}: {title}" if self.sources and what else title

    def _label_lines(self) -> list[str]:
        ranges = {"energy": self.energy_range, "forces": self.force_range, "stress": self.stress_range}
        lines = []
        for quantity, unit in _UNITS.items():
            found = [label for label in self.labels if label.quantity == quantity]
            if not found:
                lines.append(f"  {quantity:<8} none")
            span = ranges[quantity]
            for label in found:
                head = f"  {quantity:<8} {label.frames:>6} frames  from {label.name:<14}"
                if span is not None and label is found[0]:
                    factor = 1.0 / GPA if quantity == "stress" else 1.0
                    what = "largest on an atom " if quantity == "forces" else ""
                    head += f"  {what}{_number(span[0] * factor)} to {_number(span[1] * factor)} {unit}"
                lines.append(head)
        return lines

    def _structure_lines(self) -> list[str]:
        low, high = self.atoms_per_frame
        lines = [f"  atoms    {low} a frame" if low == high else f"  atoms    {low} to {high} a frame"]
        if self.volume_per_atom is None:
            lines.append("  volume   no frame is periodic in all three directions")
        else:
            lines.append(f"  volume   {self.volume_per_atom[0]:.2f} to {self.volume_per_atom[1]:.2f} Å³ an atom")
        if len(self.elements) > 1:
            parts = [f"{symbol} {100 * a:.0f}-{100 * b:.0f} %" for symbol, (a, b) in self.composition.items()]
            lines += _wrapped("  content  ", ", ".join(parts))
        if any(self.kinds):
            named = [f"{kind or 'unnamed'} {count}" for kind, count in self.kinds.items()]
            named = [*named[:12], f"and {len(named) - 12} more"] if len(named) > 12 else named
            lines += _wrapped("  kinds    ", ", ".join(named))
        if len(self.sources) > 1:
            files = [f"{PurePath(file).name} {count}" for file, count in self.sources.items()]
            files = [*files[:8], f"and {len(files) - 8} more"] if len(files) > 8 else files
            lines += _wrapped("  files    ", ", ".join(files))
        return lines


def _number(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.1f}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _wrapped(head: str, words: str) -> list[str]:
    return textwrap.wrap(
        words,
        WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _bullets(lines: tuple[str, ...]) -> list[str]:
    shown = [*lines[:12], f"and {len(lines) - 12} more"] if len(lines) > 12 else lines
    return [row for line in shown for row in _wrapped("  - ", line)]
