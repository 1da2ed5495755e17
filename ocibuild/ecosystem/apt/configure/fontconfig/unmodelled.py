"""The answer of a part that meets what it does not model."""

from ocibuild.core.errors import BuildError

__all__ = ["UnmodelledError"]


class UnmodelledError(BuildError):
    """A font or configuration uses something whose effect on the caches is not modelled here.

    The message names the file and what it uses. :func:`make_caches` turns it into one of its reasons.
    """
