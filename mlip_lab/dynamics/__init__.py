"""Molecular dynamics with any ASE calculator."""
