"""Numba kernels: raw arrays in, raw arrays out; no torch, no ase."""
