"""Reference values of silicon from the settings that label the packaged set, with every calculation kept.

Run as `python -m mlip_lab.data.si_reference --with qe.toml --store calculations --out reference.json`; it can be
killed and run again. The values are those of the settings, converged or not as `convergence.json` shows: they are
what a potential trained on the set can be asked to reproduce.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.optimize import BFGS
from numpy.typing import NDArray

from mlip_lab.core.errors import CalculationError
from mlip_lab.core.files import write_json
from mlip_lab.core.units import GPA
from mlip_lab.data.label import label_key, settings_hash
from mlip_lab.data.qe import EspressoSettings, Labels, kpoint_mesh
from mlip_lab.data.reference_command import reference_parser, settings_for
from mlip_lab.data.si_frames import beta_tin, ideal_slab

Mesh = tuple[int, int, int]
DENSE = 0.225  # 1/Å, k-spacing where second derivatives of the energy are wanted
ATOMIC_MASS = 28.085  # amu
JOULE_PER_M2 = 16.02176634  # one eV/Å² in J/m²
THZ = 15.633302  # sqrt(eV/Å²/amu)/(2π) in THz


class Book:
    """Single points of one kind of settings, kept in a folder, and the values made from them.

    Args:
        settings: Settings of every calculation.
        store: Folder of finished calculations.
        out: JSON file of the values, rewritten whenever one is finished.
    """

    def __init__(self, settings: EspressoSettings, store: Path, out: Path) -> None:
        """Open the folder and the file, which may exist from an earlier run."""
        self.settings, self.store, self.out = settings, store, out
        store.mkdir(parents=True, exist_ok=True)
        self.values: dict[str, dict[str, Any]] = json.loads(out.read_text())["values"] if out.is_file() else {}

    def point(self, atoms: Atoms, mesh: Mesh | None = None) -> Labels:
        """Return energy, forces and stress of a structure, from the folder where they are there."""
        mesh = mesh or kpoint_mesh(atoms.cell.array, self.settings.kspacing)
        name = hashlib.sha256(f"{label_key(atoms, self.settings)} {mesh}".encode()).hexdigest()[:32]
        path = self.store / f"{name}.json"
        if not path.is_file():
            made = self.settings.calculate(atoms, self.store, mesh)
            record = {"energy": made.energy, "forces": made.forces.tolist(), "stress": made.stress.tolist()}
            write_json(path, record | {"version": made.version})
        read = json.loads(path.read_text())
        return Labels(read["energy"], np.array(read["forces"]), np.array(read["stress"]), read["version"])

    def put(self, name: str, value: float, unit: str, how: str, **more: Any) -> None:
        """Add one value and rewrite the file."""
        self.values[name] = {"value": float(value), "unit": unit, "how": how, **more}
        facts = {"settings_sha256": settings_hash(self.settings), **self.settings.provenance()}
        write_json(self.out, {"settings": facts, "values": self.values})

    def get(self, name: str) -> float:
        """Return a value that was put before."""
        return float(self.values[name]["value"])

    def relax(self, atoms: Atoms, fmax: float, steps: int, mesh: Mesh | None = None) -> Atoms:
        """Return the structure with forces below `fmax` (eV/Å) in its fixed cell."""
        still: Atoms = atoms.copy()
        still.calc = KeptCalculator(self, mesh or kpoint_mesh(atoms.cell.array, self.settings.kspacing))
        if not BFGS(still, logfile=None, maxstep=0.1).run(fmax=fmax, steps=steps):
            raise CalculationError(f"reference: {len(atoms)} atoms not relaxed to {fmax} eV/Å in {steps} steps.")
        return still


class KeptCalculator(Calculator):
    """The single points of a `Book` as an ASE calculator."""

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012 - as ASE has it

    def __init__(self, book: Book, mesh: Mesh) -> None:
        """Single points with one mesh of k-points, from the book where it has them."""
        super().__init__()
        self.book, self.mesh = book, mesh

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Energy, forces and stress."""
        super().calculate(atoms, list(properties), list(system_changes))
        assert self.atoms is not None
        labels = self.book.point(self.atoms, self.mesh)
        self.results = {
            "energy": labels.energy,
            "forces": labels.forces,
            "stress": labels.stress.reshape(9)[[0, 4, 8, 5, 2, 1]],
        }


def diamond(a: float, *, cubic: bool = True) -> Atoms:
    """Return diamond silicon with cubic lattice constant `a` in Å: eight atoms, or two."""
    return bulk("Si", "diamond", a=a, cubic=cubic)


