"""The shape a crystal takes for least surface energy: Wulff's construction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, HalfspaceIntersection, QhullError

from mlip_lab.core.errors import CalculationError, InputError
from mlip_lab.properties.slabs import Miller, equivalent_normals

Floats = NDArray[np.float64]
ON_FACE = 1e-7  # of the surface energy: a corner that lies on a face


@dataclass(frozen=True, eq=False)
class WulffShape:
    """A polyhedron, each of its facets as far from the centre as its surface energy is large.

    Attributes:
        facets: Corners of each facet in order round it, in J/m² from the centre, (n_corners, 3), with the Miller
            indices of the face it belongs to.
        shares: Share of each face in the area; zero for one that does not show.
        mean_energy: Surface energy averaged over the area, J/m².
    """

    facets: tuple[tuple[Miller, Floats], ...]
    shares: dict[Miller, float]
    mean_energy: float


def wulff(crystal: Atoms, energies: Mapping[Miller, float]) -> WulffShape:
    """Intersect the half-spaces n·r ≤ γ(n) of all faces that symmetry makes of those given.

    G. Wulff, DOI 10.1524/zkri.1901.34.1.449.

    Args:
        crystal: The crystal whose symmetry counts.
        energies: Surface energies in J/m² by Miller indices of the conventional cell.

    Raises:
        InputError: If there are none, or one is not positive.
        CalculationError: If these faces alone do not enclose a body.
    """
    if not energies:
        raise InputError("energies: expected at least one surface energy, got none.")
    if not all(np.isfinite(energy) and energy > 0 for energy in energies.values()):
        raise InputError(f"energies: expected positive surface energies, got {dict(energies)}.")
    faces, normals, distances = [], [], []
    for face, energy in energies.items():
        for normal in equivalent_normals(crystal, face):
            faces.append(face)
            normals.append(normal)
            distances.append(energy)
    across, far = np.array(normals), np.array(distances)
    corners = _corners(across, far)
    facets, areas = [], dict.fromkeys(energies, 0.0)
    for face, normal, distance in zip(faces, across, far, strict=True):
        on = corners[np.abs(corners @ normal - distance) < ON_FACE * distance * 10]
        if len(on) >= 3:
            polygon, area = _polygon(on, normal)
            facets.append((face, polygon))
            areas[face] += area
    whole = sum(areas.values())
    shares = {face: area / whole for face, area in areas.items()}
    mean = sum(shares[face] * energy for face, energy in energies.items())
    return WulffShape(tuple(facets), shares, mean)


def _corners(normals: Floats, distances: Floats) -> Floats:
    words = "These faces alone do not enclose a body. Add faces in other directions."
    try:
        found = HalfspaceIntersection(np.column_stack([normals, -distances]), np.zeros(3)).intersections
    except QhullError as error:
        raise CalculationError(words) from error
    if not np.isfinite(found).all() or np.abs(found).max() > 1e3 * distances.max():
        raise CalculationError(words)
    scale = distances.max()
    return np.asarray(np.unique(np.round(found / scale, 9), axis=0) * scale)


def _polygon(corners: Floats, normal: Floats) -> tuple[Floats, float]:
    """The corners in order round a facet, and its area."""
    centre = corners.mean(axis=0)
    first = corners[0] - centre
    first = first / np.linalg.norm(first)
    second = np.cross(normal, first)
    flat = np.stack([(corners - centre) @ first, (corners - centre) @ second], axis=1)
    try:
        hull = ConvexHull(flat)
    except QhullError:  # corners on one line: the face only touches the body
        return corners, 0.0
    return corners[hull.vertices], float(hull.volume)
