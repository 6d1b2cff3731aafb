"""Phonons by clicks."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mlip_lab.panels.base.capability import Capability, Frames, needs_crystal
from mlip_lab.panels.base.record import Number, Verdict
from mlip_lab.plots import phonons as pictures
from mlip_lab.properties.phonons import PhononResult, phonons
from mlip_lab.workflows.phonon_reference import reference_frequencies

SUM_RULE = 1e-3  # eV/Å²: one in ten thousand of the force constant of a bond
LARGE_ENOUGH = 0.3  # THz; a supercell one repeat smaller errs by more than this one does
ROOM = 300.0  # K


def _verdicts(result: PhononResult) -> list[Verdict]:
    if result.imaginary:
        found = [
            Verdict(
                "bad", f"An imaginary mode at {mode.name}, {-mode.frequency:.2f}i THz. {mode.meaning}", _point(mode.q)
            )
            for mode in result.imaginary[:4]
        ]
    elif result.vibrations is None:
        words = f"lowest on the mesh: {-result.lowest:.2f}i THz"
        found = [Verdict("bad", "Stable along the path, but not between: some mode there is imaginary.", words)]
    else:
        found = [Verdict("good", "Stable: every mode costs energy.", f"lowest frequency {result.lowest:.2g} THz")]
    if result.supercell_change is not None:
        size = " × ".join(map(str, result.supercell))
        words = f"supercell {size}; one repeat less changes frequencies by {result.supercell_change:.2g} THz (RMS)"
        enough = result.supercell_change < LARGE_ENOUGH
        text = "The supercell is large enough." if enough else "The supercell is small. Take a larger reach."
        found.append(Verdict("good" if enough else "warning", text, words))
    words = f"largest |Σ_j Φ_ij| {result.sum_rule:.2g} eV/Å²"
    if result.sum_rule < SUM_RULE:
        found.append(Verdict("good", "Shifting the whole crystal costs no force.", words))
    else:
        text = "Shifting the whole crystal costs a force: the calculator's forces are not exact. This was mended."
        found.append(Verdict("warning", text, words))
    left = f"a force of {result.max_force:.2g} eV/Å and a stress of {abs(result.stress).max():.2g} GPa are left"
    return [*found, Verdict("good", "The crystal was relaxed.", left)]


def _point(q: NDArray[Any]) -> str:
    return f"q = ({', '.join(f'{part:.3g}' for part in q)}) in reciprocal vectors of the primitive cell"


def _picture(result: PhononResult) -> Figure:
    return pictures.phonons(result, reference=reference_frequencies(result))


def _numbers(result: PhononResult) -> list[Number]:
    found = [Number("highest frequency", float(result.frequencies.max()), "THz")]
    if (dft := reference_frequencies(result)) is not None:
        off = pictures.distance(result.frequencies, dft)
        found.append(Number("distance from DFT (PBE) along the path, RMS", off, "THz"))
    speeds = np.linalg.norm(result.velocities[1, :3], axis=1)  # beside Γ, the first point of every path
    found += [Number(f"speed of sound {n}, first direction", float(v), "km/s") for n, v in enumerate(speeds, 1)]
    known = result.vibrations
    if known is not None:
        found.append(Number("zero-point energy", 1000 * float(known.free_energy[0]), "meV/atom"))
        if known.temperatures[-1] >= ROOM:
            warm = float(np.interp(ROOM, known.temperatures, known.heat_capacity))
            source = "Dulong and Petit"
            found.append(
                Number("heat capacity at 300 K", warm, "J/(mol K)", reference=pictures.DULONG_PETIT, source=source)
            )
            free = float(np.interp(ROOM, known.temperatures, known.free_energy))
            found.append(Number("free energy at 300 K", 1000 * free, "meV/atom"))
    return found


def _data(result: PhononResult) -> dict[str, Any]:
    data: dict[str, Any] = {
        "supercell": list(result.supercell),
        "qpoints": result.path.qpoints.tolist(),
        "distances_per_ang": result.path.distances.tolist(),
        "labels": [[name, place] for name, place in result.path.labels],
        "frequencies_thz": result.frequencies.tolist(),
        "group_velocities_km_per_s": result.velocities.tolist(),
        "dos_frequencies_thz": result.dos_frequencies.tolist(),
        "dos_per_thz_and_cell": result.dos.tolist(),
        "imaginary": [[mode.name, mode.q.tolist(), mode.frequency] for mode in result.imaginary],
    }
    if (known := result.vibrations) is not None:
        data["temperatures_k"] = known.temperatures.tolist()
        data["free_energy_ev_per_atom"] = known.free_energy.tolist()
        data["entropy_j_per_mol_k"] = known.entropy.tolist()
        data["heat_capacity_j_per_mol_k"] = known.heat_capacity.tolist()
    return data


def _frames(result: PhononResult) -> tuple[Atoms, NDArray[Any]]:
    """The mode that matters most: the most imaginary one, else the highest at Γ, or at the first named point after."""
    if result.imaginary:
        film = result.mode(result.imaginary[0].q, result.imaginary[0].band)
    else:
        bands = result.frequencies.shape[1]
        q = result.path.qpoints[0] if bands > 3 else result.path.qpoints[result.path.segments[0]][-1]
        film = result.mode(q, bands - 1)
    return film[0], np.array([frame.positions for frame in film])


def _picked(result: PhononResult, figure: Figure, x: float, y: float) -> tuple[Frames, str] | None:
    """The mode of the band that was clicked on."""
    found = pictures.band_at(result, figure, x, y)
    if found is None:
        return None
    point, band = found
    q, frequency = result.path.qpoints[point], result.frequencies[point, band]
    film = result.mode(q, band)
    swing = f"{frequency:.2f} THz" if frequency >= 0 else f"{-frequency:.2f}i THz"
    words = f"Mode {band + 1} of {result.frequencies.shape[1]}, {swing}, at {_point(q)}, moves in the Lab's viewer."
    return (film[0], np.array([frame.positions for frame in film])), words


PHONONS = Capability(
    function=phonons,
    title="Phonons",
    meaning="The waves in which a crystal can swing: their frequencies, and whether it holds together.",
    shows="frequencies over the wave vector, and their density",
    group="Crystal",
    formula=(
        "$$D(\\mathbf q)=\\sum_{\\mathbf R}\\frac{\\Phi(0,\\mathbf R)}{\\sqrt{m\\,m'}}e^{i\\mathbf q\\cdot\\mathbf R},"
        "\\qquad D\\,\\mathbf e=\\omega^2\\mathbf e$$ $\\Phi$ are the forces on all atoms of a supercell when one is "
        "moved a little. An imaginary $\\omega$ is a mode that lowers the energy: the crystal would rather be another "
        "one. Displacements and $D$ by phonopy (Togo, "
        "<a href='https://doi.org/10.7566/JPSJ.92.012001'>10.7566/JPSJ.92.012001</a>), the path by seekpath (Hinuma "
        "and others, <a href='https://doi.org/10.1016/j.commatsci.2016.10.015'>10.1016/j.commatsci.2016.10.015</a>)."
    ),
    picture=_picture,
    verdicts=_verdicts,
    numbers=_numbers,
    data=_data,
    frames=_frames,
    picked=_picked,
    invites="Click on a band to see its mode move in the Lab's viewer.",
    needs=needs_crystal,
    unit="displaced supercells",
    starts_over=True,
    defaults={"relax_first": True},
    labels={
        "atoms": "Structure",
        "calculator": "Potential",
        "relax_first": "Relax crystal first",
        "check_supercell": "Compare with a smaller one",
    },
    advanced=("force", "displacement", "mesh", "check_supercell", "highest_temperature"),
)
