"""Picture of a structure: atoms in their cell, coloured by element or by a number for each atom."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from mlip_lab.core.checks import as_floats, one_of
from mlip_lab.core.errors import InputError
from mlip_lab.plots.style import REFERENCE, describe, new_figure

Floats = NDArray[np.float64]

SCHEMES = {  # name, and whether its scale starts at zero
    "element": True,
    "force": True,
    "energy": False,
    "uncertainty": True,
    "displacement": True,
}
SPHERE = 0.5  # radius of a drawn atom in covalent radii: large enough to see, small enough to see past
REACH = 0.4  # two atoms are joined when they are at most so much, in Å, farther apart than their covalent radii
LAYERS = 24  # atoms are drawn in so many layers, from the back to the front
MOST_BONDED = 500  # with more atoms bonds hide more than they show, and take most of the time to draw
MOST_OUTLINED = 2_000
COLORMAP = "viridis"
FADED = 0.45  # how much of its colour the farthest atom loses to the white of the page


def structure(
    atoms: Atoms,
    *,
    scheme: str = "element",
    values: NDArray[np.floating] | None = None,
    unit: str = "",
    limits: tuple[float, float] | None = None,
    rotation: Floats | None = None,
    bonds: bool = True,
    legend: bool = True,
    size: tuple[float, float] = (5.0, 4.0),
) -> Figure:
    """The atoms as they are, in the frame they are given in, with their cell.

    Args:
        atoms: Any structure, periodic or not; positions are drawn as given, wrapped or not.
        scheme: "element", "force", "energy", "uncertainty" or "displacement": what the colours mean.
        values: A number for each atom, (n_atoms,); vectors (n_atoms, 3) count by their length. Not for elements.
        unit: Unit of the values.
        limits: Values at the two ends of the colours; those of `values` if not given.
        rotation: Rows are the directions to the right, up, and towards the viewer; see `along` and `seen_from`.
        bonds: Join near atoms, up to 500 of them.
        legend: Say what the colours mean.
        size: Width and height in inches.

    Raises:
        InputError: If the scheme is unknown or the values do not fit the atoms.
    """
    amounts = per_atom(scheme, values, len(atoms))
    ends = color_limits(scheme, amounts) if limits is None else limits
    colors = atom_colors(atoms.numbers, amounts, ends)
    view = seen_from() if rotation is None else rotation
    figure, axes = new_figure(size=size)
    ax = axes[0, 0]
    ax.set_axis_off()
    ax.set_aspect("equal")
    pairs = bonded_pairs(atoms.numbers, atoms.positions) if bonds else np.empty((0, 2), dtype=np.int64)
    _draw_cell(ax, atoms.cell.array, view)
    _draw_atoms(ax, atoms, colors, pairs, view, fade=FADED if amounts is None else 0.0)
    ax.autoscale_view()
    if legend and amounts is None:
        _element_legend(figure, atoms.numbers)
    elif legend and len(atoms):
        mappable = ScalarMappable(Normalize(*ends), COLORMAP)
        figure.colorbar(mappable, ax=ax, label=f"{scheme} ({unit})" if unit else scheme, shrink=0.7)
    return describe(figure, in_words(atoms, scheme, amounts, unit))


def per_atom(scheme: str, values: NDArray[np.floating] | None, n_atoms: int) -> Floats | None:
    """The number of each atom, (n_atoms,), lengths of vectors taken; None where elements are shown.

    Raises:
        InputError: If the scheme is unknown, or the values are missing, not wanted, or not one for each atom.
    """
    one_of("scheme", scheme, tuple(SCHEMES))
    if scheme == "element":
        if values is not None:
            raise InputError("values: expected none to colour by element, got some. Leave them out.")
        return None
    if values is None:
        raise InputError(f"values: expected one for each of {n_atoms} atoms to colour by {scheme}, got none.")
    if np.ndim(values) == 2:
        return np.asarray(np.linalg.norm(as_floats("values", values, (n_atoms, 3)), axis=1))
    return as_floats("values", values, (n_atoms,))


def color_limits(scheme: str, amounts: Floats | None) -> tuple[float, float]:
    """Values at the two ends of the colours: from zero where zero means something, else from the least."""
    if amounts is None or amounts.size == 0:
        return (0.0, 1.0)
    low, high = (0.0 if SCHEMES[scheme] else float(amounts.min())), float(amounts.max())
    return (low, high) if high > low else (low, low + 1.0)


def atom_colors(numbers: NDArray[np.integer], amounts: Floats | None, limits: tuple[float, float]) -> Floats:
    """Red, green and blue of each atom, (n_atoms, 3), from 0 to 1: Jmol's for elements, viridis for numbers."""
    if amounts is None:
        return np.asarray(jmol_colors[numbers], dtype=np.float64)
    return np.asarray(ScalarMappable(Normalize(*limits), COLORMAP).to_rgba(amounts))[:, :3]