def strained(atoms: Atoms, strain: NDArray[np.float64]) -> Atoms:
    """Return the structure under a symmetric strain (3, 3)."""
    out: Atoms = atoms.copy()
    out.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return out


def birch_murnaghan(volumes: NDArray[np.float64], energies: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return volume, energy and bulk modulus at the minimum of a third-order Birch-Murnaghan fit.

    E is a cubic polynomial in x = V^(-2/3) (Birch, DOI 10.1103/PhysRev.71.809); B = V E''(V).

    Args:
        volumes: Volumes in Å³.
        energies: Energies in eV.

    Returns:
        V₀ in Å³, E₀ in eV, B₀ in eV/Å³.

    Raises:
        CalculationError: If the fit has no minimum.
    """
    x = volumes ** (-2.0 / 3.0)
    fit = np.polynomial.Polynomial.fit(x, energies, 3)
    slope, bend = fit.deriv(), fit.deriv(2)
    roots = [r.real for r in slope.roots() if abs(r.imag) < 1e-12 and bend(r.real) > 0.0]
    if not roots:
        raise CalculationError("equation of state: the energies have no minimum in volume.")
    best = float(min(roots, key=lambda r: abs(r - x.mean())))
    volume = best ** (-1.5)
    return float(volume), float(fit(best)), float(4.0 / 9.0 * volume ** (-7.0 / 3.0) * bend(best))


def equation_of_state(book: Book) -> None:
    """Lattice constant, energy and bulk modulus of diamond from nine volumes of the eight-atom cell, ±8 %."""
    sizes = 5.475 * np.linspace(0.92, 1.08, 9) ** (1.0 / 3.0)
    mesh = kpoint_mesh(diamond(5.475).cell.array, book.settings.kspacing)
    energies = np.array([book.point(diamond(float(a)), mesh).energy for a in sizes])
    volume, energy, modulus = birch_murnaghan(sizes**3, energies)
    how = f"Birch-Murnaghan fit to 9 volumes within ±8 %, 8-atom cell, k-mesh {mesh}"
    book.put("lattice_constant", volume ** (1.0 / 3.0), "Å", how)
    book.put("bulk_modulus", modulus / GPA, "GPa", how)
    book.put("energy_per_atom", energy / 8.0, "eV", how)


def elastic_constants(book: Book, amplitude: float = 0.01) -> None:
    """C11, C12 and C44 from stresses at strains ±`amplitude`, ions clamped and relaxed, mesh fixed.

    The mesh is that of a spacing of 0.225 1/Å in the two-atom cell: the labels' own spacing leaves several percent
    in the internal relaxation of one cell, in other directions for other cells, which a fit to all of them averages.
    """
    dense = Book(replace(book.settings, kspacing=DENSE), book.store, book.store / "unused.json")
    cell = diamond(book.get("lattice_constant"), cubic=False)
    mesh = kpoint_mesh(cell.cell.array, DENSE)
    how = f"central difference of the stress, strain ±{amplitude}, 2-atom cell, k-mesh {mesh}"
    axial = np.zeros((3, 3))
    axial[0, 0] = amplitude
    pair = [dense.point(strained(cell, sign * axial), mesh).stress for sign in (1.0, -1.0)]
    slope = (pair[0] - pair[1]).diagonal() / (2.0 * amplitude) / GPA
    book.put("C11", slope[0], "GPa", how)
    book.put("C12", slope[1:].mean(), "GPa", how, spread=float(np.ptp(slope[1:])))
    shear = np.zeros((3, 3))
    shear[0, 1] = shear[1, 0] = 0.5 * amplitude
    ends = [strained(cell, sign * shear) for sign in (1.0, -1.0)]
    stress = [dense.point(end, mesh).stress[0, 1] for end in ends]
    book.put("C44_clamped", (stress[0] - stress[1]) / (2.0 * amplitude) / GPA, "GPa", how + ", ions clamped")
    stress = [dense.point(dense.relax(end, fmax=0.001, steps=20, mesh=mesh), mesh).stress[0, 1] for end in ends]
    slope44 = (stress[0] - stress[1]) / (2.0 * amplitude) / GPA
    book.put("C44", slope44, "GPa", how + ", ions relaxed to 1 meV/Å")


def beta_tin_energy(book: Book) -> None:
    """Energy of β-tin above diamond, volume and c/a relaxed on a 5 × 4 grid with a polynomial through it."""
    a_values, ratios = np.linspace(4.70, 4.94, 5), np.linspace(0.53, 0.575, 4)
    mesh = kpoint_mesh(beta_tin(4.82, 0.55).cell.array, book.settings.kspacing)
    grid = [(a, r, book.point(beta_tin(float(a), float(r)), mesh).energy / 2.0) for a in a_values for r in ratios]
    a, ratio, energy = np.array(grid).T
    u, w = (a - 4.82) / 0.12, (ratio - 0.55) / 0.02
    terms = [u**0, u, w, u * u, u * w, w * w, u**3, u * u * w, u * w * w, w**3]
    c, *_ = np.linalg.lstsq(np.stack(terms, axis=1), energy, rcond=None)
    x, y = np.meshgrid(np.linspace(-1, 1, 401), np.linspace(-1, 1.25, 401), indexing="ij")
    terms = [x**0, x, y, x * x, x * y, y * y, x**3, x * x * y, x * y * y, y**3]
    surface = np.tensordot(c, np.stack(terms), axes=1)
    place = np.unravel_index(np.argmin(surface), surface.shape)
    if min(place) == 0 or max(place) == 400:
        raise CalculationError("beta-tin: the smallest energy is at the edge of the grid; widen a_values or ratios.")
    how = f"two-atom cell, k-mesh {mesh}, smallest energy over volume and c/a (cubic fit to 20 points)"
    difference = float(surface[place]) - book.get("energy_per_atom")
    book.put("beta_tin_minus_diamond", 1000.0 * difference, "meV/atom", how)
    book.put("beta_tin_a", 4.82 + 0.12 * float(x[place]), "Å", how)
    book.put("beta_tin_c_over_a", 0.55 + 0.02 * float(y[place]), "", how)


def phonons(book: Book, step: float = 0.02, kspacing: float = 0.25) -> None:
    """Frequencies at Γ, X and L, all of which fit the 2×2×2 primitive supercell, by finite displacements.

    One atom is moved by ±`step` (Å) along x, y and z. Inversion at the bond centre exchanges the two atoms of the
    primitive cell, so that D(q) = [[A, B], [B†, A*]] needs the forces from one of them only. The mesh is denser
    than the labels', which splits degenerate modes by several percent; `spread` tells what splitting is left.
    """
    cell = diamond(book.get("lattice_constant"), cubic=False)
    big = cell.repeat(2)
    dense = Book(replace(book.settings, kspacing=kspacing), book.store, book.store / "unused.json")
    mesh = kpoint_mesh(big.cell.array, kspacing)
    constants = np.zeros((3, len(big), 3))
    for axis in range(3):
        for sign in (1.0, -1.0):
            moved = big.copy()
            moved.positions[0, axis] += sign * step
            constants[axis] -= sign * dense.point(moved, mesh).forces / (2.0 * step)
    constants[:, 0] -= constants.sum(axis=1)  # acoustic sum rule
    # Reduced coordinates; shifts by half a reciprocal vector commute with the supercell's periodicity.
    points = {"gamma": (0.0, 0.0, 0.0), "x": (0.5, 0.5, 0.0), "l": (0.5, 0.0, 0.0)}
    names = {"gamma": ((3, 6, "lto"),), "x": ((0, 2, "ta"), (2, 4, "la_lo"), (4, 6, "to"))}
    names["l"] = ((0, 2, "ta"), (2, 3, "la"), (3, 4, "lo"), (4, 6, "to"))
    lattice = np.rint((big.positions - np.tile(cell.positions, (8, 1))) @ np.linalg.inv(cell.cell.array))
    for point, q in points.items():
        phase = np.cos(2.0 * np.pi * lattice @ np.array(q))  # ±1 at these points, so D is real
        same = np.einsum("aib,i->ab", constants[:, 0::2], phase[0::2])
        other = np.einsum("aib,i->ab", constants[:, 1::2], phase[1::2])
        dynamical = np.block([[0.5 * (same + same.T), other], [other.T, 0.5 * (same + same.T)]]) / ATOMIC_MASS
        squares = np.linalg.eigvalsh(dynamical)
        frequency = np.sign(squares) * np.sqrt(np.abs(squares)) * THZ
        for first, last, name in names[point]:
            group = frequency[first:last]
            how = f"displacement ±{step} Å in the 16-atom cell, k-mesh {mesh}, mean of {last - first} modes"
            book.put(f"phonon_{point}_{name}", group.mean(), "THz", how, spread=float(np.ptp(group)))


def dispersion(book: Book, step: float = 0.02, kspacing: float = 0.2) -> None:
    """Forces on the 64-atom cell with one atom moved by `step` (Å) along x, written to `dispersion.json`.

    Symmetry makes all force constants from them, so the mesh must treat the axes alike: it goes through Γ. It leaves
    about 0.1 THz in the optical modes at Γ, seen in the eight-atom cell on this and the next denser mesh.
    """
    even = replace(book.settings, kspacing=kspacing, kshift=(0, 0, 0), symmetry=True)
    full = diamond(book.get("lattice_constant")).repeat(2)
    moved, mesh = full.copy(), kpoint_mesh(full.cell.array, kspacing)
    moved.positions[0, 0] += step
    labels = Book(even, book.store, book.store / "unused.json").point(moved, mesh)
    content = {
        "settings": {"settings_sha256": settings_hash(even), **even.provenance(), "version": labels.version},
        "how": f"64-atom cell, atom 0 moved along x, k-mesh {mesh}",
        "symbols": full.get_chemical_symbols(),
        "cell_ang": full.cell.array.tolist(),
        "positions_ang": full.positions.tolist(),
        "moved_atom": 0,
        "displacement_ang": [step, 0.0, 0.0],
        "forces_ev_per_ang": labels.forces.tolist(),
    }
    write_json(book.out.with_name("dispersion.json"), content)


def surface_energies(book: Book) -> None:
    """Energies of the ideal 1×1 (100), (110) and (111) faces, unrelaxed, then relaxed without reconstruction.

    γ = (E_slab − N E_bulk) / (2A), with E_bulk from the diamond cell.
    """
    energy, a = book.get("energy_per_atom"), book.get("lattice_constant")
    for face, layers in (("100", 12), ("110", 8), ("111", 12)):
        slab = ideal_slab(face, layers, vacuum=10.0, lattice_constant=a)
        mesh = kpoint_mesh(slab.cell.array, book.settings.kspacing)
        area = float(np.linalg.norm(np.cross(*slab.cell.array[:2])))
        still = None
        for state in ("unrelaxed", "relaxed"):
            still = slab if state == "unrelaxed" else book.relax(slab, fmax=0.02, steps=60)
            gamma = (book.point(still, mesh).energy - len(slab) * energy) / (2.0 * area)
            how = f"ideal 1×1 slab of {layers} layers ({len(slab)} atoms), 10 Å vacuum, k-mesh {mesh}, {state}"
            how += "" if state == "unrelaxed" else " to 0.02 eV/Å without reconstruction"
            book.put(f"surface_{face}_{state}", gamma * JOULE_PER_M2, "J/m²", how, ev_per_ang2=gamma)


def vacancy(book: Book) -> None:
    """Formation energy of a vacancy in 64 sites at the bulk lattice constant: E(63) − 63/64 E(64)."""
    full = diamond(book.get("lattice_constant")).repeat(2)
    mesh = kpoint_mesh(full.cell.array, book.settings.kspacing)
    bulk_energy = book.point(full, mesh).energy * 63.0 / 64.0
    hole = full.copy()
    middle = hole.positions[27].copy()
    distances = full.get_distances(27, range(64), mic=True)
    ring = [k - (k > 27) for k in np.argsort(distances)[1:5]]
    del hole[27]
    how = f"64 sites, k-mesh {mesh}"
    value = book.point(hole, mesh).energy - bulk_energy
    book.put("vacancy_formation_energy_unrelaxed", value, "eV", how + ", ideal positions")
    # The four neighbours pair up (Jahn-Teller, D2d): begin on that side, since symmetry would keep them from it.
    for first, second in (ring[:2], ring[2:]):
        between = hole.get_distance(first, second, mic=True, vector=True)
        hole.positions[first] += 0.12 * between / np.linalg.norm(between)
        hole.positions[second] -= 0.12 * between / np.linalg.norm(between)
    for k in ring:
        inward = middle - hole.positions[k]
        inward -= hole.cell.array.diagonal() * np.rint(inward / hole.cell.array.diagonal())
        hole.positions[k] += 0.15 * inward / np.linalg.norm(inward)
    still = book.relax(hole, fmax=0.02, steps=40)
    value = book.point(still, mesh).energy - bulk_energy
    book.put("vacancy_formation_energy", value, "eV", how + ", relaxed to 0.02 eV/Å in the fixed cell")


def convergence_table(book: Book, out: Path) -> None:
    """Write how energy differences and pressures change with cutoff and k-spacing.

    Energies are per atom and above diamond in the same kind of cell, so that what a fit learns from is compared.
    """
    shear = np.zeros((3, 3))
    shear[0, 1] = shear[1, 0] = 0.02
    cells = {"8 atoms": diamond(5.47), "2 atoms": diamond(5.47, cubic=False)}
    hole = diamond(5.47, cubic=False).repeat(2)
    del hole[0]
    asked = {
        "2 atoms, volume +12 %": strained(cells["2 atoms"], 0.04 * np.eye(3)),
        "2 atoms, shear 4 %": strained(cells["2 atoms"], shear),
        "8 atoms, volume +12 %": strained(cells["8 atoms"], 0.04 * np.eye(3)),
        "8 atoms, shear 4 %": strained(cells["8 atoms"], shear),
        "beta-tin, 2 atoms": beta_tin(4.82, 0.552),
        "vacancy, 15 atoms": hole,
    }
    rows = []
    base = book.settings
    variants = [(e, base.kspacing) for e in (20.0, 24.0, 30.0, 40.0)] + [(base.ecutwfc, k) for k in (0.42, 0.25, 0.2)]
    for cutoff, spacing in variants:
        other = Book(replace(base, ecutwfc=cutoff, kspacing=spacing), book.store, book.store / "unused.json")
        zero = {n: other.point(c).energy / len(c) for n, c in cells.items()}
        for name, atoms in asked.items():
            if cutoff != base.ecutwfc and name.startswith("8"):
                continue  # the basis does not ask how often the cell is repeated
            labels = other.point(atoms)
            origin = zero["8 atoms" if name.startswith("8") else "2 atoms"]
            stress = labels.stress / GPA
            row: dict[str, Any] = {"ecutwfc_ry": cutoff, "kspacing_per_ang": spacing, "structure": name}
            row["k_mesh"] = kpoint_mesh(atoms.cell.array, spacing)
            row["energy_above_diamond_mev_per_atom"] = round(1000.0 * (labels.energy / len(atoms) - origin), 3)
            row["stress_gpa"] = np.round(stress.reshape(9)[[0, 4, 8, 5, 2, 1]], 4).tolist()
            row["pressure_gpa"] = round(-float(np.trace(stress)) / 3.0, 4)
            rows.append(row)
            write_json(out, {"settings": base.provenance(), "rows": rows})
        cell_row = 1000.0 * (zero["8 atoms"] - zero["2 atoms"])
        rows.append({"ecutwfc_ry": cutoff, "kspacing_per_ang": spacing, "structure": "8 atoms against 2 atoms"})
        rows[-1]["energy_above_diamond_mev_per_atom"] = round(cell_row, 3)
        write_json(out, {"settings": base.provenance(), "rows": rows})


def silicon_reference(settings: EspressoSettings, store: str | Path, out: str | Path) -> dict[str, Any]:
    """Compute every value that is not there yet, cheap ones first, and return the contents of `out`.

    Args:
        settings: Settings of every calculation.
        store: Folder of finished single points; a repeated run goes on from there.
        out: The JSON file; `convergence.json` and `dispersion.json` are written beside it.

    Returns:
        {"settings": …, "values": {name: {"value", "unit", "how"}}}.

    Raises:
        CalculationError: If a calculation does not converge.
    """
    book = Book(settings, Path(store), Path(out))
    parts: list[tuple[str, Callable[[Book], None]]] = [
        ("bulk_modulus", equation_of_state),
        ("C44", elastic_constants),
        ("beta_tin_c_over_a", beta_tin_energy),
        ("phonon_l_to", phonons),
        ("surface_111_relaxed", surface_energies),
    ]
    for last, part in parts:
        if last not in book.values:
            part(book)
    if not book.out.with_name("dispersion.json").is_file():
        dispersion(book)
    convergence_table(book, book.out.with_name("convergence.json"))
    if "vacancy_formation_energy" not in book.values:
        vacancy(book)
    return cast(dict[str, Any], json.loads(Path(out).read_text()))


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and run."""
    chosen = reference_parser(__doc__).parse_args(arguments)
    settings = settings_for(chosen.settings, EspressoSettings, "espresso")
    silicon_reference(settings, chosen.store, chosen.out)


if __name__ == "__main__":
    main()
