"""The structure viewer: one small interface over a 3-D canvas and a flat picture of the same atoms."""

from mlip_lab.panels.viewer.viewer import Viewer

__all__ = ["Viewer"]
