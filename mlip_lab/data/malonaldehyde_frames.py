"""The structures of the packaged malonaldehyde set, made from two seeds: one for training, one for testing.

Trajectories use GFN2-xTB (DOI 10.1021/acs.jctc.8b01176); the frames along the path and around its ends use the
minimum, the saddle and the Hessians of `malonaldehyde_reference`. Only the reference method labels them. Every
frame carries info["proton_coordinate"] in Å and info["near_saddle"], so that a training without transition-state
data is one selection: `[a for a in frames if not a.info["near_saddle"]]`.

Run as `python -m mlip_lab.data.malonaldehyde_frames --reference reference.json --out frames.xyz` for the unlabelled
frames, in an order of which any first part is a balanced set.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.units import fs, kB
from numpy.typing import NDArray

from mlip_lab.core.errors import InputError
from mlip_lab.data.label import write_labelled
from mlip_lab.data.malonaldehyde_reference import SYMBOLS, WAVENUMBER, mirrored, proton_coordinate, vibrations

SEED = 2026
NEAR_SADDLE = 0.4  # Å of the proton coordinate, which is ±0.61 at the minima
CLOSEST = 0.8  # Å, no two atoms of a frame come nearer
SOFTEST = 200.0  # 1/cm, softer modes are displaced as if they had this wavenumber: a straight line leaves the valley

# Frames of each kind: for training, for testing.
PLAN: dict[str, tuple[int, int]] = {
    "md_300": (50, 12),
    "md_500": (60, 15),
    "md_800": (70, 17),
    "rattled": (40, 10),
    "minimum": (50, 12),
    "path": (70, 16),
    "saddle": (80, 18),
}
STEPS_BETWEEN = 80  # of 0.5 fs


def malonaldehyde_frames(seed: int, reference: dict[str, Any]) -> tuple[list[Atoms], list[Atoms]]:
    """Return training and test structures, each with info["config_type"], equal for equal seeds.

    Args:
        seed: Any whole number; the two lists use independent streams made from it.
        reference: What `malonaldehyde_reference` returned; its "structures" are used.

    Returns:
        The two lists in the order of `PLAN`; positions in Å with eight decimals.

    Raises:
        InputError: If tblite, which makes the molecular dynamics, is not installed.
    """
    train_stream, test_stream = np.random.SeedSequence(seed).spawn(2)
    return _draw(train_stream, 0, reference), _draw(test_stream, 1, reference)


def labelling_order(train: list[Atoms], test: list[Atoms], seed: int) -> list[Atoms]:
    """Return all frames with info["split"], each kind spread evenly and in a shuffled order within itself."""
    rng = np.random.default_rng(seed)
    keyed: list[tuple[float, Atoms]] = []
    for split, frames in (("train", train), ("test", test)):
        for kind in PLAN:
            members = [a for a in frames if a.info["config_type"] == kind]
            for place, index in enumerate(rng.permutation(len(members))):
                members[index].info["split"] = split
                keyed.append(((place + rng.uniform()) / len(members), members[index]))
    return [atoms for _, atoms in sorted(keyed, key=lambda pair: pair[0])]


def _draw(stream: np.random.SeedSequence, which: int, reference: dict[str, Any]) -> list[Atoms]:
    low, high = (_Valley(reference["structures"][name]) for name in ("minimum", "saddle"))
    makers: dict[str, Callable[[np.random.Generator, int], list[Atoms]]] = {
        "md_300": lambda rng, n: _snapshots(rng, low.atoms, n, 300.0),
        "md_500": lambda rng, n: _snapshots(rng, low.atoms, n, 500.0),
        "md_800": lambda rng, n: _snapshots(rng, low.atoms, n, 800.0),
        "rattled": lambda rng, n: [_rattled(rng, low.atoms) for _ in range(n)],
        "minimum": lambda rng, n: [_checked(lambda: low.displaced(rng, rng.uniform(100.0, 800.0))) for _ in range(n)],
        "path": lambda rng, n: [_checked(lambda: _on_path(rng, low, high)) for _ in range(n)],
        "saddle": lambda rng, n: [_checked(lambda: high.displaced(rng, rng.uniform(50.0, 800.0))) for _ in range(n)],
    }
    frames: list[Atoms] = []
    for kind, child in zip(PLAN, stream.spawn(len(PLAN)), strict=True):
        rng = np.random.default_rng(child)
        for atoms in makers[kind](rng, PLAN[kind][which]):
            frames.append(_finished(mirrored(atoms) if rng.uniform() < 0.5 else atoms, kind))
    return frames


def _finished(atoms: Atoms, kind: str) -> Atoms:
    """Return a bare structure with rounded numbers, so that the text file holds exactly what is labelled."""
    plain = Atoms(numbers=atoms.numbers, positions=np.round(atoms.positions, 8))
    coordinate = proton_coordinate(plain)
    plain.info |= {"config_type": kind, "proton_coordinate": round(coordinate, 4)}
    plain.info["near_saddle"] = bool(abs(coordinate) < NEAR_SADDLE)
    return plain


class _Valley:
    """A stationary point with its vibrations.

    Args:
        record: "positions" (Å) and "hessian" (eV/Å²).
    """

    def __init__(self, record: dict[str, Any]) -> None:
        self.atoms = Atoms(SYMBOLS, positions=record["positions"])
        masses = self.atoms.get_masses()
        self.wavenumbers, modes = vibrations(masses, np.array(record["hessian"]), self.atoms.positions)
        self.modes = modes / np.repeat(np.sqrt(masses), 3)[:, None]  # Å per Å·sqrt(amu)

    def displaced(self, rng: np.random.Generator, temperature: float, start: Atoms | None = None) -> Atoms:
        """Displace by classical harmonic motion; along an imaginary mode the proton moves up to ±0.3 Å.

        ⟨Q²⟩ = k_BT/ω² for every mode.
        """
        angular = np.maximum(self.wavenumbers, SOFTEST) / WAVENUMBER
        amplitude = rng.normal(0.0, 1.0, len(angular)) * np.sqrt(kB * temperature) / angular
        if self.wavenumbers[0] < 0.0:
            far = np.abs(self.modes[:, 0]).max()
            amplitude[0] = 0.0 if start is not None else rng.uniform(-0.3, 0.3) / far
        out: Atoms = (start or self.atoms).copy()
        out.positions += (self.modes @ amplitude).reshape(-1, 3)
        return out


def _on_path(rng: np.random.Generator, low: _Valley, high: _Valley) -> Atoms:
    """Return a point between minimum and saddle, or little beyond, displaced by the saddle's real modes."""
    share = rng.uniform(-0.1, 1.1)
    between = high.atoms.copy()
    between.positions += share * (_superposed(low.atoms, high.atoms) - high.atoms.positions)
    return high.displaced(rng, float(rng.uniform(10.0, 500.0)), start=between)


