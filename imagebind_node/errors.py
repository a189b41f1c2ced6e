"""The one family of errors that this package raises on purpose.

Every message is one line that says what was wrong and what to do about it. The command line prints it and
exits with status 2; nodes log it, count it and live on.
"""


class ImagebindNodeError(Exception):
    """Base class: catch this to catch everything that the package raises on purpose."""


class InvalidInputError(ImagebindNodeError, ValueError):
    """A file, message, array or parameter does not hold what it should."""


class SpaceMismatchError(ImagebindNodeError, ValueError):
    """Two embeddings of different spaces were about to be compared or combined."""


class UnsupportedModalityError(ImagebindNodeError, ValueError):
    """The model at hand has no tower for this modality, or the tower was not loaded."""


class ModelFileError(ImagebindNodeError, RuntimeError):
    """Model weights are missing, truncated, altered or of the wrong shape."""


class MissingDependencyError(ImagebindNodeError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""


class DeviceError(ImagebindNodeError, RuntimeError):
    """A sensor cannot be opened, was unplugged or stopped delivering data."""


class DiskFullError(ImagebindNodeError, OSError):
    """The disk has no room for what was to be written; nothing was."""
