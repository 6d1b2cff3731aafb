"""Units and signs as physics sees them: which question is asked of the labels, and what the answer means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from ase.data import chemical_symbols, covalent_radii
from numpy.typing import NDArray

from mlip_lab.core.frame import Frame
from mlip_lab.core.units import GPA
from mlip_lab.data.consistency import Slope, StressSlopes
from mlip_lab.data.distances import nearest_neighbors
from mlip_lab.data.report import Judgement

Floats = NDArray[np.float64]

HARTREE = 27.211386  # eV
BOHR = 0.52917721  # Å
ENERGY_UNITS = {"eV": 1.0, "Hartree": HARTREE, "Rydberg": HARTREE / 2, "kcal/mol": 0.04336411, "kJ/mol": 0.01036427}
FORCE_UNITS = {
    "eV/Å": 1.0,
    "Hartree/Bohr": HARTREE / BOHR,
    "Rydberg/Bohr": HARTREE / 2 / BOHR,
    "Hartree/Å": HARTREE,
    "eV/Bohr": 1.0 / BOHR,
    "kcal/mol/Å": 0.04336411,
    "kJ/mol/Å": 0.01036427,
    "kJ/mol/nm": 0.001036427,
    "eV/nm": 0.1,
}
# What a person has in mind when the ratio of units is one of several that look alike: earlier is likelier.
UNIT_PAIRS = (
    ("Hartree", "Hartree/Bohr"),
    ("Rydberg", "Rydberg/Bohr"),
    *(("eV", force) for force in FORCE_UNITS),
    *((energy, "eV/Å") for energy in ENERGY_UNITS),
    ("kJ/mol", "kJ/mol/nm"),
)
STRESS_UNITS = {
    "GPa": GPA,
    "kbar": 0.1 * GPA,
    "bar": 1e-4 * GPA,
    "MPa": 1e-3 * GPA,
    "Hartree/Bohr³": HARTREE / BOHR**3,
    "Rydberg/Bohr³": HARTREE / 2 / BOHR**3,
}
SAME = 0.15  # a slope this near 1 is 1: anharmonic errors of real pairs stay below a tenth
STIFFNESS = (0.4, 100.0)  # eV/Å²; soft metals to covalent bonds
SMALLEST_BIAS = 0.5  # GPa; less is within what basis sets and k-points leave


@dataclass
class Verdicts:
    """What has been judged so far."""

    judgements: list[Judgement] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    forces_trusted: bool | None = None
    hydrostatic_trusted: bool | None = None
    shear_trusted: bool | None = None

    def add(self, about: str, good: bool | None, words: str) -> None:
        """Note one answer."""
        verdict = {True: "good", False: "bad", None: "unknown"}[good]
        self.judgements.append(Judgement(about, verdict, words))


def free_atom_energy(number: int) -> float:
    """Energy in eV of a free atom with all its electrons, to about 1 %.

    Statistical atom with Scott and exchange corrections (Schwinger, DOI 10.1103/PhysRevA.24.2353); H exact.
    """
    if number == 1:
        return -0.5 * HARTREE
    z = float(number)
    return HARTREE * (-0.768745 * math.pow(z, 7 / 3) + 0.5 * z * z - 0.269900 * math.pow(z, 5 / 3))


def judge_energy_unit(frames: Sequence[Frame], curvature: float | None, out: Verdicts) -> None:
    """Hold energies against free atoms, whether all-electron or given as frames, and forces against stiffness."""
    known = [frame for frame in frames if frame.energy is not None]
    if not known:
        return
    about = "unit of energy"
    ratios = [_energy(frame) / sum(free_atom_energy(int(z)) for z in frame.numbers) for frame in known]
    ratio = float(np.median(ratios))
    unit = next((name for name, ev in ENERGY_UNITS.items() if abs(ratio * ev - 1.0) < 0.04), "")
    # Pseudopotential energies of heavier elements can fall on Hartree or Rydberg by chance, never above eV.
    certain = ratio > 2.0 or max(int(frame.numbers.max()) for frame in known) <= 10
    if unit == "eV":
        out.add(about, True, f"eV: all-electron energies, {ratio:.3f} of the sum of the free atoms")
        return
    if unit and certain:
        words = f"energies look like {unit}: they are {ratio:.4g} times the all-electron energy of the atoms in eV"
        out.add(about, False, words)
        out.problems.append(f"{words}. Multiply energies by {ENERGY_UNITS[unit]:.6g} (and forces by theirs).")
        return
    binding = _binding(known)
    if binding is not None and not -1.0 < binding < 15.0:
        words = f"bound by {binding:.4g} an atom against the isolated atoms; matter is by 0 to 9 eV"
        out.add(about, False, words)
        out.problems.append(f"energies cannot be eV: {words}. Convert to eV, or mend the isolated atoms.")
    elif binding is not None:
        out.add(about, True, f"eV: bound by {binding:.3g} eV an atom against the isolated atoms")
    elif curvature is not None and STIFFNESS[0] < curvature < STIFFNESS[1]:
        out.add(about, True, f"eV fits: forces stiffen by {curvature:.3g} eV/Å per Å moved, as matter's do")
    elif curvature is not None:
        guess = "kcal/mol or kJ/mol" if curvature > 1.0 else "Hartree or Rydberg"
        words = f"forces stiffen by {curvature:.3g} per Å moved; 1 to 50 eV/Å² is usual: {guess}?"
        out.add(about, False, words)
        out.notes.append(f"Check the unit of energies and forces: {words}")
    else:
        out.add(about, None, "nothing to hold energies against; taken as eV")


def _energy(frame: Frame) -> float:
    return float(frame.energy) if frame.energy is not None else math.nan


def isolated_atoms(frames: Sequence[Frame]) -> dict[int, float]:
    """Energies of the frames that are one atom alone, by atomic number."""
    alone = [f for f in frames if len(f.numbers) == 1 and not f.pbc.any() and f.energy is not None]
    return {int(frame.numbers[0]): _energy(frame) for frame in alone}


def _binding(frames: Sequence[Frame]) -> float | None:
    """Median energy by which an atom is bound against the isolated atoms among the frames."""
    atoms = isolated_atoms(frames)
    bound = [
        (sum(atoms[int(z)] for z in frame.numbers) - _energy(frame)) / len(frame.numbers)
        for frame in frames
        if len(frame.numbers) > 1 and all(int(z) in atoms for z in frame.numbers)
    ]
    return float(np.median(bound)) if bound else None


def judge_forces(slope: Slope | None, frames: Sequence[Frame], out: Verdicts) -> None:
    """Say whether forces are the slope of the energies, and in which unit and sign if not."""
    about = "forces against energy"
    if not any(frame.forces is not None for frame in frames):
        return
    if slope is None:
        out.add(about, None, "no frames close enough to each other to compare energies")
        return
    measured = f"ΔE is {_with_error(slope)} of their work over {slope.pairs} pairs of similar frames"
    if abs(slope.slope - 1.0) < SAME + min(slope.error, 0.1):
        out.forces_trusted = True
        out.add(about, True, measured)
        return
    if slope.error > 0.1 * abs(slope.slope) or slope.unexplained > 0.4:
        out.add(about, None, f"not clear: {measured}, with {100 * slope.unexplained:.0f} % unexplained")
        return
    out.forces_trusted = False
    guess = _force_guess(slope.slope, frames)
    out.add(about, False, f"{measured}, 1 expected" + (f": {guess}" if guess else ""))
    if guess:
        what = "Convert to eV and eV/Å (ase.units has Hartree, Rydberg, Bohr, kcal, kJ, mol)"
        what = "Change the sign of the forces" if guess.startswith("gradients") else what
        what = "Multiply energies by the number of atoms" if "per atom" in guess else what
        out.problems.append(f"forces do not belong to the energies: {measured}, 1 expected: {guess}. {what}.")
    else:
        out.notes.append(f"Forces and energies disagree ({measured}): not from one calculation, or other units.")


def _with_error(slope: Slope) -> str:
    return f"{slope.slope:.4g} ± {max(slope.error, 0.001 * abs(slope.slope)):.1g}"


def _force_guess(slope: float, frames: Sequence[Frame]) -> str:
    sizes = {len(frame.numbers) for frame in frames}
    if slope < 0:
        other = "" if abs(slope + 1.0) < SAME else _force_guess(-slope, frames)
        return "gradients, not forces (their sign is the other)" if abs(slope + 1.0) < SAME or other else ""
    if len(sizes) == 1 and abs(math.log(slope * max(sizes))) < 0.1:
        return "as with energies per atom"
    for energy, force in UNIT_PAIRS:
        ratio = FORCE_UNITS[force] / ENERGY_UNITS[energy]
        if abs(math.log(ratio)) > SAME and abs(math.log(slope / ratio)) < 0.1:
            return f"as with energies in {energy} and forces in {force}"
    if abs(math.log(slope / BOHR)) < 0.1:
        return "as with positions in Bohr beside eV and eV/Å"
    return ""


def judge_stress(slopes: StressSlopes | None, frames: Sequence[Frame], out: Verdicts) -> None:
    """Say whether stress is the strain derivative of the energies, its pressure and its shear apart."""
    stresses = np.array([frame.stress for frame in frames if frame.stress is not None])
    if len(stresses) == 0:
        return
    typical = float(np.median(np.abs(stresses).max(axis=(1, 2))))
    if slopes is None and typical > 0.6:
        words = f"typically {typical:.3g} in the file, {typical / GPA:.0f} GPa if that is eV/Å³: GPa, kbar or bar?"
        out.hydrostatic_trusted = out.shear_trusted = False
        out.add("stress", False, words)
        out.notes.append(f"Stress is not to be trusted: {words} Give it in eV/Å³.")
        return
    if slopes is None:
        out.add("stress", None, "no strained frames close enough to each other to compare energies")
        return
    out.hydrostatic_trusted = _judge_slope("hydrostatic stress", slopes.hydrostatic, slopes, out)
    out.shear_trusted = _judge_slope("shear stress", slopes.shear, None, out)


def _judge_slope(about: str, slope: Slope | None, offset: StressSlopes | None, out: Verdicts) -> bool | None:
    if slope is None or slope.error > 0.15 * max(1e-3, abs(slope.slope)) or slope.unexplained > 0.4:
        out.add(about, None, "too few or too little strained frames to tell")
        return None
    words = f"ΔE is {_with_error(slope)} of its work over {slope.pairs} pairs of strained frames"
    if abs(slope.slope - 1.0) > SAME:
        guess = _stress_guess(slope.slope)
        out.add(about, False, f"{words}, 1 expected{guess}")
        out.notes.append(f"{about.capitalize()} is not to be trusted: {words}, 1 expected{guess}.")
        return False
    if offset is None:
        out.add(about, True, words)
        return True
    error = max(offset.offset_error, 0.01)
    measured = f"{offset.offset:+.2f} ± {error:.2f} GPa"
    if abs(offset.offset) > max(SMALLEST_BIAS, 4.0 * error):
        out.add(about, False, f"biased: dE/dV asks for {measured} on each diagonal component")
        out.notes.append(
            f"The pressure is not to be trained on: dE/dV asks for {measured} on each diagonal component of the "
            "stress, as when the basis set stays fixed while the cell changes (Pulay stress)."
        )
        return False
    out.add(about, True, f"{words}, offset {measured}")
    return True


def _stress_guess(slope: float) -> str:
    sign = "the other sign (pressure positive, or +virial/V)" if slope < 0 else ""
    size = abs(slope)
    unit = next((name for name, value in STRESS_UNITS.items() if abs(math.log(max(size, 1e-30) / value)) < 0.15), "")
    parts = [*([sign] if sign else []), *([f"unit {unit}, not eV/Å³"] if unit else [])]
    known = bool(unit) or abs(size - 1.0) < SAME
    return ": " + ", ".join(parts) if known and parts else ""


def judge_force_sum(frames: Sequence[Frame], out: Verdicts) -> None:
    """Say whether forces on all atoms add to zero, as they do unless something outside pulls."""
    forces = [frame.forces for frame in frames if frame.forces is not None and len(frame.forces) > 1]
    if not forces:
        return
    net = np.array([np.linalg.norm(force.sum(axis=0)) / len(force) for force in forces])
    # Independent forces of this size would add to about rms / sqrt(n) an atom.
    random = np.array([np.sqrt(np.square(force).sum(axis=1).mean() / len(force)) for force in forces])
    good = bool(np.median(net) <= 0.1 * np.median(random) + 1e-3)
    words = f"{np.median(net):.1g} eV/Å an atom (median), {net.max():.1g} at most"
    out.add("sum of forces", good, f"{'zero: ' if good else 'not zero: '}{words}")
    if not good:
        out.notes.append(f"Forces do not add to zero ({words}): constraints, an external field, or a wrong column?")


def judge_distances(frames: Sequence[Frame], out: Verdicts) -> None:
    """Hold nearest distances against covalent radii, on a sample of the frames."""
    many = [frame for frame in frames if len(frame.numbers) > 1 or frame.pbc.any()]
    ratios: list[Floats] = []
    shortest = math.inf
    for frame in many[:: max(1, len(many) // 30)]:
        distance, index = nearest_neighbors(frame.positions, frame.cell, frame.pbc, 6.0)
        near = np.flatnonzero(np.isfinite(distance))
        radii = covalent_radii[np.minimum(frame.numbers, len(covalent_radii) - 1)]
        ratios.append(distance[near] / (radii[near] + radii[index[near]]))
        shortest = min(shortest, float(distance.min()))
    joined = np.concatenate([np.empty(0), *ratios])
    if len(joined) == 0:
        return
    ratio = float(np.median(joined))
    words = f"typically {ratio:.2f} of the covalent radii's sum, {shortest:.2f} Å at the shortest"
    good = 0.65 < ratio < 1.5
    out.add("distances in Å", good, words)
    if not good:
        guess = "in Bohr, or do the atoms not touch?" if ratio > 1.0 else "in nm or in fractions of the cell?"
        out.notes.append(f"Neighbours are {words}. Are positions {guess}")


def symbols(numbers: Sequence[int]) -> tuple[str, ...]:
    """Chemical symbols in the order of the numbers."""
    return tuple(chemical_symbols[z] if z < len(chemical_symbols) else f"Z{z}" for z in numbers)
