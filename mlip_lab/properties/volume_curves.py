"""Curves of energy over volume with a minimum, and their fit to computed points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray
from scipy.optimize import least_squares

from mlip_lab.core.errors import CalculationError
from mlip_lab.core.units import GPA

Floats = NDArray[np.float64]
Form = Literal["birch-murnaghan", "vinet"]
Parameters = tuple[float, float, float, float]


@dataclass(frozen=True)
class VolumeFit:
    """A curve through energies over volume.

    The errors are those of the least squares. They know the scatter of the points about the curve, not whether the
    curve has the right form: the other form's values tell more of that.

    Attributes:
        form: "birch-murnaghan" or "vinet".
        volume: Volume at the minimum, V₀, in the unit of the volumes (Å³).
        energy: Energy there in eV.
        bulk_modulus: B₀ in GPa.
        derivative: B₀' by pressure, without unit.
        errors: Standard errors of these four, in the same order and units.
        residual: Root mean square distance of the energies from the curve in eV.
    """

    form: Form
    volume: float
    energy: float
    bulk_modulus: float
    derivative: float
    errors: Parameters
    residual: float

    @property
    def parameters(self) -> Parameters:
        """V₀, E₀, B₀ and B₀'."""
        return self.volume, self.energy, self.bulk_modulus, self.derivative

    def curve(self, volumes: Floats) -> Floats:
        """Energies of the curve in eV at volumes in Å³."""
        return CURVES[self.form](volumes, *self.parameters)


def birch_murnaghan(volumes: Floats, volume: float, energy: float, bulk_modulus: float, derivative: float) -> Floats:
    """Energy of the third-order Birch–Murnaghan equation, DOI 10.1103/PhysRev.71.809.

    E(V) = E₀ + 9 V₀B/16 · {[(V₀/V)^⅔ − 1]³ B' + [(V₀/V)^⅔ − 1]² [6 − 4 (V₀/V)^⅔]}

    Args:
        volumes: V in Å³.
        volume: V₀ in Å³.
        energy: E₀ in eV.
        bulk_modulus: B in GPa.
        derivative: B', without unit.
    """
    eta = (volume / np.asarray(volumes)) ** (2 / 3)
    shape: Floats = (eta - 1) ** 3 * derivative + (eta - 1) ** 2 * (6 - 4 * eta)
    return energy + 9 / 16 * volume * bulk_modulus * GPA * shape


def vinet(volumes: Floats, volume: float, energy: float, bulk_modulus: float, derivative: float) -> Floats:
    """Energy of the equation of Vinet and others, DOI 10.1103/PhysRevB.35.1945; arguments as `birch_murnaghan`.

    E(V) = E₀ + 9 V₀B/ξ² · {1 − [1 − ξ (1 − x)] e^{ξ (1 − x)}} with x = (V/V₀)^⅓ and ξ = 3/2 (B' − 1)
    """
    xi = 1.5 * (derivative - 1)
    squeeze = xi * (1 - (np.asarray(volumes) / volume) ** (1 / 3))
    shape: Floats = (1 - (1 - squeeze) * np.exp(squeeze)) / xi**2
    return energy + 9 * volume * bulk_modulus * GPA * shape


CURVES = {"birch-murnaghan": birch_murnaghan, "vinet": vinet}


def fit_curve(volumes: Floats, energies: Floats, form: Form = "birch-murnaghan") -> VolumeFit:
    """The curve of a form nearest to the points by least squares.

    Args:
        volumes: Å³, at least five.
        energies: eV.
        form: Which curve.

    Raises:
        CalculationError: If it has no minimum among the points.
    """
    parameters = fit_birch_murnaghan(volumes, energies)
    if form == "vinet":
        parameters = _fit_vinet(volumes, energies, parameters)
    curve = CURVES[form]
    off = energies - curve(volumes, *parameters)
    # ∂E/∂p over p by central differences: standard errors want two digits, this gives eight
    steps = 1e-5 * np.diag([parameters[0], 1.0, parameters[2], max(abs(parameters[3]), 1.0)])
    sizes = 2 * steps.sum(axis=1)
    slopes = np.stack(
        [curve(volumes, *(parameters + step)) - curve(volumes, *(parameters - step)) for step in steps], axis=1
    )
    spread = np.linalg.inv(slopes.T @ slopes) * (off @ off) / max(len(volumes) - 4, 1)
    errors = np.sqrt(np.diag(spread)) * sizes
    return VolumeFit(form, *parameters, errors=_four(errors), residual=float(np.sqrt(np.mean(off**2))))


def fit_birch_murnaghan(volumes: Floats, energies: Floats) -> Parameters:
    """V₀ (Å³), E₀ (eV), B (GPa) and B' of the curve nearest to the points.

    The equation is a cubic in x = V^(−⅔), so this is linear least squares and needs no starting guess.

    Raises:
        CalculationError: If the curve has no minimum among the points.
    """
    x = volumes ** (-2 / 3)
    cubic = Polynomial.fit(x, energies, 3)
    slope, curvature, third = cubic.deriv(1), cubic.deriv(2), cubic.deriv(3)
    roots = [float(root.real) for root in slope.roots() if np.isreal(root)]
    minima = [root for root in roots if curvature(root) > 0 and x.min() <= root <= x.max()]
    if len(minima) != 1:
        raise CalculationError("The energies over volume have no single minimum. Look at them for jumps.")
    x0 = minima[0]
    volume = x0 ** (-3 / 2)
    # E_VV and E_VVV by the chain rule at E_x = 0
    x_v, x_vv = -2 / 3 * volume ** (-5 / 3), 10 / 9 * volume ** (-8 / 3)
    e_vv = float(curvature(x0)) * x_v**2
    e_vvv = float(third(x0)) * x_v**3 + 3 * float(curvature(x0)) * x_v * x_vv
    return volume, float(cubic(x0)), volume * e_vv / GPA, -1 - volume * e_vvv / e_vv


def _fit_vinet(volumes: Floats, energies: Floats, start: Parameters) -> Parameters:
    """Least squares from the other curve's parameters, each in units of its start, energies above the least."""
    volume, energy, bulk_modulus, derivative = start
    depth = 0.5 * bulk_modulus * GPA * volume * (np.ptp(volumes) / 2 / volume) ** 2
    scales = np.array([volume, depth, bulk_modulus, 1.0])

    def off(p: Floats) -> Floats:
        return np.asarray((vinet(volumes, *(p * scales)) - (energies - energy)) / depth)

    tight = {"xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15}
    found = least_squares(off, [1.0, 0.0, 1.0, max(derivative, 1.1)], jac="3-point", method="lm", **tight)
    best = found.x * scales
    if not (found.success and volumes.min() <= best[0] <= volumes.max() and best[2] > 0):
        raise CalculationError("No curve of Vinet's form follows the energies. Take the Birch–Murnaghan form.")
    return _four(best + np.array([0.0, energy, 0.0, 0.0]))


def _four(values: Floats) -> Parameters:
    first, second, third, fourth = (float(value) for value in values)
    return first, second, third, fourth
