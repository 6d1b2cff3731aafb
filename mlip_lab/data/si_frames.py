"""The structures of the packaged silicon set, made from two seeds: one for training, one for testing.

Nothing is shared between the two lists: strains, displacements and molecular-dynamics trajectories are drawn
anew from the seed of each. The trajectories use the Stillinger-Weber potential (DOI 10.1103/PhysRevB.31.5262) and
are scaled to the lattice constant of the density functional; only the reference method labels them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ase import Atoms
from ase.build import bulk, diamond111, make_supercell
from ase.calculators.calculator import Calculator

from mlip_lab.core.errors import InputError

LATTICE_CONSTANT = 5.47  # Å, near the PBE minimum
SW_LATTICE_CONSTANT = 5.431  # Å
CLOSEST = 1.75  # Å, no two atoms of a frame come nearer

# Frames of each kind: for training, for testing.
PLAN: dict[str, tuple[int, int]] = {
    "primitive": (340, 30),
    "conventional": (48, 10),
    "beta_tin": (34, 4),
    "supercell": (12, 3),
    "vacancy": (27, 3),
    "surface_100": (14, 2),
    "surface_110": (5, 2),
    "surface_111": (9, 2),
    "md_300": (2, 1),
    "md_900": (2, 1),
    "md_1800": (2, 1),
    "disordered": (48, 3),
}
LARGE_MELTS = 6  # among so many first disordered frames every other one has 32 atoms
MIXED_CELLS = 240  # so many first primitive frames take the four sizes of distortion in turns, the others the two large
MIXED_VACANCIES = 17  # among so many first vacancy frames most have 16 or 32 sites, the others 64
EXPENSIVE = ("md_300", "md_900", "md_1800", "disordered", "vacancy")


def silicon_frames(seed: int) -> tuple[list[Atoms], list[Atoms]]:
    """Return training and test structures, each with info["config_type"], equal for equal seeds.

    Args:
        seed: Any whole number; the two lists use independent streams made from it.

    Returns:
        The two lists in the order of `PLAN`; positions in Å with eight decimals.

    Raises:
        InputError: If matscipy, which makes the molecular dynamics, is not installed.
    """
    train_stream, test_stream = np.random.SeedSequence(seed).spawn(2)
    return _draw(train_stream, 0), _draw(test_stream, 1)


def labelling_order(train: list[Atoms], test: list[Atoms]) -> list[tuple[int, int]]:
    """Return (0 or 1, index) of every frame so that any first part is a balanced set, cheap kinds ahead."""
    keyed: list[tuple[float, int, int]] = []
    for which, frames in enumerate((train, test)):
        seen: dict[str, int] = {}
        for index, atoms in enumerate(frames):
            kind = str(atoms.info["config_type"])
            place = (seen.get(kind, 0) + 0.5) / PLAN[kind][which]
            seen[kind] = seen.get(kind, 0) + 1
            keyed.append((0.2 + 0.8 * place if kind in EXPENSIVE else 0.9 * place, which, index))
    return [(which, index) for _, which, index in sorted(keyed)]


def _draw(stream: np.random.SeedSequence, which: int) -> list[Atoms]:
    makers: dict[str, Callable[[np.random.Generator, int], list[Atoms]]] = {
        "primitive": lambda rng, n: [_primitive(rng, i) for i in range(n)],
        "conventional": lambda rng, n: [_conventional(rng, i) for i in range(n)],
        "beta_tin": lambda rng, n: [_beta_tin(rng, i) for i in range(n)],
        "supercell": lambda rng, n: [_supercell(rng) for _ in range(n)],
        "vacancy": _vacancies,
        "surface_100": lambda rng, n: [_slab(rng, _slab_100(rng, i)) for i in range(n)],
        "surface_110": lambda rng, n: [_slab(rng, ideal_slab("110", 8)) for _ in range(n)],
        "surface_111": lambda rng, n: [_slab(rng, ideal_slab("111", 8 + 4 * (i % 2))) for i in range(n)],
        "md_300": lambda rng, n: _snapshots(rng, n, 300.0),
        "md_900": lambda rng, n: _snapshots(rng, n, 900.0),
        "md_1800": lambda rng, n: _snapshots(rng, n, 1800.0),
        "disordered": lambda rng, n: [_disordered(rng, i) for i in range(n)],
    }
    frames: list[Atoms] = []
    for kind, child in zip(PLAN, stream.spawn(len(PLAN)), strict=True):
        for atoms in makers[kind](np.random.default_rng(child), PLAN[kind][which]):
            frames.append(_finished(atoms, kind))
    return frames


def _finished(atoms: Atoms, kind: str) -> Atoms:
    """Return a bare structure with rounded numbers, so that the text file holds exactly what is labelled."""
    plain = Atoms(
        numbers=atoms.numbers, positions=np.round(atoms.positions, 8), cell=np.round(atoms.cell.array, 8), pbc=True
    )
    plain.info["config_type"] = kind
    return plain


def _strained(atoms: Atoms, strain: np.ndarray) -> Atoms:
    out: Atoms = atoms.copy()
    out.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return out


def _random_strain(rng: np.random.Generator, volume: float, shear: float) -> np.ndarray:
    """Return a strain with relative volume change up to `volume` and other components up to `shear`."""
    size = rng.uniform(1.0 - volume, 1.0 + volume) ** (1.0 / 3.0)
    tensor = rng.uniform(-shear, shear, (3, 3))
    tensor = 0.5 * (tensor + tensor.T)
    tensor -= np.trace(tensor) / 3.0 * np.eye(3)
    return np.asarray(size * (np.eye(3) + tensor) - np.eye(3))


def _rattled(rng: np.random.Generator, atoms: Atoms, size: float) -> Atoms:
    """Displace atoms normally; a draw that brings two of them too close is thrown away."""
    for attempt in range(100):
        out: Atoms = atoms.copy()
        out.positions += rng.normal(0.0, size * 0.98**attempt, (len(atoms), 3))
        if _closest(out) > CLOSEST:
            return out
    raise InputError("silicon_frames: a structure cannot be rattled without atoms colliding.")


def _closest(atoms: Atoms) -> float:
    repeated = atoms.repeat(2) if len(atoms) < 16 else atoms
    distances = repeated.get_all_distances(mic=True)
    return float(distances[~np.eye(len(repeated), dtype=bool)].min())


def _diamond(cubic: bool) -> Atoms:
    return bulk("Si", "diamond", a=LATTICE_CONSTANT, cubic=cubic)


def _primitive(rng: np.random.Generator, index: int) -> Atoms:
    """A quarter each: pure volume, small strains, large strains, displaced; behind MIXED_CELLS the last two alone."""
    atoms = _diamond(cubic=False)
    if index >= MIXED_CELLS:
        index = 2 + index % 2
    if index % 4 == 0:
        return _strained(atoms, _random_strain(rng, 0.15, 0.0))
    if index % 4 == 1:
        amplitude = rng.choice([0.005, 0.01, 0.02])
        return _strained(atoms, _random_strain(rng, 0.02, float(amplitude)))
    if index % 4 == 2:
        return _rattled(rng, _strained(atoms, _random_strain(rng, 0.15, 0.08)), 0.05)
    return _rattled(rng, _strained(atoms, _random_strain(rng, 0.03, 0.02)), float(rng.uniform(0.02, 0.15)))


def _conventional(rng: np.random.Generator, index: int) -> Atoms:
    volume, shear = ((0.15, 0.03), (0.03, 0.02), (0.08, 0.08))[index % 3]
    return _rattled(rng, _strained(_diamond(cubic=True), _random_strain(rng, volume, shear)), rng.uniform(0.02, 0.15))


def beta_tin(a: float = 4.81, ratio: float = 0.55) -> Atoms:
    """Return the two-atom cell of β-tin silicon with lattice constant `a` in Å and c/a `ratio`."""
    c = ratio * a
    return Atoms(
        "Si2",
        positions=[[0.0, 0.0, 0.0], [0.0, 0.5 * a, 0.25 * c]],
        cell=[[-0.5 * a, 0.5 * a, 0.5 * c], [0.5 * a, -0.5 * a, 0.5 * c], [0.5 * a, 0.5 * a, -0.5 * c]],
        pbc=True,
    )


def _beta_tin(rng: np.random.Generator, index: int) -> Atoms:
    atoms = beta_tin(ratio=float(rng.uniform(0.52, 0.58)))
    if index % 2:
        atoms = atoms.repeat((2, 1, 1))
    atoms = _strained(atoms, _random_strain(rng, 0.1, 0.02))
    return atoms if index % 4 == 0 else _rattled(rng, atoms, float(rng.uniform(0.02, 0.08)))


def _supercell(rng: np.random.Generator) -> Atoms:
    big: Atoms = _diamond(cubic=False).repeat(2)
    atoms = _strained(big, _random_strain(rng, 0.06, 0.02))
    return _rattled(rng, atoms, float(rng.uniform(0.03, 0.15)))


def _half_cube() -> Atoms:
    """Thirty-two atoms in a box of √2 a, √2 a and 2 a."""
    box: Atoms = make_supercell(_diamond(cubic=True), [[1, 1, 0], [-1, 1, 0], [0, 0, 2]])
    return box


def _vacancies(rng: np.random.Generator, count: int) -> list[Atoms]:
    frames = []
    for index in range(count):
        size = 2 if index % 9 == 8 or index >= MIXED_VACANCIES else index % 2
        atoms = (_diamond(cubic=False).repeat(2), _half_cube(), _diamond(cubic=True).repeat(2))[size]
        del atoms[int(rng.integers(len(atoms)))]
        atoms = _strained(atoms, _random_strain(rng, 0.03, 0.01))
        frames.append(_rattled(rng, atoms, float(rng.uniform(0.03, 0.1))))
    return frames


def ideal_slab(face: str, layers: int, vacuum: float = 10.0, lattice_constant: float = LATTICE_CONSTANT) -> Atoms:
    """Return an ideal 1×1 slab normal to z.

    Args:
        face: "100", "110" or "111" (the face with one broken bond an atom).
        layers: Atomic layers; a multiple of 4, 2 and 2 for the three faces.
        vacuum: Empty space between the outermost layers of neighbouring slabs in Å.
        lattice_constant: Cubic lattice constant in Å.

    Returns:
        The slab, periodic in three directions.
    """
    a = lattice_constant
    if face == "111":
        # ASE cuts between the close layers, which breaks three bonds an atom; without its outermost atoms, one.
        slab: Atoms = diamond111("Si", (1, 1, layers + 2), a=a, vacuum=0.0, periodic=True)
        order = np.argsort(slab.positions[:, 2])
        del slab[[int(order[0]), int(order[-1])]]
        slab.center(vacuum=0.5 * vacuum, axis=2)
    else:
        cubic = bulk("Si", "diamond", a=a, cubic=True)
        turn = np.array([[1, 1, 0], [-1, 1, 0], [0, 0, 2]]) / 2 if face == "100" else None
        rows = turn if turn is not None else np.array([[0, 0, 1], [0.5, -0.5, 0], [0.5, 0.5, 0]])
        slab = _oriented(cubic, rows * a, layers // (4 if face == "100" else 2))
        slab.center(vacuum=0.5 * vacuum, axis=2)
    slab.pbc = True
    return slab


def _oriented(cubic: Atoms, rows: np.ndarray, repeats: int) -> Atoms:
    """Return the crystal in the cell `rows` (Å, orthogonal), turned onto the axes and repeated along the third."""
    lengths = np.linalg.norm(rows, axis=1)
    points = cubic.repeat(4).positions - 1.5 * cubic.cell.lengths()
    scaled = np.round(points @ np.linalg.inv(rows), 9)
    inside = scaled[((scaled >= 0.0) & (scaled < 1.0)).all(axis=1)]
    layer = Atoms(f"Si{len(inside)}", scaled_positions=inside, cell=np.diag(lengths), pbc=True)
    slab: Atoms = layer.repeat((1, 1, repeats))
    return slab


def _slab_100(rng: np.random.Generator, index: int) -> Atoms:
    """Every third (100) slab is a 2×1 cell whose outermost atoms have moved together into dimers."""
    if index % 3 != 2:
        return ideal_slab("100", 8 + 4 * (index % 2))
    single = ideal_slab("100", 8)
    slab: Atoms = single.repeat((1, 2, 1)) if _dimer_axis(single) == 1 else single.repeat((2, 1, 1))
    top = np.flatnonzero(slab.positions[:, 2] > slab.positions[:, 2].max() - 0.1)
    axis = _dimer_axis(single)
    low, high = top[np.argsort(slab.positions[top, axis])]
    gap = slab.positions[high, axis] - slab.positions[low, axis]
    move = 0.5 * (gap - rng.uniform(2.3, 2.5))
    slab.positions[low, axis] += move
    slab.positions[high, axis] -= move
    slab.positions[top, 2] -= rng.uniform(0.1, 0.4, 2)
    return slab


def _dimer_axis(slab: Atoms) -> int:
    """Return the in-plane axis along which the broken bonds of the top atom of a (100) slab point."""
    order = np.argsort(slab.positions[:, 2])
    top, below = int(order[-1]), int(order[-2])
    bond = slab.get_distance(top, below, mic=True, vector=True)
    return 1 if abs(bond[0]) > abs(bond[1]) else 0


def _slab(rng: np.random.Generator, slab: Atoms) -> Atoms:
    """Strain a slab in its plane, move its outer layers in or out, and displace its atoms."""
    cell = slab.cell.array.copy()
    plane = np.eye(3)
    plane[:2, :2] += 0.5 * (lambda t: t + t.T)(rng.uniform(-0.02, 0.02, (2, 2)))
    slab.set_cell(cell @ plane, scale_atoms=True)
    heights = slab.positions[:, 2]
    middle, half = 0.5 * (heights.max() + heights.min()), 0.5 * (heights.max() - heights.min())
    depth = half - np.abs(heights - middle)
    inward = rng.uniform(-0.1, 0.3) * np.exp(-depth / 1.5)
    slab.positions[:, 2] -= np.sign(heights - middle) * inward
    return _rattled(rng, slab, float(rng.uniform(0.01, 0.1)))


def _stillinger_weber() -> Calculator:
    try:
        from matscipy.calculators.manybody import Manybody
        from matscipy.calculators.manybody.explicit_forms import StillingerWeber
        from matscipy.calculators.manybody.explicit_forms.stillinger_weber import (
            Stillinger_Weber_PRB_31_5262_Si as parameters,
        )
    except ImportError as error:
        raise InputError("silicon_frames: matscipy makes the trajectories; install it: pip install matscipy") from error
    calculator: Calculator = Manybody(**StillingerWeber(parameters))
    return calculator


def _snapshots(rng: np.random.Generator, count: int, temperature: float) -> list[Atoms]:
    """Return snapshots 0.5 ps apart from one trajectory of 64 atoms, each at its own volume (±2 %)."""
    atoms = bulk("Si", "diamond", a=SW_LATTICE_CONSTANT, cubic=True).repeat(2)
    frames = []
    scale = LATTICE_CONSTANT / SW_LATTICE_CONSTANT
    for snapshot in _trajectory(rng, atoms, temperature, first=750, every=250, count=count):
        scaled = _strained(snapshot, (scale - 1.0) * np.eye(3))
        frames.append(_strained(scaled, _random_strain(rng, 0.03, 0.005)))
    return frames


def _disordered(rng: np.random.Generator, index: int) -> Atoms:
    """Return 16, or 32 in every other of the first, atoms of a melt at 0.95 to 1.11 of the crystal's density."""
    cell = [[1, 1, 0], [-1, 1, 0], [0, 0, 1 + index % 2 * (index < LARGE_MELTS)]]
    atoms = make_supercell(bulk("Si", "diamond", a=SW_LATTICE_CONSTANT, cubic=True), cell)
    atoms = _strained(atoms, (rng.uniform(0.9, 1.05) ** (1.0 / 3.0) - 1.0) * np.eye(3))
    (melt,) = _trajectory(rng, atoms, 4500.0, first=1000, every=1, count=1)
    (melt,) = _trajectory(rng, melt, float(rng.uniform(1500.0, 3000.0)), first=300, every=1, count=1)
    return _strained(melt, (LATTICE_CONSTANT / SW_LATTICE_CONSTANT - 1.0) * np.eye(3))


def _trajectory(
    rng: np.random.Generator, atoms: Atoms, temperature: float, *, first: int, every: int, count: int
) -> list[Atoms]:
    """Run Langevin dynamics with steps of 2 fs and return `count` structures after `first` steps, `every` apart."""
    from ase import units
    from ase.md.langevin import Langevin

    atoms = atoms.copy()
    atoms.calc = _stillinger_weber()
    speed = np.sqrt(units.kB * temperature / atoms.get_masses())
    atoms.set_velocities(rng.normal(0.0, 1.0, (len(atoms), 3)) * speed[:, None])
    dynamics = Langevin(atoms, 2.0 * units.fs, temperature_K=temperature, friction=0.01 / units.fs, rng=rng)
    frames: list[Atoms] = []
    for steps in [first] + [every] * (count - 1):
        dynamics.run(steps)
        frames.append(atoms.copy())
    return frames
