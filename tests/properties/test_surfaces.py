"""Surface energies against counted bonds, closed shapes, and DFT."""

from __future__ import annotations

import pickle
from concurrent.futures import ProcessPoolExecutor
from typing import Any, ClassVar

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.neighborlist import neighbor_list

import mlip_lab
from mlip_lab.core.errors import CalculationError, InputError
from mlip_lab.data.packaged import reference
from mlip_lab.properties.relax import relax
from mlip_lab.properties.slabs import cuts, equal_sides, faces_in, layer_cell, normal_of, slab
from mlip_lab.properties.surfaces import JOULE_PER_M2, face_name, surface_energy, surfaces
from mlip_lab.properties.symmetry import primitive
from mlip_lab.properties.wulff import wulff

BOND, REACH = 0.3, 3.0  # eV, Å


class Bonds(Calculator):
    """−0.3 eV for each pair of atoms nearer than 3 Å, and no forces: what is left when a surface is only cut bonds."""

    implemented_properties: ClassVar[list[str]] = ["energy", "forces", "stress"]

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        bonds = len(neighbor_list("i", self.atoms, REACH)) / 2
        self.results = {"energy": -BOND * bonds, "forces": np.zeros((len(self.atoms), 3)), "stress": np.zeros(6)}


def counted(crystal: Atoms, face: tuple[int, int, int]) -> float:
    """γ in J/m²: bonds that cross a unit of area, half of each for either side."""
    where, vectors = neighbor_list("iD", crystal, REACH)
    across = vectors @ normal_of(crystal, face)
    crossing = np.abs(across).sum() / 2 / crystal.cell.volume  # each bond is listed from both its ends
    return JOULE_PER_M2 * BOND * crossing / 2 if len(where) else 0.0


@pytest.mark.parametrize("crystal", [bulk("Cu", a=3.6), bulk("Fe", a=2.87)], ids=["fcc", "bcc"])
def test_surfaces_of_counted_bonds_are_exact(crystal: Atoms) -> None:
    faces = "100 110 111 210 211 221 310 1-10 3-12"
    result = surfaces(crystal, Bonds(), faces=faces, relax=False, thinnest=6.0)
    assert len(result.surfaces) == 9
    for surface in result.surfaces:
        expected = counted(crystal, surface.face)
        assert surface.ideal.fitted == pytest.approx(expected, rel=1e-12)
        assert surface.ideal.textbook == pytest.approx(expected, rel=1e-12)
        assert surface.ideal.bulk == pytest.approx(-BOND * len(neighbor_list("i", crystal, REACH)) / 2, rel=1e-12)
        assert abs(surface.ideal.drift) < 1e-10 and surface.equal_sides and surface.vacuum_change == 0
        assert surface.terminations == 1
    assert result[(1, 1, 0)].ideal.fitted == pytest.approx(result[(1, -1, 0)].ideal.fitted)


def test_textbook_values_of_the_cube() -> None:
    # fcc: 4, 6 and 3 bonds are cut for each surface cell of (100), (110) and (111)
    a = 3.6
    result = surfaces(bulk("Cu", a=a), Bonds(), relax=False, thinnest=6.0)
    cells = {(1, 0, 0): (4, a * a / 2), (1, 1, 0): (6, a * a / 2**0.5), (1, 1, 1): (3, a * a * 3**0.5 / 4)}
    for face, (bonds, area) in cells.items():
        assert result[face].area == pytest.approx(area)
        assert result[face].best.fitted == pytest.approx(JOULE_PER_M2 * bonds * BOND / 2 / area)
    # so that Wulff's shape is the truncated octahedron whose (110) faces have shrunk to edges
    shape = result.shape
    assert shape.shares[(1, 1, 0)] == pytest.approx(0, abs=1e-9)
    assert [len(corners) for face, corners in shape.facets if face == (1, 0, 0)] == [4] * 6
    # corners (2, 1, 0) and so on: six squares of edge √2 beside eight hexagons of the same edge
    assert shape.shares[(1, 0, 0)] == pytest.approx(1 / (1 + 2 * 3**0.5), rel=1e-6)


