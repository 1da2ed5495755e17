"""The one tree of errors. Everything that this program raises on purpose is an :class:`OcibuildError`."""

from typing import ClassVar

__all__ = [
    "BuildError",
    "ImageError",
    "IntegrityError",
    "MachineError",
    "NetworkError",
    "OcibuildError",
    "RegistryError",
    "RepositoryError",
    "UsageError",
]


class OcibuildError(Exception):
    """Root of all errors raised by ocibuild.

    ``message`` names what was attempted, on what, and what came back; ``hint`` says what to do about it, where
    that is known. ``exit_code`` is the command line's answer (design, section 10).
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class BuildError(OcibuildError):
    """The build failed for a reason that is neither the repository's, the machine's nor the network's."""


class ImageError(OcibuildError):
    """An image, layer or archive that was read is not what its format demands."""


class UsageError(OcibuildError):
    """The command line, a reference or an option is malformed."""

    exit_code: ClassVar[int] = 2


class RepositoryError(OcibuildError):
    """A file of the repository is wrong; ``file`` and ``line`` say where."""

    exit_code: ClassVar[int] = 3

    def __init__(
        self, message: str, *, file: str | None = None, line: int | None = None, hint: str | None = None
    ) -> None:
        where = "" if file is None else f"{file}: " if line is None else f"{file}:{line}: "
        super().__init__(where + message, hint=hint)
        self.file = file
        self.line = line


class MachineError(OcibuildError):
    """This machine cannot do a step; ``hint`` says what it would need."""

    exit_code: ClassVar[int] = 4


class NetworkError(OcibuildError):
    """A server could not be reached, or answered with an error.

    ``url`` is redacted (no credentials, no query secrets); ``status`` is the HTTP status, or None where none came;
    ``temporary`` tells whether trying again later may help.
    """

    exit_code: ClassVar[int] = 5

    def __init__(
        self,
        message: str,
        *,
        method: str | None = None,
        url: str | None = None,
        status: int | None = None,
        temporary: bool = False,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.method = method
        self.url = url
        self.status = status
        self.temporary = temporary


class RegistryError(NetworkError):
    """A registry refused; ``codes`` are the error codes of its answer (distribution-spec, "Error Codes")."""

    def __init__(
        self,
        message: str,
        *,
        codes: tuple[str, ...] = (),
        method: str | None = None,
        url: str | None = None,
        status: int | None = None,
        temporary: bool = False,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, method=method, url=url, status=status, temporary=temporary, hint=hint)
        self.codes = codes


class IntegrityError(NetworkError):
    """Bytes that came from outside are not the bytes that were promised (digest, size or signature)."""