def cell_edges(cell: Floats) -> Floats:
    """End points of the edges of a cell, (n_edges, 2, 3) in Å: twelve, or fewer where a cell vector is zero.

    Args:
        cell: Cell vectors as rows in Å, (3, 3).
    """
    vectors = cell[np.linalg.norm(cell, axis=1) > 0]
    count = len(vectors)
    if count == 0:
        return np.empty((0, 2, 3))
    corners = np.array([[(index >> bit) & 1 for bit in range(count)] for index in range(2**count)], dtype=np.float64)
    ends = [(corner, corner + np.eye(count)[axis]) for axis in range(count) for corner in corners if corner[axis] == 0]
    return np.asarray(np.array(ends) @ vectors)


def bonded_pairs(numbers: NDArray[np.integer], positions: Floats) -> NDArray[np.int64]:
    """Pairs of atoms closer than their covalent radii and 0.4 Å, (n_pairs, 2); none among more than 500 atoms.

    Only atoms as they are drawn are joined, not their periodic images: a bond then never crosses the picture.
    """
    if not 1 < len(numbers) <= MOST_BONDED:
        return np.empty((0, 2), dtype=np.int64)
    radii = covalent_radii[numbers]
    pairs = cKDTree(positions).query_pairs(2 * radii.max() + REACH, output_type="ndarray")
    distances = np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1)
    near = distances < radii[pairs].sum(axis=1) + REACH
    return np.asarray(pairs[near & (distances > 0.1)], dtype=np.int64)  # atoms on top of each other have no bond


def seen_from(azimuth: float = 18.0, elevation: float = 12.0) -> Floats:
    """Rotation to a view from the front (−y), `azimuth` degrees to the right and `elevation` above; z points up."""
    a, e = np.radians((azimuth, elevation))
    return _view(np.array([np.sin(a) * np.cos(e), -np.cos(a) * np.cos(e), np.sin(e)]), np.array([0.0, 0.0, 1.0]))


def along(cell: Floats, axis: int) -> Floats:
    """Rotation to a view along a cell vector, with the next but one (c for a, a for b, b for c) upwards.

    Args:
        cell: Cell vectors as rows in Å, (3, 3).
        axis: 0, 1 or 2; where this vector is zero, x, y or z is taken in its place.
    """
    vectors = np.where(np.linalg.norm(cell, axis=1, keepdims=True) > 0, cell, np.eye(3))
    return _view(vectors[axis], vectors[(axis + 2) % 3])


def _view(towards: Floats, up: Floats) -> Floats:
    towards = towards / np.linalg.norm(towards)
    up = up - (up @ towards) * towards
    if np.linalg.norm(up) < 1e-6:  # asked to look along what should point up
        up = np.eye(3)[np.argmin(np.abs(towards))]
        up = up - (up @ towards) * towards
    up = up / np.linalg.norm(up)
    return np.array([np.cross(up, towards), up, towards])


