"""Minimum, saddle and Hessians of malonaldehyde's proton transfer by the settings that label the packaged set.

Run as `python -m mlip_lab.data.malonaldehyde_reference --with pyscf.toml --store calculations --out reference.json`;
it can be killed and run again. The molecule lies in the plane z = 0 and the proton moves along x between the two
oxygens. The saddle has the mirror x → −x as well (C2v), so it is the minimum among the structures with that symmetry;
that it is a saddle is shown by its Hessian.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.optimize import BFGS
from ase.units import J, _hbar, invcm, s
from numpy.typing import NDArray

from mlip_lab.core.errors import CalculationError
from mlip_lab.core.files import write_json
from mlip_lab.data.label import label_key, settings_hash
from mlip_lab.data.molecule import MoleculeSettings
from mlip_lab.data.reference_command import reference_parser, settings_for

Floats = NDArray[np.float64]
SYMBOLS = "O2C3H4"
PROTON = 5
WAVENUMBER = float(_hbar * J * s / invcm)  # 1/cm of one sqrt(eV/Å²/amu)
MIRROR = [1, 0, 3, 2, 4, 5, 7, 6, 8]  # atom onto which x → −x takes each atom of the saddle
# A start near the minimum, in Å: the proton (atom 5) sits on the left oxygen.
START = np.array(
    [
        [-1.27, -1.08, 0.0],
        [1.29, -1.03, 0.0],
        [-1.20, 0.22, 0.0],
        [1.22, 0.20, 0.0],
        [-0.03, 0.92, 0.0],
        [-0.33, -1.45, 0.0],
        [-2.16, 0.75, 0.0],
        [2.15, 0.80, 0.0],
        [-0.02, 2.00, 0.0],
    ]
)


def proton_coordinate(atoms: Atoms) -> float:
    """Return d(O–H) − d(O'–H) in Å: zero at the saddle, near ±0.61 at the two minima."""
    return float(atoms.get_distance(0, PROTON) - atoms.get_distance(1, PROTON))


def mirrored(atoms: Atoms) -> Atoms:
    """Return the image under x → −x with like atoms renamed: the same structure on the other side of the path."""
    out: Atoms = atoms.copy()
    out.positions = atoms.positions[MIRROR] * [-1.0, 1.0, 1.0]
    return out


def vibrations(masses: Floats, hessian: Floats, positions: Floats) -> tuple[Floats, Floats]:
    """Return wavenumbers and modes of the vibrations, translations and rotations projected out.

    Args:
        masses: amu, (n,).
        hessian: eV/Å², (3n, 3n).
        positions: Å, (n, 3), a stationary point and not linear.

    Returns:
        Wavenumbers in 1/cm, (3n − 6,), imaginary ones negative, ascending; and the orthonormal mass-weighted modes,
        (3n, 3n − 6).
    """
    root = np.sqrt(masses)
    centred = positions - masses @ positions / masses.sum()
    rigid = [np.outer(root, axis).ravel() for axis in np.eye(3)]
    rigid += [(root[:, None] * np.cross(axis, centred)).ravel() for axis in np.eye(3)]
    left, _, _ = np.linalg.svd(np.array(rigid).T, full_matrices=True)
    inner = left[:, 6:]
    weight = np.repeat(root, 3)
    squares, vectors = np.linalg.eigh(inner.T @ (hessian / np.outer(weight, weight)) @ inner)
    return np.sign(squares) * np.sqrt(np.abs(squares)) * WAVENUMBER, inner @ vectors


class Points(Calculator):
    """Single points kept in a folder, as an ASE calculator; forces made symmetric where `symmetric`."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012 - as ASE has it

    def __init__(self, settings: MoleculeSettings, store: Path, symmetric: bool = False) -> None:
        """Open the folder, which may exist from an earlier run."""
        super().__init__()
        self.settings, self.store, self.symmetric = settings, store, symmetric
        store.mkdir(parents=True, exist_ok=True)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Compute one structure, or read it where it is there."""
        super().calculate(atoms, list(properties), list(system_changes))
        assert self.atoms is not None
        made = self.kept("point", self.atoms, self._point)
        forces = np.array(made["forces"]) * [1.0, 1.0, 0.0]  # the plane stays a plane
        if self.symmetric:
            forces = 0.5 * (forces + forces[MIRROR] * [-1.0, 1.0, 1.0])
        self.results = {"energy": made["energy"], "forces": forces}

    def hessian(self, atoms: Atoms) -> Floats:
        """Return the Hessian in eV/Å², (3n, 3n)."""
        made = self.kept("hessian", atoms, lambda a: {"hessian": self.settings.hessian(a).tolist()})
        return np.array(made["hessian"])

    def kept(self, kind: str, atoms: Atoms, make: Callable[[Atoms], dict[str, Any]]) -> dict[str, Any]:
        """Return what `make` gives, from the folder where it is there."""
        name = hashlib.sha256(f"{label_key(atoms, self.settings)} {kind}".encode()).hexdigest()[:32]
        path = self.store / f"{name}.json"
        if not path.is_file():
            write_json(path, make(atoms))
        content: dict[str, Any] = json.loads(path.read_text())
        return content

    def _point(self, atoms: Atoms) -> dict[str, Any]:
        made = self.settings.calculate(atoms, self.store)
        return {"energy": made.energy, "forces": made.forces.tolist()}


def malonaldehyde_reference(settings: MoleculeSettings, store: str | Path, out: str | Path) -> dict[str, Any]:
    """Compute the values that are not yet in `store` and write them all to `out`.

    Args:
        settings: Settings of every calculation.
        store: Folder of finished calculations; a repeated run goes on from there.
        out: The JSON file.

    Returns:
        {"settings": …, "values": {name: {"value", "unit", "how"}}, "structures": {name: {"positions" in Å, "hessian"
        in eV/Å², "wavenumbers" in 1/cm}}}.

    Raises:
        CalculationError: If a relaxation does not end, or the saddle has not exactly one imaginary mode.
    """
    relaxed = {"minimum": Atoms(SYMBOLS, START), "saddle": Atoms(SYMBOLS, START)}
    relaxed["saddle"].positions = 0.5 * (START + mirrored(relaxed["saddle"]).positions)
    relaxed["saddle"].positions[[0, 1], 0] *= 1.18 / 1.28  # the oxygens come together for the proton to pass
    relaxed["saddle"].positions[PROTON] = [0.0, -1.32, 0.0]
    structures: dict[str, Any] = {}
    for name, atoms in relaxed.items():
        atoms.calc = Points(settings, Path(store), symmetric=name == "saddle")
        if not BFGS(atoms, logfile=None, maxstep=0.1).run(fmax=0.002, steps=60):
            raise CalculationError(f"reference: the {name} is not relaxed to 0.002 eV/Å in 60 steps.")
        hessian = atoms.calc.hessian(atoms)
        wavenumbers, _ = vibrations(atoms.get_masses(), hessian, atoms.positions)
        if (wavenumbers < 0.0).sum() != (name == "saddle"):
            raise CalculationError(f"reference: the {name} has the wavenumbers {np.round(wavenumbers[:3])} 1/cm.")
        structures[name] = {"positions": atoms.positions.tolist(), "energy": atoms.get_potential_energy()}
        structures[name] |= {"hessian": np.round(hessian, 6).tolist(), "wavenumbers": np.round(wavenumbers, 2).tolist()}
    content = {
        "settings": {"settings_sha256": settings_hash(settings), **settings.provenance()},
        "values": _values(relaxed, structures),
        "symbols": SYMBOLS,
        "structures": structures,
    }
    write_json(Path(out), content)
    return content


def _values(relaxed: dict[str, Atoms], structures: dict[str, Any]) -> dict[str, dict[str, Any]]:
    low, high = relaxed["minimum"], relaxed["saddle"]
    barrier = structures["saddle"]["energy"] - structures["minimum"]["energy"]
    modes = {name: np.array(structures[name]["wavenumbers"]) for name in structures}
    real = [w[w > 0.0].sum() for w in (modes["saddle"], modes["minimum"])]
    relaxation = "relaxed to 0.002 eV/Å"
    return {
        "energy_minimum": _value(structures["minimum"]["energy"], "eV", f"planar, {relaxation}, no imaginary mode"),
        "barrier": _value(1000.0 * barrier, "meV", f"saddle (C2v, {relaxation}, one imaginary mode) above minimum"),
        "barrier_with_zero_point_energy": _value(
            1000.0 * (barrier + 0.5 * invcm * (real[0] - real[1])), "meV", "harmonic, the imaginary mode left out"
        ),
        "imaginary_wavenumber": _value(-modes["saddle"][0], "1/cm", "analytic Hessian at the saddle"),
        "lowest_wavenumber_minimum": _value(modes["minimum"][0], "1/cm", "analytic Hessian at the minimum"),
        "oh_stretch_minimum": _value(modes["minimum"][-4:].min(), "1/cm", "harmonic, lowest of the four X–H stretches"),
        "oo_distance_minimum": _value(low.get_distance(0, 1), "Å", "at the minimum"),
        "oo_distance_saddle": _value(high.get_distance(0, 1), "Å", "at the saddle"),
        "oh_distance_minimum": _value(low.get_distance(0, PROTON), "Å", "at the minimum"),
        "oh_distance_saddle": _value(high.get_distance(0, PROTON), "Å", "at the saddle"),
    }


def _value(value: float, unit: str, how: str) -> dict[str, Any]:
    return {"value": float(value), "unit": unit, "how": how}


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and run."""
    chosen = reference_parser(__doc__).parse_args(arguments)
    settings = settings_for(chosen.settings, MoleculeSettings, "pyscf")
    malonaldehyde_reference(settings, chosen.store, chosen.out)


if __name__ == "__main__":
    main()
