"""An image with a text alternative."""

from __future__ import annotations

import ipywidgets as widgets
import traitlets


class DescribedImage(widgets.Image):  # type: ignore[misc]  # ipywidgets ships no types
    """An image whose `tooltip` is its text alternative: it becomes the title, which a screen reader says.

    The front end of ipywidgets 8.1 asks for a description before it sets the title, and draws no image without one.
    """

    description = traitlets.Unicode("").tag(sync=True)
