"""The shipped DFT phonons of silicon: consistent in themselves, and found for silicon alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from mlip_lab.core.errors import FileFormatError, InputError
from mlip_lab.data.packaged import reference
from mlip_lab.properties.phonon_path import band_path
from mlip_lab.properties.symmetry import primitive
from mlip_lab.workflows.phonon_reference import reference_frequencies


def result_of(atoms: Atoms) -> Any:
    """What the reference asks of a result: its primitive cell and its path."""
    cell = primitive(atoms)
    return SimpleNamespace(atoms=cell, path=band_path(cell))


def test_silicon_by_dft_is_that_of_another_cell_and_mesh() -> None:
    result = result_of(bulk("Si", a=5.48))
    found = reference_frequencies(result)
    assert found is not None and found.shape == (len(result.path.qpoints), 6)
    at = dict(result.path.labels)
    where = {name: int(np.argmin(abs(result.path.distances - at[name]))) for name in ("Γ", "X", "L")}
    known = {name: entry["value"] for name, entry in reference("si")["values"].items()}
    # The same point twice: from 64 atoms and 3 × 3 × 3 k-points, and from 16 atoms and 4 × 4 × 4 in other places.
    for point, kinds in {
        "X": ("ta", "ta", "la_lo", "la_lo", "to", "to"),
        "L": ("ta", "ta", "la", "lo", "to", "to"),
    }.items():
        wanted = [known[f"phonon_{point.lower()}_{kind}"] for kind in kinds]
        assert found[where[point]] == pytest.approx(wanted, abs=0.03), point
    gamma = found[where["Γ"]]
    assert gamma[:3] == pytest.approx(0.0, abs=1e-3) and np.ptp(gamma[3:]) < 1e-6
    # What the optical modes at Γ have is the meshes': 0.7 THz is their split where the mesh favours an axis.
    split = reference("si")["values"]["phonon_gamma_lto"]["spread"]
    assert gamma[3] == pytest.approx(known["phonon_gamma_lto"], abs=split)
    assert (found > -1e-3).all(), "silicon is stable"


def test_any_cell_of_silicon_has_the_same_and_no_other_crystal_has() -> None:
    one = reference_frequencies(result_of(bulk("Si")))
    turned = bulk("Si", cubic=True)
    turned.rotate(37, (1, 2, 3), rotate_cell=True)
    turned.positions += 0.3
    other = reference_frequencies(result_of(turned))
    assert one is not None and other is not None
    assert np.allclose(np.sort(one.max(axis=0)), np.sort(other.max(axis=0)), atol=0.02)  # points of two paths
    strained = bulk("Si")
    strained.set_cell(strained.cell.array @ np.diag([1.0, 1.0, 1.02]), scale_atoms=True)
    for atoms in (bulk("Ge"), bulk("Si", a=5.8), bulk("Si", "bcc", a=3.1), strained):
        assert reference_frequencies(result_of(atoms)) is None, atoms


def test_sets_without_phonons_are_refused_in_words() -> None:
    with pytest.raises(FileFormatError, match=r"dispersion\.json of the set 'al_li' cannot be read"):
        reference_frequencies(result_of(bulk("Al")), "al_li")
    with pytest.raises(InputError, match="name of a packaged set"):
        reference_frequencies(result_of(bulk("Al")), "nothing")


def test_forces_are_whole_and_from_the_settings_of_the_set() -> None:
    content, settings = reference("si", part="dispersion"), reference("si")["settings"]
    forces = np.array(content["forces_ev_per_ang"])
    assert forces.shape == (64, 3) and len(content["symbols"]) == 64 == len(content["positions_ang"])
    same = ("code", "ecutwfc_ry", "ecutrho_ry", "smearing", "degauss_ry", "conv_thr_ry_per_atom", "pseudo_Si")
    assert {key: content["settings"][key] for key in same} == {key: settings[key] for key in same}
    # pw.x removes the net force; what is left is its digits. The moved atom is drawn back, along x alone.
    assert abs(forces.sum(axis=0)).max() < 64 * 2e-7
    assert forces[0] == pytest.approx([forces[:, 0].min(), 0.0, 0.0], abs=1e-9) and forces[0, 0] < 0
    # The site's mirrors exchange y and z: so do the forces.
    assert np.sort(forces[:, 1]) == pytest.approx(np.sort(forces[:, 2]), abs=1e-6)
