"""Paths between two structures: the barrier, where it comes from, and that nothing done is lost."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import add_adsorbate, fcc100, fcc111, molecule
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.constraints import FixAtoms
from ase.mep import DimerControl, MinModeAtoms, MinModeTranslate

from mlip_lab.core.errors import CalculationError, Cancelled, InputError
from mlip_lab.properties.band import spread, straight
from mlip_lab.properties.reaction_path import ReactionPath, reaction_path
from mlip_lab.properties.relax import relax
from mlip_lab.properties.together import Together
from tests.potentials import NUMBERS, random_potential

SITES = {"100": ("hollow", "hollow", (1, 2)), "111": ("fcc", "hcp", (1, 1))}


def adatom(face: str) -> tuple[Atoms, Atoms]:
    """A copper adatom on copper before and after a hop; the lower of two layers is fixed."""
    first, second, offset = SITES[face]
    slab = {"100": fcc100, "111": fcc111}[face]("Cu", (3, 3, 2), vacuum=6.0)
    ends = []
    for site, place in ((first, (1, 1)), (second, offset)):
        end = slab.copy()
        add_adsorbate(end, "Cu", 1.7, site, offset=place)
        end.set_constraint(FixAtoms([atom.index for atom in end if atom.tag == 2]))
        ends.append(end)
    return ends[0], ends[1]


@pytest.fixture(scope="module")
def hops() -> dict[str, ReactionPath]:
    return {face: reaction_path(*adatom(face), EMT(), images=5) for face in SITES}


@pytest.mark.parametrize("face", SITES)
def test_barrier_equals_that_of_a_dimer(face: str, hops: dict[str, ReactionPath]) -> None:
    path = hops[face]
    start, end = adatom(face)
    middle = start.copy()
    middle.positions[-1] = 0.5 * (start.positions[-1] + end.positions[-1]) + [0.1, 0.15, 0.3]
    middle.calc = EMT()
    mask = [False] * (len(middle) - 1) + [True]
    along = np.zeros((len(middle), 3))
    along[-1] = end.positions[-1] - start.positions[-1]
    with DimerControl(logfile=None, eigenmode_logfile=None, mask=mask) as control:
        # turned at random, as it is without being told, it climbs out of the surface one time in many
        dimer = MinModeAtoms(middle, control, eigenmodes=[along / np.linalg.norm(along)], random_seed=1)
        dimer.displace(displacement_vector=0.3 * along, method="vector")
        with MinModeTranslate(dimer, logfile=None) as search:
            assert search.run(fmax=1e-3, steps=500)
    lowest = relax(start, EMT(), cell=False, force=1e-3).energy
    # both stop at 1e-3 eV/Å, where an energy is off by F²/2k ~ 1e-6 eV for each atom
    assert path.barrier == pytest.approx(middle.get_potential_energy() - lowest, abs=1e-4)
    assert path.converged and path.saddle.certified and path.doubts == ()
    assert path.max_force < 0.05 and path.saddle.max_force < 1e-3
    assert path.top[1] == pytest.approx(path.barrier, abs=3e-3)


def test_symmetric_hop_is_symmetric(hops: dict[str, ReactionPath]) -> None:
    path = hops["100"]
    assert path.reaction_energy == pytest.approx(0.0, abs=1e-6)
    assert path.energies == pytest.approx(path.energies[::-1], abs=1e-4)
    assert path.slopes == pytest.approx(-path.slopes[::-1], abs=1e-3)
    assert path.rate().prefactor == pytest.approx(path.rate(reverse=True).prefactor, rel=1e-4)
    assert 1 < path.rate().prefactor < 20  # THz, as vibrations of a metal are


def test_path_is_whole(hops: dict[str, ReactionPath]) -> None:
    path = hops["111"]
    start, _ = adatom("111")
    fixed = start.constraints[0].index
    assert np.abs(path.positions[:, fixed] - start.positions[fixed]).max() == 0.0
    for image, energy, forces in zip(path.images, path.energies, path.forces, strict=True):
        fresh = image.copy()
        fresh.calc = EMT()
        assert fresh.get_potential_energy() == pytest.approx(energy, abs=1e-10)
        assert np.allclose(fresh.get_forces(apply_constraint=False), forces, atol=1e-10)
        assert image.get_potential_energy() == energy
    places, _ = path.curve(7)
    assert places[0] == 0.0 and places[-1] == path.distances[-1]
    assert np.allclose(path._spline(path.distances), path.energies - path.energies[0])
    # the slope is that of the energy along the path
    assert np.allclose(path._spline(path.distances, 1), path.slopes)
    assert path.barrier - path.reverse_barrier == pytest.approx(path.reaction_energy)
    assert start.calc is None


def small_hop() -> tuple[Atoms, Atoms]:
    """An adatom among few atoms; those of the product are renamed and some moved by a cell vector."""
    slab = fcc100("Cu", (2, 2, 2), vacuum=5.0)
    ends = []
    for place in ((0, 0), (0, 1)):
        end = slab.copy()
        add_adsorbate(end, "Cu", 1.7, "hollow", offset=place)
        ends.append(end)
    after = ends[1][[8, 7, 6, 5, 4, 3, 2, 1, 0]]
    after.positions[2] += after.cell.array[0]
    for end in (ends[0], after):
        end.set_constraint(FixAtoms([atom.index for atom in end if atom.tag == 2]))
    return ends[0], after


def test_stop_keeps_what_is_done_and_goes_on_to_the_same_barrier() -> None:
    ends = small_hop()
    whole = reaction_path(*ends, EMT(), images=3, rates=False)

    def stop_after(steps: int) -> Callable[..., None]:
        def progress(done: int, total: int, /, **live: Any) -> None:
            if "so_far" in live:
                seen.append((done, live["so_far"]().energies.max()))
            if done >= steps and "so_far" in live:
                raise Cancelled("enough")

        return progress

    seen: list[tuple[int, float]] = []
    part = reaction_path(*ends, EMT(), images=3, rates=False, progress=stop_after(4))
    assert part.stopped and part.steps == 4 and part.saddle is None and not part.converged
    assert [done for done, _ in seen] == [0, 1, 2, 3, 4]
    rest = reaction_path(*ends, EMT(), images=3, rates=False, start=part)
    assert not rest.stopped and rest.converged and rest.steps > 4
    # both saddle points are refined to the same force: the order of steps no longer matters
    assert rest.barrier == pytest.approx(whole.barrier, abs=1e-5)
    assert 0.2 < whole.barrier < 0.7 and whole.saddle.certified

    def stop_at_saddle(done: int, total: int, /, **live: Any) -> None:
        if live.get("stage") == "Finding the saddle point":
            raise Cancelled("enough")

    part = reaction_path(*ends, EMT(), images=3, rates=False, progress=stop_at_saddle)
    assert part.stopped and part.converged and part.saddle is None
    rest = reaction_path(*ends, EMT(), images=3, rates=False, start=part)
    assert rest.steps == part.steps and rest.barrier == pytest.approx(whole.barrier, abs=1e-8)
    with pytest.raises(Cancelled):  # before there is a path
        reaction_path(*ends, EMT(), images=3, progress=stop_at_once)


def stop_at_once(done: int, total: int, /, **live: Any) -> None:
    raise Cancelled("enough")


def test_unfinished_paths_are_kept_and_say_so() -> None:
    ends = small_hop()
    short = reaction_path(*ends, EMT(), images=3, steps=3, rates=False)
    assert not short.converged and short.saddle is None and not short.stopped
    assert "not relaxed after 3 steps" in short.doubts[0]
    with pytest.raises(InputError, match="steps: expected more than the 3"):
        reaction_path(*ends, EMT(), images=3, steps=3, start=short)
    with pytest.raises(CalculationError, match="no normal modes of this path"):
        short.rate()
    longer = reaction_path(*ends, EMT(), images=3, start=short, saddle=False)
    assert longer.converged and longer.saddle is None
    assert longer.barrier == longer.top[1]


def test_the_same_on_an_executor() -> None:
    ends, pull = small_hop(), {"sigma": 2.3, "epsilon": 0.4, "rc": 5.0, "smooth": True}
    here = reaction_path(*ends, LennardJones(**pull), images=3, rates=False)
    with ProcessPoolExecutor(1) as pool:
        there = reaction_path(*ends, LennardJones(**pull), images=3, rates=False, executor=pool)
    assert np.array_equal(here.positions, there.positions) and np.array_equal(here.energies, there.energies)
    assert here.barrier == there.barrier


def test_ends_are_judged_before_anything_is_computed() -> None:
    before, after = small_hop()
    with pytest.raises(CalculationError, match="one structure, or relax to one"):
        reaction_path(before, before, EMT())
    shaken = after.copy()
    shaken.rattle(0.1, seed=1)
    with pytest.raises(InputError, match=r"product: expected a relaxed structure, got a force of .* Use relax_ends"):
        reaction_path(relax(before, EMT(), cell=False, force=0.01).atoms, shaken, EMT(), relax_ends=False)
    with pytest.raises(InputError, match=r"product: expected an ase\.Atoms"):
        reaction_path(before, "after", EMT())
    with pytest.raises(InputError, match="start: expected a path of these atoms"):
        other = ReactionPath(molecule("H2O"), *(np.zeros((3, 3, 3)),) * 3, np.arange(3), 0, 1.0, False, False)
        reaction_path(before, after, EMT(), start=other)
    with pytest.raises(InputError, match="images: expected a whole number"):
        reaction_path(before, after, EMT(), images=0)


class Downhill(Calculator):
    """One atom on a slope that ends in a valley far away."""

    implemented_properties = ("energy", "forces")

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = None) -> None:
        super().calculate(atoms, properties, system_changes)
        r = atoms.positions[0]
        self.results = {"energy": float(0.25 * r @ r), "forces": -0.5 * r[None]}


def test_a_slope_has_no_saddle() -> None:
    start, end = (Atoms("H", [[x, 0.0, 0.0]], cell=[9.0, 9.0, 9.0], pbc=True) for x in (0.0, 0.06))
    path = reaction_path(start, end, Downhill(), relax_ends=False, images=3)
    assert path.saddle is None and "no top between the ends" in path.doubts[0]


@pytest.mark.parametrize("periodic", [False, True])
def test_images_together_are_images_one_by_one(periodic: bool, rng: np.random.Generator) -> None:
    potential = random_potential(2, "neural")
    cell = np.array([[4.1, 0.0, 0.0], [0.9, 3.9, 0.0], [0.2, -0.4, 4.4]])  # smaller than twice the cutoff
    start = rng.uniform(0, 1, (6, 3)) @ cell
    start[1:] += 1.5 * np.arange(1, 6)[:, None] * [0.0, 0.0, 1.0]
    atoms = Atoms([NUMBERS[k % 2] for k in range(6)], start, cell=cell, pbc=periodic)
    images = start + 0.05 * rng.normal(size=(5, 6, 3))
    calculator = potential.calculator()
    together = Together(atoms, calculator)
    for shift in (0.0, 0.4):  # the second time without a new list, or with one
        energies, forces = together(images + shift * rng.uniform(-1, 1, images.shape))
        assert energies.shape == (5,) and forces.shape == (5, 6, 3)
    energies, forces = together(images)
    for image, energy, force in zip(images, energies, forces, strict=True):
        alone = atoms.copy()
        alone.positions = image
        alone.calc = calculator
        assert energy == pytest.approx(alone.get_potential_energy(), abs=1e-10)
        assert np.allclose(force, alone.get_forces(), atol=1e-10)
    images[2, 1] = images[2, 0] + [0.05, 0.0, 0.0]
    with pytest.raises(CalculationError, match=r"came 0\.05 Å close"):
        together(images)


def test_a_band_begins_without_collisions() -> None:
    # a hydrogen goes over to the other side of a molecule; on the straight line it would hit its carbon
    start = molecule("CH4")
    end = start.copy()
    end.positions[1] = -start.positions[1]
    line = straight(start, end.positions, 5)
    assert line[3].get_distance(0, 1) == pytest.approx(0.0, abs=1e-9)
    for image in line[1:-1]:
        image.positions[1] += [0.02, -0.02, 0.0]
    spread(line, lambda: None)
    assert min(image.get_distance(0, 1) for image in line) > 0.7
    assert np.array_equal(line[0].positions, start.positions) and np.array_equal(line[-1].positions, end.positions)