@pytest.mark.parametrize("face", [(1, 0, 0), (1, 1, 1), (2, 1, 0), (3, 2, 1), (1, -1, 0)])
@pytest.mark.parametrize("crystal", [bulk("Si"), bulk("Ti", "hcp", a=2.9, c=4.7)], ids=["diamond", "hcp"])
def test_a_layer_cell_is_the_crystal(crystal: Atoms, face: tuple[int, int, int]) -> None:
    cell = layer_cell(crystal, face)
    assert cell.cell.volume == pytest.approx(crystal.cell.volume)
    assert np.abs(cell.cell.array[:2, 2]).max() < 1e-9
    shells = [np.sort(np.round(neighbor_list("d", atoms, 5.0), 6)) for atoms in (cell, crystal)]
    assert np.array_equal(*shells)
    # cut or not, the same density and the same bonds within
    places, gap = cuts(cell)
    for place in places:
        made = slab(cell, 5, 10.0, place)
        assert len(made) == 5 * len(cell)
        assert made.cell.array[2, 2] == pytest.approx(np.ptp(made.positions[:, 2]) + 10.0)
        assert neighbor_list("d", made, 5.0).min() == pytest.approx(shells[0].min())
    assert gap > 0


def test_the_cut_that_costs_least_is_taken() -> None:
    # diamond (111): one bond an atom between double layers, three within them
    crystal = relax(bulk("Si"), mlip_lab.load("si").calculator(), symmetry=True).atoms
    result = surfaces(crystal, Bonds(), faces="111", relax=False)
    (surface,) = result.surfaces
    area = crystal.cell.cellpar()[0] ** 2 * 3**0.5 / 2
    assert surface.terminations == 2 and surface.area == pytest.approx(area)
    assert surface.ideal.fitted == pytest.approx(JOULE_PER_M2 * BOND / 2 / area)


def test_copper_by_emt_as_ase_cuts_it() -> None:
    result = surfaces(bulk("Cu"), EMT(), faces="111", relax_first=True, force=1e-4)
    (surface,) = result.surfaces
    a = result.crystal.cell.cellpar()[0] * 2**0.5
    bulk_energy = relax(bulk("Cu"), EMT(), force=1e-6).energy
    for count, ours in zip(surface.atoms, surface.ideal.energies, strict=True):
        other = fcc111("Cu", (1, 1, int(count)), a=a, vacuum=6.0, periodic=True)
        other.calc = EMT()
        assert other.get_potential_energy() == pytest.approx(ours, abs=1e-9)
    excess = (ours - surface.atoms[-1] * bulk_energy) / (2 * surface.area)
    assert surface.ideal.fitted == pytest.approx(JOULE_PER_M2 * excess, rel=1e-4)
    assert surface.relaxed.fitted < surface.ideal.fitted
    assert result.shape is not None  # eight faces enclose an octahedron
    assert surface.best.error < 1e-3


def test_a_wrong_bulk_energy_drifts_and_the_line_does_not() -> None:
    sizes, area, gamma, energy = np.array([10, 12, 14, 16]), 15.0, 0.1, -5.0
    energies = sizes * energy + 2 * area * gamma
    thick = 2.0 * sizes
    right = surface_energy(sizes, energies, area, energy, thick)
    wrong = surface_energy(sizes, energies, area, energy + 1e-3, thick)
    assert right.fitted == pytest.approx(JOULE_PER_M2 * gamma) == wrong.fitted
    assert right.drift == pytest.approx(0, abs=1e-9) and wrong.bulk == pytest.approx(energy)
    # −N δ/2A: 5 atoms more for every 10 Å
    assert wrong.drift == pytest.approx(-JOULE_PER_M2 * 5 * 1e-3 / (2 * area))
    assert wrong.textbook[0] == pytest.approx(JOULE_PER_M2 * (gamma - 10e-3 / (2 * area)))
    rng = np.random.default_rng(0)
    noisy = [surface_energy(sizes, energies + 1e-3 * rng.normal(size=4), area, energy, thick) for _ in range(500)]
    stated = np.sqrt(np.mean([one.error**2 for one in noisy]))
    assert stated == pytest.approx(np.std([one.fitted for one in noisy]), rel=0.15)


def test_shipped_silicon_is_within_6_percent_of_dft() -> None:
    calculator = mlip_lab.load("si").calculator()
    known = {key: entry["value"] for key, entry in reference("si")["values"].items()}
    result = surfaces(bulk("Si", cubic=True), calculator, relax_first=True)
    for surface in result.surfaces:
        name = "".join(map(str, surface.face))
        assert surface.ideal.fitted == pytest.approx(known[f"surface_{name}_unrelaxed"], rel=0.06)
        assert surface.relaxed.fitted == pytest.approx(known[f"surface_{name}_relaxed"], rel=0.06)
        assert surface.equal_sides and surface.thicknesses[0] >= 12.0


