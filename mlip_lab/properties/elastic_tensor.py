"""Algebra of elastic constants: rotation, symmetry, moduli, and what keeps a crystal from falling apart.

Constants are in GPa, (6, 6), Voigt order xx, yy, zz, yz, xz, xy, with engineering shear strain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlip_lab.core.errors import CalculationError

Floats = NDArray[np.float64]
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
_PLACE = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])  # of ij in Voigt's order
_ROWS, _COLUMNS = np.array(VOIGT).T
# Constants that differ from zero and from each other, by crystal system; a triclinic or monoclinic one has too many
INDEPENDENT = {
    "cubic": ("C11", "C12", "C44"),
    "hexagonal": ("C11", "C12", "C13", "C33", "C44"),
    "trigonal": ("C11", "C12", "C13", "C14", "C15", "C33", "C44"),
    "tetragonal": ("C11", "C12", "C13", "C16", "C33", "C44", "C66"),
    "orthorhombic": ("C11", "C22", "C33", "C12", "C13", "C23", "C44", "C55", "C66"),
}


@dataclass(frozen=True)
class Averages:
    """Moduli of a polycrystal of random grains in GPa: Voigt's and Reuss's bounds and Hill's mean.

    R. Hill, DOI 10.1088/0370-1298/65/5/307.
    """

    bulk_voigt: float
    bulk_reuss: float
    shear_voigt: float
    shear_reuss: float

    @property
    def bulk(self) -> float:
        """Hill's bulk modulus in GPa."""
        return (self.bulk_voigt + self.bulk_reuss) / 2

    @property
    def shear(self) -> float:
        """Hill's shear modulus in GPa."""
        return (self.shear_voigt + self.shear_reuss) / 2

    @property
    def young(self) -> float:
        """Young's modulus of Hill's means in GPa, E = 9 K G / (3 K + G)."""
        return 9 * self.bulk * self.shear / (3 * self.bulk + self.shear)

    @property
    def poisson(self) -> float:
        """Poisson's ratio of Hill's means, ν = (3 K − 2 G) / (6 K + 2 G)."""
        return (3 * self.bulk - 2 * self.shear) / (6 * self.bulk + 2 * self.shear)


@dataclass(frozen=True)
class BornCondition:
    """One condition of mechanical stability.

    Attributes:
        formula: As "C11 − C12 > 0".
        meaning: What would happen to the crystal if it did not hold.
        value: Left side of the formula, in GPa to the power that the formula has.
    """

    formula: str
    meaning: str
    value: float

    @property
    def holds(self) -> bool:
        """Whether the value is positive."""
        return self.value > 0


def averages(constants: Floats) -> Averages:
    """Voigt's and Reuss's averages of constants that are positive definite."""
    compliances = np.asarray(np.linalg.inv(constants), dtype=np.float64)
    c_axial, c_mixed, c_shear = _sums(constants)
    s_axial, s_mixed, s_shear = _sums(compliances)
    return Averages(
        bulk_voigt=(c_axial + 2 * c_mixed) / 9,
        bulk_reuss=1 / (s_axial + 2 * s_mixed),
        shear_voigt=(c_axial - c_mixed + 3 * c_shear) / 15,
        shear_reuss=15 / (4 * s_axial - 4 * s_mixed + 3 * s_shear),
    )


def cubic_constants(constants: Floats) -> tuple[float, float, float]:
    """C11, C12 and C44 of a cubic crystal whose cube axes are the axes of the cell.

    Raises:
        CalculationError: If the constants do not have the form of a cubic crystal to 2 % of the largest.
    """
    axial, mixed, shear = _sums(constants)
    c11, c12, c44 = axial / 3, mixed / 3, shear / 3
    off = float(np.abs(constants - cubic_tensor(c11, c12, c44)).max())
    if off > 0.02 * np.abs(constants).max():
        raise CalculationError(
            f"These are not the constants of a cubic crystal along x, y and z: they differ by {off:.3g} GPa from "
            "that form. Rotate the cell so that the cube's edges lie along the axes."
        )
    return c11, c12, c44


def cubic_tensor(c11: float, c12: float, c44: float) -> Floats:
    """The constants of a cubic crystal along its axes."""
    tensor = np.zeros((6, 6))
    tensor[:3, :3] = c12
    np.fill_diagonal(tensor, [c11] * 3 + [c44] * 3)
    return tensor


def zener_anisotropy(c11: float, c12: float, c44: float) -> float:
    """A = 2 C44 / (C11 − C12): 1 where a cubic crystal is as stiff in every direction."""
    return 2 * c44 / (c11 - c12)


