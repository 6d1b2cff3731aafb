"""Ziegler–Biersack–Littmark screened nuclear repulsion, switched off smoothly before the data begins.

E(r) = Z_i Z_j e²/(4πε₀ r) φ(r/a), φ(x) = Σ_n c_n exp(-d_n x), a = 0.46850 / (Z_i^0.23 + Z_j^0.23) Å, times a switch
that falls from one at `inner` to zero at `outer` with two continuous derivatives.

Ziegler, Biersack, Littmark, The Stopping and Range of Ions in Matter (1985); coefficients as in LAMMPS' zbl.
"""

import math

from numba import njit

COULOMB = 14.399645351950548  # eV·Å, as mlip_lab.core.units.COULOMB
SCREENING = ((0.18175, 3.19980), (0.50986, 0.94229), (0.28022, 0.40290), (0.02817, 0.20162))  # (c_n, d_n)


@njit(cache=True, nogil=True, error_model="numpy")
def zbl(r, zi, zj, inner, outer):
    """Energy in eV of a pair at distance r (Å), and its derivative in eV/Å.

    Args:
        r: Distance.
        zi: Atomic number of one atom.
        zj: Atomic number of the other.
        inner: Below it the repulsion is whole.
        outer: From it on it is zero.

    Returns:
        Energy and derivative.
    """
    if r >= outer:
        return 0.0, 0.0
    a = 0.46850 / (zi**0.23 + zj**0.23)
    x = r / a
    phi = dphi = 0.0
    for c, d in SCREENING:
        term = c * math.exp(-d * x)
        phi += term
        dphi -= d * term / a
    front = COULOMB * zi * zj / r
    energy, slope = front * phi, front * (dphi - phi / r)
    if r <= inner:
        return energy, slope
    t = (r - inner) / (outer - inner)
    switch = 1.0 - t * t * t * (10.0 - 15.0 * t + 6.0 * t * t)
    dswitch = -30.0 * t * t * (1.0 - t) * (1.0 - t) / (outer - inner)
    return energy * switch, slope * switch + energy * dswitch
