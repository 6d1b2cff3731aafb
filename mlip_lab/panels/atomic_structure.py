"""Structure of moving atoms by clicks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.panels.base.capability import Capability
from mlip_lab.panels.base.record import Number, Verdict
from mlip_lab.plots import radial_distribution as pictures
from mlip_lab.properties.atomic_structure import AtomicStructure, atomic_structure
from mlip_lab.properties.trajectories import obstacle


def _verdicts(result: AtomicStructure) -> list[Verdict]:
    radial = result.radial
    if radial.effective_frames is None:
        words = f"{radial.frames} frames"
        return [Verdict("warning", "Too few independent frames to give errors. Run longer.", words)]
    words = f"{radial.frames} frames, each resembling {radial.inefficiency or 1:.1f} of its like"
    worth = f"The frames are worth {radial.effective_frames:.0f} independent ones; the bands account for it."
    return [Verdict("good", worth, words)]


def _numbers(result: AtomicStructure) -> list[Number]:
    radial = result.radial
    peak = int(radial.values.argmax())
    found = [
        Number("highest peak of g(r) at", float(radial.distances[peak]), "Å"),
        Number("first minimum of g(r), or bond length given", result.bond, "Å"),
        Number("bonds of an atom", result.mean_bonds, "", result.mean_bonds_error),
        Number("most common angle", float(result.angles[result.angle_density.argmax()]), "°"),
    ]
    if len(radial.pairs) > 1:
        place = int(radial.distances.searchsorted(result.bond)) - 1
        for name, neighbors in zip(radial.pairs, radial.partial_neighbors, strict=True):
            found.append(Number(f"neighbours nearer than that, {name}", float(neighbors[place])))
    return found


def _data(result: AtomicStructure) -> dict[str, Any]:
    radial = result.radial
    return {
        "distances_ang": radial.distances.tolist(),
        "g": radial.values.tolist(),
        "g_band_95": None if radial.band is None else radial.band.tolist(),
        "pairs": list(radial.pairs),
        "partial_g": radial.partial.tolist(),
        "partial_neighbors": radial.partial_neighbors.tolist(),
        "bond_ang": result.bond,
        "coordination": result.coordination.tolist(),
        "angles_deg": result.angles.tolist(),
        "angle_density_per_deg": result.angle_density.tolist(),
        "wave_numbers_per_ang": result.wave_numbers.tolist(),
        "structure_factor": result.structure_factor.tolist(),
    }


def _frames(result: AtomicStructure) -> tuple[Atoms, NDArray[Any]]:
    return result.trajectory.atoms, result.trajectory.positions


def _needs(values: Mapping[str, Any]) -> str:
    return obstacle(values["trajectory"], density=True)


ATOMIC_STRUCTURE = Capability(
    function=atomic_structure,
    title="Structure and g(r)",
    meaning="How moving atoms are arranged: their distances, bonds and angles, with honest bands.",
    shows="g(r), S(q), angles and coordination numbers",
    group="Motion",
    formula=(
        "$$g(r)=\\frac{\\langle n(r)\\rangle}{N\\rho\\,V_{shell}(r)},\\qquad "
        "S(q)=\\frac1N\\Big\\langle\\Big|\\sum_j e^{i\\mathbf q\\cdot\\mathbf r_j}\\Big|^2\\Big\\rangle$$ "
        "$g$ is 1 where atoms are spread evenly. Frames of a run resemble those before them, so bands come from whole "
        "blocks of frames, long enough to be independent (Flyvbjerg and Petersen, "
        "<a href='https://doi.org/10.1063/1.457480'>10.1063/1.457480</a>)."
    ),
    picture=pictures.atomic_structure,
    verdicts=_verdicts,
    numbers=_numbers,
    data=_data,
    frames=_frames,
    needs=_needs,
    unit="frames",
    starts_over=True,
    labels={
        "trajectory": "Trajectory file",
        "discard": "Part left out at start",
        "bond": "Bond length",
        "highest_q": "Highest wave number",
    },
    advanced=("bins", "bond", "highest_q", "most_frames"),
)