def rotated(tensor: Floats, rotations: Floats) -> Floats:
    """C'_ijkl = R_ia R_jb R_kc R_ld C_abcd: the constants in axes r' = R r.

    Args:
        tensor: Constants, (6, 6).
        rotations: One or several rotations, (..., 3, 3).

    Returns:
        (..., 6, 6).
    """
    full = tensor[_PLACE[:, :, None, None], _PLACE]
    turned = np.einsum(
        "...ia,...jb,...kc,...ld,abcd->...ijkl", rotations, rotations, rotations, rotations, full, optimize=True
    )
    rows, columns = _ROWS[:, None], _COLUMNS[:, None]
    return np.asarray(turned[..., rows, columns, _ROWS, _COLUMNS], dtype=np.float64)


def symmetrised(tensor: Floats, rotations: Floats) -> Floats:
    """Mean over a point group, (n, 3, 3): what is left obeys the crystal's symmetry exactly (Neumann's principle)."""
    return np.asarray(rotated(tensor, rotations).mean(axis=0), dtype=np.float64)


def youngs_modulus(constants: Floats, directions: Floats) -> Floats:
    """Young's modulus in GPa of a bar cut along a direction, 1/E = S_ijkl n_i n_j n_k n_l.

    Args:
        constants: Positive definite, (6, 6).
        directions: Unit vectors, (..., 3).

    Returns:
        (...).
    """
    n = np.asarray(directions)
    # S·σ is a strain with engineering shears, and ε_ij n_i n_j counts each shear twice by half: just load again
    load = np.stack([n[..., i] * n[..., j] for i, j in VOIGT], axis=-1)
    return np.asarray(1 / np.einsum("...i,ij,...j->...", load, np.linalg.inv(constants), load))


def born_conditions(constants: Floats, system: str) -> tuple[BornCondition, ...]:
    """The necessary and sufficient conditions of stability of a crystal system, in its standard axes.

    F. Mouhat and F.-X. Coudert, DOI 10.1103/PhysRevB.90.224104; for monoclinic and triclinic crystals, the eigenvalues.

    Args:
        constants: In the standard axes of the system, (6, 6).
        system: "cubic", "hexagonal", "trigonal", "tetragonal", "orthorhombic", "monoclinic" or "triclinic".
    """
    c = {f"C{i + 1}{j + 1}": float(constants[i, j]) for i in range(6) for j in range(6)}
    shear = BornCondition("C44 > 0", "A shear of the planes along the axes would cost no energy.", c["C44"])
    if system == "cubic":
        return (
            BornCondition("C11 − C12 > 0", "It would shear along its diagonals.", c["C11"] - c["C12"]),
            BornCondition("C11 + 2 C12 > 0", "It would collapse or swell.", c["C11"] + 2 * c["C12"]),
            shear,
        )
    if system in ("hexagonal", "trigonal", "tetragonal"):
        return (*_uniaxial(c, system), shear)
    if system == "orthorhombic":
        c44, c55, c66 = c["C44"], c["C55"], c["C66"]
        minor = c["C11"] * c["C22"] - c["C12"] ** 2
        return (
            BornCondition("C11 > 0", "It would stretch or shrink along its first axis.", c["C11"]),
            BornCondition("C11 C22 − C12² > 0", "It would change its shape in the plane of two axes.", minor),
            BornCondition(
                "det C(1…3) > 0", "It would change the lengths of its axes.", float(np.linalg.det(constants[:3, :3]))
            ),
            BornCondition("smallest of C44, C55, C66 > 0", "It would shear along its axes.", min(c44, c55, c66)),
        )
    smallest = float(np.linalg.eigvalsh(constants)[0])
    return (BornCondition("smallest eigenvalue > 0", "Some small strain would lower the energy.", smallest),)


def _uniaxial(c: dict[str, float], system: str) -> tuple[BornCondition, ...]:
    """Conditions shared by crystals with one main axis, along z."""
    plane = BornCondition(
        "C11 − |C12| > 0", "It would change its shape across the main axis.", c["C11"] - abs(c["C12"])
    )
    volume = BornCondition(
        "C33 (C11 + C12) − 2 C13² > 0",
        "It would stretch along the main axis and shrink across it, or the reverse.",
        c["C33"] * (c["C11"] + c["C12"]) - 2 * c["C13"] ** 2,
    )
    if system == "trigonal":
        coupled = c["C44"] * (c["C11"] - c["C12"]) - 2 * (c["C14"] ** 2 + c["C15"] ** 2)
        words = "Shears along and across the main axis would run away together."
        return plane, volume, BornCondition("C44 (C11 − C12) − 2 (C14² + C15²) > 0", words, coupled)
    if system == "tetragonal":
        coupled = c["C66"] * (c["C11"] - c["C12"]) - 2 * c["C16"] ** 2
        words = "It would shear in the plane across the main axis."
        return plane, volume, BornCondition("C66 (C11 − C12) − 2 C16² > 0", words, coupled)
    return plane, volume


def _sums(tensor: Floats) -> tuple[float, float, float]:
    """Sums over 11, 22, 33; over 12, 13, 23; over 44, 55, 66."""
    return (
        float(np.trace(tensor[:3, :3])),
        float(tensor[0, 1] + tensor[0, 2] + tensor[1, 2]),
        float(np.trace(tensor[3:, 3:])),
    )
