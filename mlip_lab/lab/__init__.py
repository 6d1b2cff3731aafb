"""The Lab: `Lab()` as the last line of a notebook's cell."""

from mlip_lab.lab.lab import Lab

__all__ = ["Lab"]
