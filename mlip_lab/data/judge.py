"""Turn what was read into a report: counts and ranges, and the questions that physics answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mlip_lab.core.frame import Frame
from mlip_lab.data.consistency import Slope, StressSlopes, compare
from mlip_lab.data.labels import NAMES, Labels
from mlip_lab.data.report import Consistency, DataReport, LabelFound, StressConsistency
from mlip_lab.data.scales import (
    Verdicts,
    isolated_atoms,
    judge_distances,
    judge_energy_unit,
    judge_force_sum,
    judge_forces,
    judge_stress,
    symbols,
)

Floats = NDArray[np.float64]
UNITS = {"energy": "eV", "forces": "eV/Å", "stress": "eV/Å³"}


@dataclass
class Reading:
    """What came out of the files: frames and their labels side by side, and what could not be taken."""

    frames: list[Frame] = field(default_factory=list)
    labels: list[Labels] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    not_read: list[str] = field(default_factory=list)
    unlabelled: int = 0
    seen: tuple[str, ...] = ()
    unknown: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


def judge(reading: Reading) -> DataReport:
    """Count, measure and judge.

    Args:
        reading: Frames with their labels.

    Returns:
        The report.
    """
    frames = reading.frames
    out = Verdicts(problems=list(reading.problems))
    _zeros(reading, out)
    slope, curvature, stress = compare(frames)
    judge_energy_unit(frames, curvature, out)
    residuals = _energy_scale(reading, out)
    judge_forces(slope, frames, out)
    judge_force_sum(frames, out)
    judge_stress(stress, frames, out)
    judge_distances(frames, out)
    duplicates = _duplicates(frames, out)
    outliers = _outliers(frames, residuals)
    _names(reading, out)
    _missing(reading, out)
    for source, why in outliers[:5]:
        out.notes.append(f"Unusual: {source}, {why}")
    if len(outliers) > 5:
        out.notes.append(f"{len(outliers) - 5} more unusual frames (see `outliers`).")
    elements = sorted({int(z) for frame in frames for z in np.unique(frame.numbers)})
    sizes = [len(frame.numbers) for frame in frames]
    volumes = [frame.volume / len(frame.numbers) for frame in frames if frame.pbc.all()]
    per_atom = [frame.energy / len(frame.numbers) for frame in frames if frame.energy is not None]
    return DataReport(
        sources=dict(Counter(reading.files)) if any(reading.files) else {},
        not_read=tuple(reading.not_read),
        n_frames=len(frames),
        n_atoms=sum(sizes),
        unlabelled=reading.unlabelled,
        elements=symbols(elements),
        atoms_per_frame=(min(sizes, default=0), max(sizes, default=0)),
        composition=_composition(frames, elements),
        volume_per_atom=_span(volumes),
        kinds=dict(Counter(frame.kind for frame in frames).most_common()),
        labels=_found(reading),
        missing={q: sum(getattr(frame, q) is None for frame in frames) for q in NAMES},
        energy_range=_span(per_atom),
        force_range=_span([_largest_force(frame) for frame in frames if frame.forces is not None]),
        stress_range=_span([float(x) for f in frames if f.stress is not None for x in f.stress.ravel()]),
        duplicates=duplicates,
        outliers=outliers,
        judgements=tuple(out.judgements),
        force_consistency=_consistency(slope),
        stress_consistency=_stress_consistency(stress),
        forces_trusted=out.forces_trusted,
        hydrostatic_stress_trusted=out.hydrostatic_trusted,
        shear_stress_trusted=out.shear_trusted,
        notes=tuple(out.notes),
        problems=tuple(out.problems),
    )


def _span(values: Sequence[float]) -> tuple[float, float] | None:
    return (float(min(values)), float(max(values))) if len(values) else None


def _consistency(slope: Slope | None, offset: float | None = None, error: float | None = None) -> Consistency | None:
    if slope is None or not np.isfinite([slope.slope, slope.error]).all():
        return None
    known = offset is not None and error is not None and bool(np.isfinite([offset, error]).all())
    return Consistency(slope.slope, slope.error, slope.pairs, offset if known else None, error if known else None)


def _stress_consistency(stress: StressSlopes | None) -> StressConsistency | None:
    if stress is None:
        return None
    hydrostatic = _consistency(stress.hydrostatic, stress.offset, stress.offset_error)
    return StressConsistency(hydrostatic, _consistency(stress.shear))


def _largest_force(frame: Frame) -> float:
    return float(np.linalg.norm(frame.forces, axis=1).max()) if frame.forces is not None else 0.0


def _composition(frames: Sequence[Frame], elements: Sequence[int]) -> dict[str, tuple[float, float]]:
    shares = _counts(frames, elements)
    shares = shares / shares.sum(axis=1, keepdims=True)
    spans = [_span(shares[:, column].tolist()) or (0.0, 0.0) for column in range(len(elements))]
    return dict(zip(symbols(elements), spans, strict=True))


def _counts(frames: Sequence[Frame], elements: Sequence[int]) -> Floats:
    return np.array([[np.count_nonzero(f.numbers == z) for z in elements] for f in frames], dtype=np.float64).reshape(
        len(frames), len(elements)
    )


def _found(reading: Reading) -> tuple[LabelFound, ...]:
    counts = Counter((quantity, name) for labels in reading.labels for quantity, name in labels.names.items())
    return tuple(LabelFound(q, name, n) for q in NAMES for (found, name), n in counts.most_common() if found == q)


def _zeros(reading: Reading, out: Verdicts) -> None:
    """Refuse what was never labelled: no energies, energies or forces all zero."""
    frames = reading.frames
    energies = [frame.energy for frame in frames if frame.energy is not None]
    forces = [frame.forces for frame in frames if frame.forces is not None]
    if not energies and not (reading.problems and not frames):
        total = len(frames) + reading.unlabelled
        unknown = reading.unknown.union(*(labels.unknown for labels in reading.labels))
        seen = ", ".join(sorted(unknown) or [str(name) for name in reading.seen[:12]]) or "no entries at all"
        out.problems.append(
            f"no energy on any of the {total} frames. Looked for {', '.join(NAMES['energy'])}, bare or behind REF_ or "
            f"DFT_; the frames carry: {seen}. Rename the entry that holds the total energy in eV to energy."
        )
    if len(energies) > 1 and not any(energies):
        out.problems.append("every energy is zero. Were the labels computed? Give total energies in eV.")
    empty = sum(not force.any() for force in forces)
    if forces and empty == len(forces):
        out.problems.append(
            f"all forces are zero on all {empty} frames with forces. Were they computed? Delete them if they are "
            "zero by symmetry, and the energies alone will be used."
        )
    elif empty:
        out.notes.append(f"Forces are exactly zero on {empty} frames: right only where symmetry makes them so.")


def _names(reading: Reading, out: Verdicts) -> None:
    """Tell which names were taken or passed over, and what was done to values."""
    passed: dict[tuple[str, str, str], list[float]] = {}
    for labels in reading.labels:
        for key, difference in labels.passed_over.items():
            passed.setdefault(key, []).append(difference)
    for (quantity, name, other), differences in passed.items():
        largest = max(differences)
        same = "they are equal" if largest < 1e-9 else f"they differ by up to {largest:.4g} {UNITS[quantity]}"
        out.notes.append(f"{name} taken for {quantity} on {len(differences)} frames that also carry {other}: {same}.")
    for quantity in NAMES:
        several = sorted({labels.names[quantity] for labels in reading.labels if quantity in labels.names})
        if len(several) > 1:
            out.notes.append(f"{quantity} comes under {' and '.join(several)}: check that it is one calculation.")
    for remark, count in Counter(remark for labels in reading.labels for remark in labels.remarks).most_common():
        out.notes.append(f"{remark} ({count} frames).")
    unknown = sorted(reading.unknown.union(*(labels.unknown for labels in reading.labels)))
    if unknown:
        out.notes.append(f"Not recognised as labels, and not used: {', '.join(unknown[:10])}.")


def _missing(reading: Reading, out: Verdicts) -> None:
    """Tell where labels are missing, and what of the source was left out."""
    n = len(reading.frames)
    for quantity in NAMES:
        without = [frame for frame in reading.frames if getattr(frame, quantity) is None]
        if 0 < len(without) < n:
            kinds = Counter(frame.kind for frame in without if frame.kind).most_common(4)
            where = f" ({', '.join(f'{kind} {count}' for kind, count in kinds)})" if kinds else ""
            out.notes.append(f"No {quantity} on {len(without)} of {n} frames{where}.")
    if reading.unlabelled:
        out.notes.append(f"{reading.unlabelled} structures without any label left out.")
    if reading.not_read:
        shown = ", ".join(reading.not_read[:4])
        out.notes.append(f"{len(reading.not_read)} files hold no structures: {shown}.")


def _energy_scale(reading: Reading, out: Verdicts) -> dict[int, float]:
    """Fit one energy per element; tell whether all frames share that scale; residuals in eV/atom by frame."""
    frames = reading.frames
    alone = isolated_atoms(frames)
    if alone:
        listed = ", ".join(f"{symbols([z])[0]} {energy:.3f} eV" for z, energy in sorted(alone.items()))
        out.notes.append(f"Isolated atoms among the frames: {listed}.")
    use = [i for i, f in enumerate(frames) if f.energy is not None and (len(f.numbers) > 1 or f.pbc.any())]
    if len(use) < 2:
        return {}
    energies = np.array([frames[i].energy for i in use], dtype=np.float64)
    counts = _counts([frames[i] for i in use], sorted({int(z) for i in use for z in np.unique(frames[i].numbers)}))
    sizes = counts.sum(axis=1)
    residual = _robust_residual(counts / sizes[:, None], energies / sizes)
    if _per_atom(counts, energies, sizes, out):
        return {}
    level = np.abs(energies / sizes)
    if level.max() < 1.0 and np.median(level) < 0.3:
        out.notes.append(
            f"Energies are small ({np.median(level):.2g} eV/atom): relative ones (mixing, formation), not total "
            "energies. Differences can be learned, cohesion cannot."
        )
    bad = ""
    groupings: tuple[tuple[str, Callable[[int], str]], ...] = (
        ("file", lambda i: reading.files[i]),
        ("kind", lambda i: frames[i].kind),
    )
    for what, key in groupings:
        bad = bad or _apart(what, [key(i) for i in use], residual)
    words = bad or f"one scale: {1000 * float(np.std(residual)):.3g} meV/atom about one energy per element"
    out.add("per-atom energies", not bad, words)
    if bad:
        out.notes.append(f"Energies are not on one scale: {bad}. Never mix codes or pseudopotentials.")
    return dict(zip(use, residual.tolist(), strict=True))


def _robust_residual(design: Floats, values: Floats) -> Floats:
    """Residual of a linear fit that outliers do not drag (least absolute deviations by reweighting)."""
    weights = np.ones(len(values))
    residual = values
    for _ in range(15):
        fit = np.linalg.lstsq(design * weights[:, None], values * weights, rcond=1e-10)[0]
        residual = values - design @ fit
        weights = 1.0 / np.sqrt(np.maximum(np.abs(residual), 1e-6))
    return residual


def _per_atom(counts: Floats, energies: Floats, sizes: Floats, out: Verdicts) -> bool:
    """Refuse energies that do not grow with the number of atoms."""
    if sizes.max() < 1.5 * sizes.min() or np.median(np.abs(energies)) < 1.0:
        return False
    total = np.median(np.abs(_robust_residual(counts, energies)))
    each = np.median(np.abs(_robust_residual(counts / sizes[:, None], energies)))
    if each > 0.1 * total:
        return False
    words = f"frames of {sizes.min():.0f} to {sizes.max():.0f} atoms have energies of about the same size"
    out.add("per-atom energies", False, f"energies are per atom: {words}")
    out.problems.append(f"energies look like energies per atom: {words}. Multiply by the number of atoms.")
    return True


def _apart(what: str, names: Sequence[str], residual: Floats) -> str:
    """Words on a group of frames whose energies lie far from those of the others, or nothing."""
    array = np.array(names)
    for name in sorted(set(names)):
        inside, outside = residual[array == name], residual[array != name]
        if len(inside) < 2 or len(outside) < 2:
            continue
        gap = float(np.median(inside) - np.median(outside))
        spread = float(np.std(inside) + np.median(np.abs(outside - np.median(outside))))
        if abs(gap) > max(2.0, 5.0 * spread):  # phases of one element differ by less than 2 eV/atom
            return f"{what} {name or 'unnamed'} lies {gap:+.3g} eV/atom from the others"
    return ""


def _duplicates(frames: Sequence[Frame], out: Verdicts) -> tuple[tuple[str, ...], ...]:
    """Frames with equal cells, elements and positions (to 1e-4 Å)."""
    same: dict[bytes, list[Frame]] = {}
    for frame in frames:
        rounded = np.round(np.concatenate([frame.positions, frame.cell]) * 1e4).astype(np.int64)
        same.setdefault(frame.numbers.tobytes() + frame.pbc.tobytes() + rounded.tobytes(), []).append(frame)
    groups = [group for group in same.values() if len(group) > 1]
    if groups:
        extra = sum(len(group) - 1 for group in groups)
        spreads = []
        for group in groups:
            energies = [f.energy / len(f.numbers) for f in group if f.energy is not None]
            spreads.append(max(energies, default=0.0) - min(energies, default=0.0))
        worst = max(spreads)
        example = " and ".join(frame.source for frame in groups[int(np.argmax(spreads))][:2])
        told = f"energies differ by up to {1000 * worst:.3g} meV/atom" if worst > 1e-6 else "with equal energies"
        out.notes.append(f"{extra} frames repeat the structure of another, {told} ({example}).")
    return tuple(tuple(frame.source for frame in group) for group in groups)


def _outliers(frames: Sequence[Frame], residuals: dict[int, float]) -> tuple[tuple[str, str], ...]:
    """Frames whose energy or largest force stands out among their kind."""
    found: list[tuple[str, str]] = []
    kinds: dict[str, list[int]] = {}
    for i, frame in enumerate(frames):
        kinds.setdefault(frame.kind, []).append(i)
    for members in kinds.values():
        with_energy = [i for i in members if i in residuals]
        values = np.array([residuals[i] for i in with_energy])
        for place in _standing_out(values, 0.3):
            off = values[place] - np.median(values)
            found.append((frames[with_energy[place]].source, f"energy {off:+.3g} eV/atom from its kind"))
        with_forces = [i for i in members if frames[i].forces is not None]
        largest = np.array([_largest_force(frames[i]) for i in with_forces])
        for place in np.union1d(_standing_out(largest, 10.0), np.flatnonzero(largest > 100.0)).astype(int):
            found.append((frames[with_forces[place]].source, f"force of {largest[place]:.3g} eV/Å on an atom"))
    return tuple(found)


def _standing_out(values: Floats, least: float) -> NDArray[np.intp]:
    """Places more than 12 robust standard deviations, and more than `least`, from the median of ten or more."""
    if len(values) < 10:
        return np.empty(0, dtype=np.intp)
    off = np.abs(values - np.median(values))
    places = np.flatnonzero((off > least) & (off > 12.0 * 1.4826 * np.median(off)))
    return places if len(places) <= max(1, len(values) // 10) else places[:0]  # many are a group, not outliers
