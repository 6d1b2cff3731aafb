"""The one exception tree of mlip_lab.

Every message names the input, says what was expected and what came, and what to do about it.
"""


class MlipError(Exception):
    """Base of every error that mlip_lab raises on purpose."""


class InputError(MlipError, ValueError):
    """An argument of a public function is not usable."""


class DataError(MlipError, ValueError):
    """Reference data (frames, labels) are not usable."""


class FileFormatError(MlipError):
    """A file written by mlip_lab is damaged, edited, or of a newer format."""


class CalculationError(MlipError, RuntimeError):
    """A calculation ran, but did not give a usable result."""


class Cancelled(MlipError):
    """Raised by a progress callback to stop the work; what was finished is kept."""
