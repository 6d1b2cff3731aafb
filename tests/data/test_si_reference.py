"""The reference procedures, run on the Stillinger-Weber potential, whose silicon is known from the literature."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

import mlip_lab.data.si_frames as si_frames
import mlip_lab.data.si_reference as si_reference
from mlip_lab.core.errors import CalculationError
from mlip_lab.data.qe import EspressoSettings, Labels
from mlip_lab.properties.force_constants import frequencies_at, from_forces


class StillingerWeber(EspressoSettings):
    """Settings whose calculations are those of a classical potential; counts them."""

    calls = 0

    def provenance(self) -> dict[str, str | float]:
        return {"code": "Stillinger-Weber"} | ({"symmetry": "symmetric"} if self.symmetry else {})

    def calculate(self, atoms: Atoms, scratch: Path, mesh: tuple[int, int, int] | None = None) -> Labels:
        type(self).calls += 1
        # The potential needs a cell wider than twice its range of 3.77 Å.
        widths = 1.0 / np.linalg.norm(np.linalg.inv(atoms.cell.array), axis=0)
        copies = [int(np.ceil(7.6 / w)) for w in widths]
        big = atoms.repeat(copies)
        big.calc = si_frames._stillinger_weber()
        energy = big.get_potential_energy() / np.prod(copies)
        return Labels(float(energy), big.get_forces()[: len(atoms)], big.get_stress(voigt=False), "classical")


@pytest.fixture
def book(tmp_path: Path) -> si_reference.Book:
    pytest.importorskip("matscipy")
    settings = StillingerWeber(pseudopotentials={}, ecutwfc=24.0, kspacing=0.335)
    return si_reference.Book(settings, tmp_path / "store", tmp_path / "reference.json")


def test_values_of_a_known_potential(book: si_reference.Book) -> None:
    for part in (
        si_reference.equation_of_state,
        si_reference.elastic_constants,
        si_reference.phonons,
        si_reference.surface_energies,
        si_reference.vacancy,
    ):
        part(book)
    # Stillinger & Weber, DOI 10.1103/PhysRevB.31.5262: a 5.431 Å, -4.3366 eV. Balamane et al.,
    # DOI 10.1103/PhysRevB.46.2250: C11 151.4, C12 76.4, C44 56.4 GPa; ideal (111) 1.36 and (100) 2.36 J/m².
    known = {
        "lattice_constant": (5.431, 0.0005),
        "energy_per_atom": (-4.3366, 0.0005),
        "C11": (151.4, 0.3),
        "C12": (76.4, 0.3),
        "C44": (56.4, 0.3),
        "surface_111_unrelaxed": (1.36, 0.005),
        "surface_100_unrelaxed": (2.36, 0.005),
    }
    for name, (value, tolerance) in known.items():
        assert book.get(name) == pytest.approx(value, abs=tolerance), name
    # B of the energies against (C11 + 2 C12)/3 of the stresses: two routes to one number, 0.1 % from the fit.
    assert book.get("bulk_modulus") == pytest.approx((book.get("C11") + 2.0 * book.get("C12")) / 3.0, rel=2e-3)
    # At ideal angles only bonds count: four of ε are cut, and the atom that is put elsewhere brings two: 2 ε.
    assert book.get("vacancy_formation_energy_unrelaxed") == pytest.approx(4.3366, abs=0.001)
    # (100) relaxes nowhere in a potential whose cut bonds leave no force.
    assert book.get("surface_100_relaxed") == pytest.approx(book.get("surface_100_unrelaxed"), abs=1e-3)
    # Degenerate modes agree, and the order is that of silicon.
    values = json.loads(book.out.read_text())["values"]
    assert all(values[name]["spread"] < 1e-3 for name in values if name.startswith("phonon"))
    x = [book.get(f"phonon_x_{name}") for name in ("ta", "la_lo", "to")]
    assert x == sorted(x) and x[-1] < book.get("phonon_gamma_lto")


def test_optical_mode_agrees_with_energies(book: si_reference.Book) -> None:
    # The mode at Γ from force constants equals that of the two sublattices moved against each other, by energies.
    book.put("lattice_constant", 5.431, "Å", "given")
    si_reference.phonons(book)
    cell = si_reference.diamond(5.431, cubic=False)
    energies = []
    for move in (-0.01, 0.0, 0.01):
        moved = cell.copy()
        moved.positions[0, 0] += move
        energies.append(book.settings.calculate(moved, book.store).energy)
    spring = (energies[0] - 2.0 * energies[1] + energies[2]) / 0.01**2
    frequency = np.sqrt(2.0 * spring / si_reference.ATOMIC_MASS) * si_reference.THZ
    # Central differences with 0.02 and 0.01 Å see different shares of the quartic term, about 1e-3.
    assert book.get("phonon_gamma_lto") == pytest.approx(frequency, rel=3e-3)


def test_forces_for_the_dispersion_give_the_same_phonons(book: si_reference.Book) -> None:
    """The 64-atom cell holds Γ and X, as the 16-atom cell does, and one displacement is enough."""
    book.put("lattice_constant", 5.431, "Å", "given")
    si_reference.phonons(book)
    si_reference.dispersion(book)
    content = json.loads(book.out.with_name("dispersion.json").read_text())
    assert content["settings"]["symmetry"] and content["how"].endswith("k-mesh (3, 3, 3)")
    supercell = Atoms(content["symbols"], content["positions_ang"], cell=content["cell_ang"], pbc=True)
    forces, displacement = np.array(content["forces_ev_per_ang"]), np.array(content["displacement_ang"])
    waves = from_forces(supercell, content["moved_atom"], displacement, forces)
    gamma, x = frequencies_at(waves, np.array([[0.0, 0.0, 0.0], [0.5, 0.0, 0.5]]))
    assert gamma[3:] == pytest.approx([book.get("phonon_gamma_lto")] * 3, abs=2e-3)  # masses differ by 2e-5
    wanted = [book.get(f"phonon_x_{name}") for name in ("ta", "ta", "la_lo", "la_lo", "to", "to")]
    assert x == pytest.approx(wanted, abs=2e-3)


def test_finished_calculations_are_not_repeated(book: si_reference.Book) -> None:
    si_reference.equation_of_state(book)
    before = StillingerWeber.calls
    again = si_reference.Book(book.settings, book.store, book.out)
    si_reference.equation_of_state(again)
    assert StillingerWeber.calls == before
    assert again.values == book.values


def test_a_fit_without_minimum_is_an_error() -> None:
    volumes = np.linspace(10.0, 20.0, 6)
    with pytest.raises(CalculationError, match="no minimum"):
        si_reference.birch_murnaghan(volumes, -volumes)