def in_words(atoms: Atoms, scheme: str, amounts: Floats | None, unit: str) -> str:
    """What the picture shows, for those who do not see it."""
    if len(atoms) == 0:
        return "No atoms."
    words = f"{len(atoms)} atoms, {atoms.get_chemical_formula()}"
    lengths = [f"{length:.2f}" for length in atoms.cell.lengths() if length > 0]
    if lengths:
        words += f", in a cell of {' × '.join(lengths)} Å"
    if amounts is None:
        return f"{words}, coloured by element."
    first = int(np.argmax(amounts))
    where = f"the largest is on {chemical_symbols[atoms.numbers[first]]} {first}"
    low, high = (f"{value:.3g}{f' {unit}' if unit else ''}" for value in (amounts.min(), amounts.max()))
    return f"{words}, coloured by {scheme}, from {low} to {high}; {where}."


def _draw_cell(ax: Axes, cell: Floats, view: Floats) -> None:
    edges = cell_edges(cell)
    if len(edges) == 0:
        return
    seen = edges @ view.T
    depth = seen[:, :, 2]
    # The edges that meet in the farthest corner lie behind all that is in the cell, the others before it
    behind = np.isclose(depth.min(axis=1), depth.min())
    for part, zorder in ((behind, 1), (~behind, 3 + 2 * LAYERS)):
        ax.add_collection(LineCollection(list(seen[part, :, :2]), colors=REFERENCE, linewidths=0.8, zorder=zorder))
    for name, vector in zip("abc", cell, strict=True):
        if np.any(vector):
            place = 1.04 * (view @ vector)
            ax.text(place[0], place[1], name, ha="center", va="center", fontsize=9, style="italic", zorder=zorder)


def _draw_atoms(ax: Axes, atoms: Atoms, colors: Floats, pairs: NDArray[np.int64], view: Floats, fade: float) -> None:
    if len(atoms) == 0:
        return
    seen = atoms.positions @ view.T
    depth = (seen[:, 2].max() - seen[:, 2]) / max(float(np.ptp(seen[:, 2])), 1e-9)  # 0 in front, 1 at the back
    layer = np.minimum(((1 - depth) * LAYERS).astype(int), LAYERS - 1)
    far = fade * depth[:, None]
    fill, line = colors * (1 - far) + far, np.repeat(0.2 + 0.5 * depth[:, None], 3, axis=1)
    diameters = 2 * SPHERE * covalent_radii[atoms.numbers]
    # Each atom carries its half of a bond, so that the bond has the colours and the depth of both
    halves = np.concatenate([pairs, pairs[:, ::-1]])
    sticks = np.stack([seen[halves[:, 0], :2], (seen[halves[:, 0], :2] + seen[halves[:, 1], :2]) / 2], axis=1)
    for k in np.unique(layer):
        mine = layer[halves[:, 0]] == k
        if mine.any():
            style = {"colors": fill[halves[mine, 0]] * 0.85, "linewidths": 2.0, "zorder": 2 + 2 * k}
            ax.add_collection(LineCollection(sticks[mine], **style))
        here = np.flatnonzero(layer == k)
        here = here[np.argsort(seen[here, 2])]
        circles = EllipseCollection(
            diameters[here],
            diameters[here],
            np.zeros(len(here)),
            units="xy",
            offsets=seen[here, :2],
            offset_transform=ax.transData,
            facecolors=fill[here],
            edgecolors=line[here] if len(atoms) <= MOST_OUTLINED else "none",
            linewidths=0.6,
            zorder=3 + 2 * k,
        )
        ax.add_collection(circles)
    margin = diameters[:, None] / 2
    ax.update_datalim(np.concatenate([seen[:, :2] - margin, seen[:, :2] + margin]))


def _element_legend(figure: Figure, numbers: NDArray[np.integer]) -> None:
    handles = [
        Line2D([], [], ls="", marker="o", ms=8, mfc=jmol_colors[z], mec="0.2", mew=0.6, label=chemical_symbols[z])
        for z in np.unique(numbers)
    ]
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=10, frameon=False, fontsize=9)
