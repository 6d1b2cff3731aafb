"""Lists of hops are whole: every neighbour into every vacancy, every bridge of a surface once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bcc110, bulk, fcc100, fcc111, molecule

from mlip_lab.core.errors import InputError
from mlip_lab.properties.hops import adsorbate_hops, vacancy_hops
from mlip_lab.properties.mapping import map_product


def test_each_neighbour_hops_into_each_vacancy() -> None:
    crystal = bulk("W", cubic=True).repeat(3)
    crystal.symbols[:18], crystal.symbols[18:30] = "Nb", "Mo"
    hops = vacancy_hops(crystal)
    assert len(hops) == 54 * 8 and len({hop.name for hop in hops}) == len(hops)
    assert Counter(hop.kind for hop in hops) == {"Nb": 18 * 8, "Mo": 12 * 8, "W": 24 * 8}
    bond = np.sqrt(0.75) * crystal.cell[0, 0] / 3
    for hop in hops[::29]:
        assert len(hop.reactant) == 53 and np.array_equal(hop.reactant.numbers, hop.product.numbers)
        moves = map_product(hop.reactant, hop.product).moves
        (moved,) = np.flatnonzero(moves > 1e-6)
        assert moves[moved] == pytest.approx(bond) and hop.reactant.symbols[moved] == hop.kind
        # the atom is now where one was taken out: the crystal minus its own old place
        together = Atoms([*hop.reactant.symbols, "X"], [*hop.reactant.positions, hop.product.positions[moved]],
                         cell=crystal.cell, pbc=True)  # fmt: skip
        assert together.get_distances(53, range(53), mic=True).min() == pytest.approx(bond)
    assert len(vacancy_hops(bulk("Cu", cubic=True).repeat(2))) == 32 * 12


@pytest.mark.parametrize(("build", "bridges"), [(fcc111, 3), (fcc100, 2), (bcc110, 3)])
def test_each_bridge_of_a_surface_once(build: object, bridges: int) -> None:
    slab = build("W" if build is bcc110 else "Cu", (3, 3, 2), vacuum=6.0)
    slab.symbols[-1] = "Au"
    hops = adsorbate_hops(slab, "H")
    assert len(hops) == 9 * bridges
    middles = []
    for hop in hops:
        start, end = hop.reactant.positions[-1], hop.product.positions[-1]
        near = [
            np.sort(atoms.get_distances(len(slab), range(len(slab)), mic=True))[:3]
            for atoms in (hop.reactant, hop.product)
        ]
        # a hollow site is as far from three atoms at least
        assert np.ptp(near[0]) < 1e-6 and np.ptp(near[1]) < 1e-6 and start[2] == pytest.approx(end[2])
        middles.append(np.linalg.solve(slab.cell.array[:2, :2].T, (start + end)[:2] / 2) % 1.0)
    apart = np.abs(np.array(middles)[:, None] - np.array(middles)[None])
    apart = np.minimum(apart, 1 - apart).max(axis=2)
    assert (apart < 1e-6).sum() == len(hops), "no bridge twice"
    assert Counter(hop.kind for hop in hops)["Au-" + ("W" if build is bcc110 else "Cu") + " bridge"] == 2 * bridges


def test_a_draw_is_that_of_its_seed() -> None:
    def names(**draw: Any) -> list[str]:
        return [hop.name for hop in vacancy_hops(bulk("Cu", cubic=True).repeat(2), **draw)]

    every = names()
    assert names(count=5, seed=3) == names(count=5, seed=3) != names(count=5, seed=4)
    assert len(names(count=5)) == 5 and set(names(count=5)) < set(every)
    assert names(count=1000) == every
    slab = fcc111("Cu", (2, 2, 2), vacuum=5.0)
    named = {hop.name: hop.reactant.positions[-1] for hop in adsorbate_hops(slab, "H")}
    for hop in adsorbate_hops(slab, "H", count=3, seed=1):
        assert np.array_equal(named[hop.name], hop.reactant.positions[-1])


def test_what_has_no_hops_is_refused() -> None:
    with pytest.raises(InputError, match=r"3\.6 Å across, so a vacancy would meet its own image"):
        vacancy_hops(bulk("Cu", cubic=True))
    with pytest.raises(InputError, match="a crystal of many atoms"):
        vacancy_hops(molecule("H2O"))
    with pytest.raises(InputError, match="adsorbate: expected the symbol of an element"):
        adsorbate_hops(fcc111("Cu", (2, 2, 2), vacuum=5.0), "Unobtainium")
    with pytest.raises(InputError, match="a slab that is periodic along a and b"):
        adsorbate_hops(molecule("H2O"), "H")