@pytest.mark.xfail(
    strict=True,
    reason="the shipped potential makes an unrelaxed vacancy 0.3 eV too cheap (data/sets/si/README.md says why)",
)
def test_vacancy_of_shipped_silicon_beside_dft() -> None:
    calculator = mlip_lab.load("si").calculator()
    known = reference("si")["values"]["vacancy_formation_energy_unrelaxed"]["value"]
    edge = relax(bulk("Si", cubic=True), calculator, symmetry=True).atoms
    hole = edge.repeat(2)
    whole = relax(edge, calculator, cell=False).energy / 8
    del hole[27]
    hole.calc = calculator
    formation = hole.get_potential_energy() - 63 * whole
    assert formation == pytest.approx(known, abs=0.15)


def test_sides_that_differ_are_seen() -> None:
    # zincblende (111) ends in one element on one side, in the other on the other
    crystal = bulk("GaAs", "zincblende", a=5.65)
    made = slab(layer_cell(crystal, (1, 1, 1)), 3, 10.0, cuts(layer_cell(crystal, (1, 1, 1)))[0][0])
    assert not equal_sides(made)
    flat = layer_cell(crystal, (1, 1, 0))
    assert equal_sides(slab(flat, 4, 10.0, cuts(flat)[0][0]))
    result = surfaces(crystal, Bonds(), faces="111 110", relax=False)
    assert [surface.equal_sides for surface in result.surfaces] == [False, True]


def test_vacuum_that_is_too_narrow_is_seen() -> None:
    calculator = LennardJones(sigma=2.3, epsilon=0.4, rc=7.0, ro=5.0, smooth=True)
    crystal = relax(bulk("Cu", a=3.6), calculator, symmetry=True, force=1e-5).atoms
    narrow = surfaces(crystal, calculator, faces="111", vacuum=4.5, relax=False, thinnest=6.0)
    wide = surfaces(crystal, calculator, faces="111", vacuum=8.0, relax=False, thinnest=6.0)
    assert narrow.surfaces[0].vacuum_change > 1e-3
    assert wide.surfaces[0].vacuum_change == 0


def test_any_cell_gives_the_same_and_so_do_processes() -> None:
    calculator = Bonds()
    cube = surfaces(bulk("Cu", a=3.6, cubic=True).repeat((2, 1, 1)), calculator, relax=False, thinnest=6.0)
    with ProcessPoolExecutor(1) as pool:
        small = surfaces(
            bulk("Cu", a=3.6), pickle.loads(pickle.dumps(calculator)), relax=False, thinnest=6.0, executor=pool
        )
    assert len(primitive(cube.crystal)) == 1
    for one, other in zip(cube.surfaces, small.surfaces, strict=True):
        assert one.ideal.fitted == pytest.approx(other.ideal.fitted, rel=1e-12)


def test_wulff_shapes_of_one_face() -> None:
    crystal = bulk("Cu")
    cube = wulff(crystal, {(1, 0, 0): 1.5})
    corners = np.concatenate([c for _, c in cube.facets])
    np.testing.assert_allclose(np.abs(corners), 1.5, rtol=1e-8)
    assert cube.shares == {(1, 0, 0): 1.0} and cube.mean_energy == 1.5
    octahedron = wulff(crystal, {(1, 1, 1): 1.0, (1, 1, 0): 5.0})
    assert octahedron.shares == {(1, 1, 1): 1.0, (1, 1, 0): 0.0} and len(octahedron.facets) == 8
    assert all(len(c) == 3 for _, c in octahedron.facets)
    with pytest.raises(CalculationError, match="do not enclose"):
        wulff(bulk("Ti", "hcp", a=2.9, c=4.7), {(0, 0, 1): 1.0})
    with pytest.raises(InputError, match="positive surface energies"):
        wulff(crystal, {(1, 0, 0): -1.0})
    with pytest.raises(InputError, match="at least one"):
        wulff(crystal, {})


def test_faces_are_read_from_text() -> None:
    assert faces_in("100 110,1-11; 100") == ((1, 0, 0), (1, 1, 0), (1, -1, 1))
    assert faces_in("(1, 0, 0) (2,-1,0)") == ((1, 0, 0), (2, -1, 0))
    assert face_name((1, -1, 0)) == "(11\u03050)"
    for wrong in ("", "10", "abc", "000", "1000"):
        with pytest.raises(InputError, match="faces: expected Miller indices"):
            faces_in(wrong)


def test_what_is_not_usable_is_refused() -> None:
    with pytest.raises(InputError, match="relaxed cell, got a stress"):
        surfaces(bulk("Cu", a=3.7), EMT())
    with pytest.raises(InputError, match="not periodic"):
        surfaces(molecule("N2"), EMT())
    with pytest.raises(InputError, match="slabs: expected a whole number from 3"):
        surfaces(bulk("Cu"), EMT(), slabs=2)
