"""The ASE boundary: trained potentials as calculators."""