def _superposed(atoms: Atoms, onto: Atoms) -> NDArray[np.float64]:
    """Return the positions turned and shifted to lie closest to the others (Kabsch, mass-weighted)."""
    masses = atoms.get_masses()[:, None]
    own = atoms.positions - (masses * atoms.positions).sum(axis=0) / masses.sum()
    centre = (masses * onto.positions).sum(axis=0) / masses.sum()
    u, _, vt = np.linalg.svd((masses * own).T @ (onto.positions - centre))
    turn = u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt
    return np.asarray(own @ turn + centre)


def _rattled(rng: np.random.Generator, atoms: Atoms) -> Atoms:
    def draw() -> Atoms:
        out: Atoms = atoms.copy()
        out.positions += rng.normal(0.0, rng.uniform(0.01, 0.08), (len(atoms), 3))
        return out

    return _checked(draw)


def _checked(draw: Callable[[], Atoms]) -> Atoms:
    """Draw until no two atoms are too close."""
    for _ in range(100):
        atoms = draw()
        distances = atoms.get_all_distances()
        if distances[~np.eye(len(atoms), dtype=bool)].min() > CLOSEST:
            return atoms
    raise InputError("malonaldehyde_frames: a structure cannot be displaced without atoms colliding.")


def _xtb() -> Calculator:
    try:
        from tblite.ase import TBLite
    except ImportError as error:
        raise InputError(
            "malonaldehyde_frames: tblite makes the trajectories; install it: pip install tblite"
        ) from error
    calculator: Calculator = TBLite(method="GFN2-xTB", verbosity=0)
    return calculator


def _snapshots(rng: np.random.Generator, start: Atoms, count: int, temperature: float) -> list[Atoms]:
    """Return snapshots 40 fs apart from one Langevin trajectory with steps of 0.5 fs, after 0.2 ps of warming."""
    from ase.md.langevin import Langevin

    atoms = start.copy()
    atoms.calc = _xtb()
    speed = np.sqrt(kB * temperature / atoms.get_masses())
    atoms.set_velocities(rng.normal(0.0, 1.0, (len(atoms), 3)) * speed[:, None])
    dynamics = Langevin(atoms, 0.5 * fs, temperature_K=temperature, friction=0.02 / fs, rng=rng)
    frames: list[Atoms] = []
    for steps in [400] + [STEPS_BETWEEN] * (count - 1):
        dynamics.run(steps)
        frames.append(atoms.copy())
    return frames


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and write the frames."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", required=True, help="reference.json with the stationary points")
    parser.add_argument("--out", required=True, help="file of unlabelled frames to write, .xyz")
    chosen = parser.parse_args(arguments)
    frames = malonaldehyde_frames(SEED, json.loads(Path(chosen.reference).read_text()))
    write_labelled(Path(chosen.out), labelling_order(*frames, SEED))


if __name__ == "__main__":
    main()
