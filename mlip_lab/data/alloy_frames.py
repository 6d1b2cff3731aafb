"""The structures of the packaged Al-Li set: candidates for its convex hull, frames for training and for testing.

Candidates are the orderings of up to four atoms on fcc and bcc lattices, some larger prototypes, the elements, and the
bcc orderings at the compositions of Al2Li3 and AlLi2, whose known compounds are of this kind. Every third compound is
held out: no frame is made from its ordering. Frames are strained and displaced; training and test frames are drawn from
separate random streams. The packaged training frames have steps of the candidates' relaxations beside these.

Run as `python -m mlip_lab.data.alloy_frames --out frames.xyz` for the unlabelled frames, in an order of which any
first part is a balanced set.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk, make_supercell

from mlip_lab.core.errors import InputError
from mlip_lab.data.label import write_labelled
from mlip_lab.data.orderings import candidates, orderings, random_ordering

SEED = 2026
SYMBOLS = ("Al", "Li")
# Volumes of an atom in Å³ near those of the density functional; with a share x of lithium, compounds are smaller than
# the mean by BOWING x²(1 − x).
VOLUMES = {"Al": 15.7, "Li": 17.7}
BOWING = 17.0
CLOSEST = 2.0  # Å, no two atoms of a frame come nearer

# Frames of each kind: for training, for testing.
PLAN: dict[str, tuple[int, int]] = {
    "element": (30, 10),
    "compound": (80, 22),
    "alloy": (180, 14),
    "disordered": (6, 4),
    "volume": (96, 18),
}
VOLUME = 0.12  # largest relative change in frames that are only made larger or smaller
# Largest change of volume, largest shear, largest displacement in Å: frames of a kind take these in turns.
SIZES = ((0.02, 0.01, 0.03), (0.06, 0.03, 0.1), (0.12, 0.06, 0.2))
MIXED_ALLOYS = 100  # so many first alloy frames take all three sizes, the others the two small ones


def hull_candidates() -> list[Atoms]:
    """Return the candidates in an order of which any first part is a balanced set: elements and prototypes ahead."""
    found = candidates(SYMBOLS, largest=4, volumes=VOLUMES)
    names = {str(atoms.info["name"]) for atoms in found}
    for sites, lithium in ((5, 3), (6, 4)):
        for atoms in orderings(SYMBOLS, "bcc", sites, volumes=VOLUMES):
            if np.count_nonzero(atoms.numbers == 3) == lithium and atoms.info["name"] not in names:
                found.append(atoms)
    rng = np.random.default_rng(SEED)
    drawn = [found[k] for k in rng.permutation(len(found))]
    return [at_volume(atoms) for atoms in sorted(drawn, key=_rank)]


def held_out(compounds: Sequence[Atoms]) -> set[str]:
    """Return the orderings of every third compound in the order of `hull_candidates`."""
    return {str(a.info["ordering"]) for a in [a for a in compounds if len(set(a.numbers)) > 1][2::3]}


def at_volume(atoms: Atoms) -> Atoms:
    """Return the structure scaled to the volume that its composition suggests."""
    share = float(np.mean(atoms.numbers == 3))
    volume = VOLUMES["Al"] * (1 - share) + VOLUMES["Li"] * share - BOWING * share**2 * (1 - share)
    out: Atoms = atoms.copy()
    out.set_cell(atoms.cell.array * (volume * len(atoms) / atoms.cell.volume) ** (1 / 3), scale_atoms=True)
    return out


def alloy_frames(seed: int) -> tuple[list[Atoms], list[Atoms]]:
    """Return training and test structures, each with info["config_type"], equal for equal seeds.

    Args:
        seed: Any whole number; the two lists use independent streams made from it.

    Returns:
        The two lists in the order of `PLAN`; positions in Å with eight decimals.
    """
    train_stream, test_stream = np.random.SeedSequence(seed).spawn(2)
    return _draw(train_stream, 0), _draw(test_stream, 1)


def labelling_order(train: list[Atoms], test: list[Atoms], seed: int) -> list[Atoms]:
    """Return all frames with info["split"], each kind spread evenly, the largest behind."""
    rng = np.random.default_rng(seed)
    keyed: list[tuple[float, int, Atoms]] = []
    for split, frames in (("train", train), ("test", test)):
        for kind in PLAN:
            members = [a for a in frames if a.info["config_type"] == kind]
            for place, index in enumerate(rng.permutation(len(members))):
                members[index].info["split"] = split
                at = (place + rng.uniform()) / len(members)
                keyed.append((0.4 + 0.6 * at if kind == "disordered" else at, len(keyed), members[index]))
    return [atoms for _, _, atoms in sorted(keyed)]


def _rank(atoms: Atoms) -> int:
    if len(set(atoms.numbers)) == 1:
        return 0
    return 1 if not str(atoms.info["name"]).startswith(("fcc", "bcc")) else max(2, len(atoms) - 2)


def _draw(stream: np.random.SeedSequence, which: int) -> list[Atoms]:
    known = hull_candidates()
    elements = [atoms for atoms in known if len(set(atoms.numbers)) == 1]
    hidden = held_out(known)
    compounds = [a for a in known if len(set(a.numbers)) > 1 and a.info["ordering"] not in hidden]
    makers: dict[str, Callable[[np.random.Generator, int], Atoms]] = {
        "element": lambda rng, i: elements[i % len(elements)].repeat(((1, 1, 1), (2, 1, 1), (2, 2, 1))[i // 6 % 3]),
        "compound": lambda rng, i: compounds[i % len(compounds)],
        "alloy": lambda rng, i: _alloy(rng, i, hidden),
        "disordered": _disordered,
        "volume": lambda rng, i: (elements + compounds)[i % (len(elements) + len(compounds))],
    }
    frames: list[Atoms] = []
    for kind, child in zip(PLAN, stream.spawn(len(PLAN)), strict=True):
        rng = np.random.default_rng(child)
        first = int(rng.integers(1000)) if kind in ("compound", "volume") else 0
        for index in range(PLAN[kind][which]):
            sizes = SIZES[:2] if kind == "alloy" and index >= MIXED_ALLOYS else SIZES
            volume, shear, size = sizes[(index + (kind == "compound") * (index // len(compounds))) % len(sizes)]
            start = makers[kind](rng, first + index)
            if kind == "volume":
                frames.append(_finished(_strained(rng, start, VOLUME, 0.0), kind, start))
            else:
                frames.append(_finished(_rattled(rng, _strained(rng, start, volume, shear), size), kind, start))
    return frames


def _alloy(rng: np.random.Generator, index: int, hidden: set[str]) -> Atoms:
    """Return a random ordering of five to eight atoms that is none of those held out."""
    while True:
        atoms = random_ordering(rng, SYMBOLS, ("fcc", "bcc")[index % 2], 5 + index // 2 % 4, VOLUMES)
        if atoms.info["ordering"] not in hidden:
            return at_volume(atoms)


def _disordered(rng: np.random.Generator, index: int) -> Atoms:
    """Return sixteen atoms on fcc or bcc sites, each species at random with a random share."""
    if index % 2:
        atoms = bulk("Al", "bcc", a=3.2, cubic=True).repeat(2)
    else:
        atoms = make_supercell(bulk("Al", "fcc", a=4.0, cubic=True), [[1, 1, 0], [-1, 1, 0], [0, 0, 2]])
    atoms.numbers[rng.permutation(16)[: int(rng.integers(2, 15))]] = 3
    return at_volume(atoms)


def _finished(atoms: Atoms, kind: str, start: Atoms) -> Atoms:
    """Return a bare structure with rounded numbers, so that the text file holds exactly what is labelled."""
    plain = Atoms(
        numbers=atoms.numbers, positions=np.round(atoms.positions, 8), cell=np.round(atoms.cell.array, 8), pbc=True
    )
    plain.info |= {"config_type": kind, "ordering": str(start.info.get("ordering", start.info.get("name", "random")))}
    return plain


def _strained(rng: np.random.Generator, atoms: Atoms, volume: float, shear: float) -> Atoms:
    """Strain with a relative change of volume up to `volume` and other components up to `shear`."""
    size = rng.uniform(1.0 - volume, 1.0 + volume) ** (1.0 / 3.0)
    tensor = rng.uniform(-shear, shear, (3, 3))
    tensor = 0.5 * (tensor + tensor.T)
    tensor -= np.trace(tensor) / 3.0 * np.eye(3)
    out: Atoms = atoms.copy()
    out.set_cell(atoms.cell.array @ (size * (np.eye(3) + tensor)), scale_atoms=True)
    return out


def _rattled(rng: np.random.Generator, atoms: Atoms, size: float) -> Atoms:
    """Displace atoms normally by up to `size`; a draw that brings two of them too close is thrown away."""
    for attempt in range(100):
        out: Atoms = atoms.copy()
        out.positions += rng.normal(0.0, rng.uniform(0.3, 1.0) * size * 0.98**attempt, (len(atoms), 3))
        repeated = out.repeat(3 if len(out) < 4 else 2)
        distances = repeated.get_all_distances(mic=True)
        if distances[~np.eye(len(repeated), dtype=bool)].min() > CLOSEST:
            return out
    raise InputError("alloy_frames: a structure cannot be displaced without atoms colliding.")


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and write the frames."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True, help="file of unlabelled frames to write, .xyz")
    chosen = parser.parse_args(arguments)
    write_labelled(Path(chosen.out), labelling_order(*alloy_frames(SEED), SEED))


if __name__ == "__main__":
    main()
