"""Quantum ESPRESSO's pw.x: one structure in, energy, forces and stress out.

The energy is pw.x's line "!    total energy": with smearing this is E − TS, whose derivatives the printed forces
and stress are (Giannozzi et al., DOI 10.1088/1361-648X/aa8f79). pw.x prints the stress with the sign of a
pressure; here it has ASE's sign, tension positive.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, chemical_symbols
from numpy.typing import NDArray

from mlip_lab.core.errors import CalculationError, InputError

RYDBERG = 13.605693122994  # eV, CODATA 2018, as pw.x has it
BOHR = 0.529177210903  # Å


@dataclass(frozen=True)
class Labels:
    """What one single-point calculation gives.

    Attributes:
        energy: Total energy in eV, consistent with the forces.
        forces: Forces in eV/Å, (n_atoms, 3).
        stress: Stress in eV/Å³, (3, 3), tension positive.
        version: Name and version of the code that made them.
    """

    energy: float
    forces: NDArray[np.float64]
    stress: NDArray[np.float64]
    version: str


@dataclass(frozen=True)
class EspressoSettings:
    """Settings of a pw.x single point; energies in Ry as in pw.x's own input.

    Attributes:
        pseudopotentials: File name in `pseudo_dir` for each element.
        ecutwfc: Plane-wave cutoff in Ry.
        kspacing: Largest distance between k-points in 1/Å (2π included); n_i = ceil(|b_i| / kspacing).
        command: How pw.x is started, for example "mpirun -np 4 pw.x".
        pseudo_dir: Folder of the pseudopotential files.
        kshift: Half-step shift of the k-mesh along each reciprocal vector, 0 or 1.
        ecutrho: Density cutoff in Ry; None is four times `ecutwfc` (norm-conserving).
        smearing: Kind of smearing: "gaussian", "m-p", "m-v" or "f-d".
        degauss: Width of the smearing in Ry.
        conv_thr: Convergence of the energy in Ry per atom.
        extra_bands: Empty bands as a fraction of the occupied ones.
        mixing_beta: Share of the new density in each step.
        electron_maxstep: Steps after which the density is given up as not converging.
        timeout: Longest time for one structure in seconds.
        symmetry: Whether k-points and densities are made symmetric, which is quicker for crystals; otherwise every
            structure is sampled by the same rule, symmetric or not.
    """

    pseudopotentials: dict[str, str]
    ecutwfc: float
    kspacing: float
    command: str = "pw.x"
    pseudo_dir: str = "/usr/share/espresso/pseudo"
    kshift: tuple[int, int, int] = (0, 0, 0)
    ecutrho: float | None = None
    smearing: str = "m-v"
    degauss: float = 0.01
    conv_thr: float = 1e-9
    extra_bands: float = 0.2
    mixing_beta: float = 0.7
    electron_maxstep: int = 100
    timeout: float = 86400.0
    symmetry: bool = False

    def provenance(self) -> dict[str, str | float]:
        """Return what fixes the numbers, without names of folders: it identifies a label."""
        facts: dict[str, str | float] = {
            "code": "Quantum ESPRESSO pw.x",
            "ecutwfc_ry": self.ecutwfc,
            "ecutrho_ry": self.ecutrho if self.ecutrho is not None else 4.0 * self.ecutwfc,
            "kspacing_per_ang": self.kspacing,
            "kshift": " ".join(str(s) for s in self.kshift),
            "smearing": self.smearing,
            "degauss_ry": self.degauss,
            "conv_thr_ry_per_atom": self.conv_thr,
            "extra_bands": self.extra_bands,
        }
        if self.symmetry:
            facts["symmetry"] = "k-points and densities symmetric"
        for element, name in sorted(self.pseudopotentials.items()):
            content = (Path(self.pseudo_dir) / name).read_bytes()
            facts[f"pseudo_{element}"] = f"{name} sha256:{hashlib.sha256(content).hexdigest()}"
        return facts

    def check(self) -> None:
        """Refuse, in words, a program or a pseudopotential that is not there.

        Raises:
            InputError: If the program or a pseudopotential is missing.
        """
        words = shlex.split(self.command)
        for word in [words[0], *(w for w in words[1:] if Path(w).name == "pw.x")] if words else [""]:
            if shutil.which(word) is None:
                raise InputError(
                    f"command: the program {word!r} of {self.command!r} was not found. Install Quantum ESPRESSO "
                    "(Debian: apt install quantum-espresso quantum-espresso-data) or give the full path of pw.x."
                )
        for element, name in self.pseudopotentials.items():
            if element not in chemical_symbols[1:]:
                raise InputError(f"pseudopotentials: expected names of elements, got {element!r}.")
            if not (Path(self.pseudo_dir) / name).is_file():
                raise InputError(
                    f"pseudopotentials: no file {name!r} for {element} in {self.pseudo_dir}. "
                    "Put it there or set pseudo_dir."
                )

    def check_structure(self, atoms: Atoms) -> None:
        """Refuse a structure that these settings cannot label.

        Raises:
            InputError: If it is not periodic in three directions or has an element without pseudopotential.
        """
        if not atoms.pbc.all() or atoms.cell.rank < 3:
            raise InputError(
                "structure: a plane-wave code needs a cell that is periodic in three directions; give a molecule or "
                f"a slab at least 10 Å of vacuum and set pbc to true. Got pbc {atoms.pbc.tolist()}."
            )
        missing = sorted(set(atoms.get_chemical_symbols()) - set(self.pseudopotentials))
        if missing:
            raise InputError(f"pseudopotentials: none given for {', '.join(missing)}. Add it to the settings.")

    def calculate(self, atoms: Atoms, scratch: Path, mesh: tuple[int, int, int] | None = None) -> Labels:
        """Run pw.x on one structure in a folder of its own below `scratch`, which is removed afterwards.

        Args:
            atoms: The structure.
            scratch: An existing folder.
            mesh: Number of k-points along each axis where it must not change with the cell; None uses `kspacing`.

        Returns:
            The labels.

        Raises:
            CalculationError: If pw.x stops, runs out of time, or does not converge.
        """
        with tempfile.TemporaryDirectory(prefix="run-", dir=scratch) as folder:
            (Path(folder) / "pw.in").write_text(pw_input(atoms, self, mesh))
            try:
                done = subprocess.run(
                    [*shlex.split(self.command), "-in", "pw.in"],
                    cwd=folder,
                    capture_output=True,
                    text=True,
                    errors="replace",
                    timeout=self.timeout,
                    env={"OMP_NUM_THREADS": "1", **os.environ},
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise CalculationError(f"pw.x: not finished after {self.timeout:g} s; raise timeout.") from error
            except OSError as error:
                raise CalculationError(f"pw.x: {self.command!r} could not be started: {error}.") from error
            crash = Path(folder) / "CRASH"
            reason = crash.read_text(errors="replace") if crash.is_file() else done.stderr
            if done.returncode < 0:
                reason = f"It was ended by signal {-done.returncode}."
        return read_pw_output(done.stdout, len(atoms), reason=reason)


def kpoint_mesh(cell: NDArray[np.float64], kspacing: float) -> tuple[int, int, int]:
    """Return n_i = ceil(|b_i| / kspacing) for a cell with rows in Å and a spacing in 1/Å."""
    lengths = np.linalg.norm(2.0 * np.pi * np.linalg.inv(cell).T, axis=1)
    a, b, c = (max(1, math.ceil(length / kspacing - 1e-9)) for length in lengths)
    return a, b, c


def pw_input(atoms: Atoms, settings: EspressoSettings, mesh: tuple[int, int, int] | None = None) -> str:
    """Return pw.x's input for a single point with energy, forces and stress."""
    symbols = atoms.get_chemical_symbols()
    kinds = sorted(set(symbols))
    mesh = mesh or kpoint_mesh(atoms.cell.array, settings.kspacing)
    electrons = sum(_valence(Path(settings.pseudo_dir) / settings.pseudopotentials[s]) for s in symbols)
    bands = max(math.ceil((1.0 + settings.extra_bands) * electrons / 2.0), math.ceil(electrons / 2.0) + 4)
    density = "" if settings.ecutrho is None else f"  ecutrho = {settings.ecutrho!r}\n"
    species = "\n".join(
        f"  {s} {atomic_masses[chemical_symbols.index(s)]:.6f} {settings.pseudopotentials[s]}" for s in kinds
    )
    cell = "\n".join("  " + " ".join(f"{x:.14f}" for x in row) for row in atoms.cell.array)
    places = "\n".join(
        f"  {s} " + " ".join(f"{x:.14f}" for x in row) for s, row in zip(symbols, atoms.positions, strict=True)
    )
    return f"""&CONTROL
  calculation = 'scf'
  tprnfor = .true.
  tstress = .true.
  disk_io = 'none'
  outdir = '.'
  pseudo_dir = '{Path(settings.pseudo_dir).resolve()}'
/
&SYSTEM
  ibrav = 0
  nat = {len(atoms)}
  ntyp = {len(kinds)}
  ecutwfc = {settings.ecutwfc!r}
{density}  nbnd = {bands}
  nosym = .{str(not settings.symmetry).lower()}.
  occupations = 'smearing'
  smearing = '{settings.smearing}'
  degauss = {settings.degauss!r}
/
&ELECTRONS
  conv_thr = {settings.conv_thr * len(atoms)!r}
  mixing_beta = {settings.mixing_beta!r}
  electron_maxstep = {settings.electron_maxstep}
/
ATOMIC_SPECIES
{species}
K_POINTS automatic
  {mesh[0]} {mesh[1]} {mesh[2]} {settings.kshift[0]} {settings.kshift[1]} {settings.kshift[2]}
CELL_PARAMETERS angstrom
{cell}
ATOMIC_POSITIONS angstrom
{places}
"""


