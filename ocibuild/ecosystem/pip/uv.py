"""Running uv, the resolver: as a program, in an environment of ours, with nothing of the machine's that we do not give.

uv reads no configuration file, downloads no Python, and finds no git on its PATH: nothing that a package names is run.
"""

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ocibuild.core.errors import MachineError
from ocibuild.net.trust import choose_ca_file

__all__ = ["Uv", "UvAnswer"]

_PASSED_ON = (
    "HOME", "TMPDIR", "SSL_CERT_DIR", "SSL_CLIENT_CERT", "NETRC", "UV_HTTP_TIMEOUT", "UV_HTTP_RETRIES",
    "UV_CONCURRENT_DOWNLOADS", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
    "http_proxy", "https_proxy", "all_proxy", "no_proxy",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class UvAnswer:
    """What uv answered: its exit code, its standard output, and the messages of its standard error without secrets."""

    exit_code: int
    output: str
    messages: str

    @property
    def is_done(self) -> bool:
        """Whether uv did what it was asked."""
        return self.exit_code == 0

    @property
    def warnings(self) -> tuple[str, ...]:
        """The lines in which uv warns."""
        lines = self.messages.splitlines()
        return tuple(line.removeprefix("warning: ") for line in lines if line.startswith("warning: "))


@dataclass(frozen=True, slots=True)
class Uv:
    """How uv is run: its cache, the folder it runs in, and the environment it sees.

    ``variables`` are given to uv besides what it needs of ``environment``; ``secrets`` are taken out of all it says.
    """

    cache_folder: Path
    folder: Path
    environment: Mapping[str, str]
    variables: Mapping[str, str]
    secrets: tuple[str, ...] = ()
    certificate: Path | None = None

    def run(self, arguments: Sequence[str]) -> UvAnswer:
        """Run ``uv`` with these arguments; a MachineError where it cannot be started."""
        program = _find_uv()
        try:
            done = subprocess.run(
                [program, *arguments],
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                check=False,
            )
        except OSError as error:
            raise MachineError(f"uv cannot be started: {program}: {error}") from error
        return UvAnswer(done.returncode, done.stdout, _without(done.stderr, self.secrets))

    def _environment(self) -> dict[str, str]:
        passed = {name: self.environment[name] for name in _PASSED_ON if self.environment.get(name)}
        # SSL_CERT_FILE wins over the user's folder of certificates in uv as elsewhere.
        bundle = choose_ca_file(self.certificate, self.environment)
        if bundle is not None and bundle.is_file():
            passed["SSL_CERT_FILE"] = str(bundle)
        return passed | {
            "PATH": str(self.folder),  # holds no program
            "LC_ALL": "C.UTF-8",
            "UV_CACHE_DIR": str(self.cache_folder),
            **self.variables,
        }


def _find_uv() -> str:
    try:
        from uv import find_uv_bin  # noqa: PLC0415 - only resolving needs uv

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError) as error:
        raise MachineError(
            "uv, which resolves Python packages, is not installed beside this program", hint="pip install uv"
        ) from error


def _without(text: str, secrets: Iterable[str]) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "****")
    return text
