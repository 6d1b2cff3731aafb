"""Ziegler–Biersack–Littmark screened nuclear repulsion, switched off smoothly before the data begins.

E(r) = Z_i Z_j e²/(4πε₀ r) φ(r/a), φ(x) = Σ_n c_n exp(-d_n x), a = 0.46850 / (Z_i^0.23 + Z_j^0.23) Å, times a switch
that falls from one at `inner` to zero at `outer` with two continuous derivatives.

Ziegler, Biersack, Littmark, The Stopping and Range of Ions in Matter (1985); coefficients as in LAMMPS' zbl.
"""

import math

from numba import njit

COULOMB = 14.399645351950548  # eV·Å, as mlip_lab.core.units.COULOMB


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
    e1, e2 = 0.18175 * math.exp(-3.19980 * x), 0.50986 * math.exp(-0.94229 * x)
    e3, e4 = 0.28022 * math.exp(-0.40290 * x), 0.02817 * math.exp(-0.20162 * x)
    phi = e1 + e2 + e3 + e4
    dphi = -(3.19980 * e1 + 0.94229 * e2 + 0.40290 * e3 + 0.20162 * e4) / a
    front = COULOMB * zi * zj / r
    energy, slope = front * phi, front * (dphi - phi / r)
    if r <= inner:
        return energy, slope
    t = (r - inner) / (outer - inner)
    switch = 1.0 - t * t * t * (10.0 - 15.0 * t + 6.0 * t * t)
    dswitch = -30.0 * t * t * (1.0 - t) * (1.0 - t) / (outer - inner)
    return energy * switch, slope * switch + energy * dswitch