_NUMBER = r"([-+]?\d+\.\d+(?:[eEdD][-+]?\d+)?)"


def read_pw_output(text: str, n_atoms: int, *, reason: str = "") -> Labels:
    """Read energy, forces and stress from what pw.x printed.

    Args:
        text: Standard output of one pw.x single point.
        n_atoms: Number of atoms, checked against the forces found.
        reason: What the program said elsewhere when it failed.

    Returns:
        The labels in eV and Å.

    Raises:
        CalculationError: If the run did not end, did not converge, or a label is missing.
    """
    if "convergence NOT achieved" in text:
        raise CalculationError(
            "pw.x: the density did not converge; check the structure, lower mixing_beta or raise electron_maxstep."
        )
    energies = re.findall(r"^!\s+total energy\s+=\s+" + _NUMBER + r" Ry", text, re.MULTILINE)
    block = text.partition("Forces acting on atoms")[2].partition("The non-local contrib")[0]
    block = block.partition("Total force")[0]
    rows = re.findall(r"force =\s+" + r"\s+".join([_NUMBER] * 3), block)
    stress = re.search(r"total\s+stress .*?\n" + r"\n".join([r"\s*" + r"\s+".join([_NUMBER] * 3) + r"\s.*"] * 3), text)
    if "JOB DONE" not in text or not energies or len(rows) != n_atoms or stress is None:
        said = " ".join(line.strip() for line in reason.splitlines() if re.search(r"[A-Za-z]", line))[:300]
        raise CalculationError(f"pw.x: the run did not end with energy, forces and stress. {said}".rstrip())
    version = re.search(r"Program PWSCF v\.(\S+)", text)
    tensor = -np.array(stress.groups(), dtype=float).reshape(3, 3) * RYDBERG / BOHR**3
    return Labels(
        energy=float(energies[-1]) * RYDBERG,
        forces=np.array(rows, dtype=float) * RYDBERG / BOHR,
        stress=0.5 * (tensor + tensor.T),
        version=f"Quantum ESPRESSO pw.x {version.group(1) if version else 'of unknown version'}",
    )


def _valence(path: Path) -> float:
    """Return the valence charge that a UPF file declares."""
    text = path.read_text(errors="replace")
    found = re.search(r'z_valence="\s*([^"]+)"', text) or re.search(r"(\S+)\s+Z valence", text)
    if found is None:
        raise InputError(f"pseudopotentials: {path.name} declares no valence charge; is it a UPF file?")
    return float(found.group(1).replace("D", "E"))
