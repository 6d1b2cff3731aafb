"""Surfaces by clicks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.core.errors import InputError
from mlip_lab.panels.base.capability import Capability, needs_crystal
from mlip_lab.panels.base.record import Number, Verdict
from mlip_lab.plots import surfaces as pictures
from mlip_lab.properties.slabs import faces_in
from mlip_lab.properties.surfaces import SurfacesResult, surfaces

SHOWN = 1e-4  # J/m²; a smaller error of the line is given as this
STEADY = 0.01  # of a surface energy: what thickness and vacuum may change


def _verdicts(result: SurfacesResult) -> list[Verdict]:
    found = []
    drifting = [s for s in result.surfaces if abs(s.best.drift) > STEADY * abs(s.best.fitted)]
    drifts = "; ".join(f"{s.name} {s.best.drift:.1g} J/m² for every 10 Å" for s in result.surfaces)
    if drifting:
        names = ", ".join(s.name for s in drifting)
        text = f"The textbook formula drifts with the thickness for {names}. Take the line's value, or thicker slabs."
        found.append(Verdict("warning", text, drifts))
    else:
        found.append(Verdict("good", "The slabs are thick enough: the textbook formula does not drift.", drifts))
    uneven = [s.name for s in result.surfaces if not s.equal_sides]
    if uneven:
        text = f"The two sides of {', '.join(uneven)} are not the same surface: the value is their mean."
        found.append(Verdict("warning", text))
    else:
        found.append(Verdict("good", "Both sides of each slab are the same surface."))
    seen = max(abs(s.vacuum_change) for s in result.surfaces)
    words = f"twice the vacuum changes an energy by {seen:.1g} J/m²"
    if seen < STEADY * min(abs(s.best.fitted) for s in result.surfaces):
        found.append(Verdict("good", "The vacuum is wide enough.", words))
    else:
        found.append(Verdict("warning", "The vacuum is narrow: slabs feel each other. Take a wider one.", words))
    if result.shape is None and len(result.surfaces) > 1:
        found.append(Verdict("warning", "These faces alone do not enclose a crystal. Add faces in other directions."))
    return found


def _numbers(result: SurfacesResult) -> list[Number]:
    found = []
    for surface in result.surfaces:
        best = surface.best
        found.append(Number(f"{surface.name}", best.fitted, "J/m²", max(best.error, SHOWN)))
        if surface.relaxed is not None:
            found.append(
                Number(f"{surface.name}, ideal", surface.ideal.fitted, "J/m²", max(surface.ideal.error, SHOWN))
            )
    if (shape := result.shape) is not None:
        found.append(Number("mean over Wulff's shape", shape.mean_energy, "J/m²"))
    return found


def _data(result: SurfacesResult) -> dict[str, Any]:
    rows = []
    for surface in result.surfaces:
        kinds = {"ideal": surface.ideal} | ({"relaxed": surface.relaxed} if surface.relaxed else {})
        rows.append(
            {
                "face": list(surface.face),
                "atoms": surface.atoms.tolist(),
                "thicknesses_ang": surface.thicknesses.tolist(),
                "area_ang2": surface.area,
                "equal_sides": surface.equal_sides,
                **{
                    kind: {
                        "energies_ev": energy.energies.tolist(),
                        "fitted_j_per_m2": energy.fitted,
                        "textbook_j_per_m2": energy.textbook.tolist(),
                        "bulk_ev_per_atom": energy.bulk,
                    }
                    for kind, energy in kinds.items()
                },
            }
        )
    return {"surfaces": rows}


def _frames(result: SurfacesResult) -> tuple[Atoms, NDArray[Any]]:
    """The slab of the first face."""
    slab = result.surfaces[0].slab
    return slab, slab.positions[None]


def _needs(values: Mapping[str, Any]) -> str:
    try:
        faces_in(values["faces"])
    except InputError as error:
        return str(error)
    return needs_crystal(values)


SURFACES = Capability(
    function=surfaces,
    title="Surfaces",
    meaning="What it costs to cut a crystal along each face, and the shape it takes to pay least.",
    shows="energies of the faces, their dependence on the thickness, and the shape",
    group="Crystal",
    formula=(
        "$$E_{slab}(N)=N\\,e+2A\\,\\gamma$$ a line through slabs of several thicknesses. The textbook formula takes "
        "$e$ from a crystal apart: whatever that is off by adds up with $N$ (Boettger, "
        "<a href='https://doi.org/10.1103/PhysRevB.49.16798'>10.1103/PhysRevB.49.16798</a>; Fiorentini and Methfessel, "
        "<a href='https://doi.org/10.1088/0953-8984/8/36/005'>10.1088/0953-8984/8/36/005</a>). Wulff's shape is "
        "what lies within distance $\\gamma$ of the centre across every face."
    ),
    picture=pictures.surfaces,
    verdicts=_verdicts,
    numbers=_numbers,
    data=_data,
    frames=_frames,
    needs=_needs,
    unit="slabs",
    starts_over=True,
    defaults={"relax_first": True},
    labels={
        "atoms": "Structure",
        "calculator": "Potential",
        "relax": "Relax surfaces",
        "relax_first": "Relax crystal first",
        "thinnest": "Thinnest slab",
        "slabs": "Number of slabs",
    },
    advanced=("force", "vacuum", "slabs"),
)
