"""Units at the public boundary, in ASE's internal units (Å, eV, amu).

ASE's time unit is Å·sqrt(amu/eV); its values are repeated here so that kernels need not import ase.
CODATA 2014, as `ase.units` uses by default.
"""

GPA: float = 1.0 / 160.21766208  # eV/Å³
FEMTOSECOND: float = 0.09822694788464063  # Å·sqrt(amu/eV)
BOLTZMANN: float = 8.617330337217213e-05  # eV/K
COULOMB: float = 14.399645351950548  # e²/(4πε₀), eV·Å
HBAR: float = 0.6582119514 * FEMTOSECOND  # eV·Å·sqrt(amu/eV)
