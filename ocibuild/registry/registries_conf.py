"""containers-registries.conf(5), version 2: the part that says where images are read from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ocibuild.core.errors import UsageError

__all__ = ["Mirror", "RegistriesConf", "RegistryRule"]


@dataclass(frozen=True, slots=True)
class Mirror:
    """A place that may hold what a registry holds. ``pulls`` is ``all``, ``digest-only`` or ``tag-only``."""

    location: str
    is_insecure: bool = False
    pulls: str = "all"

    def serves(self, *, is_digest: bool) -> bool:
        """Whether it is asked for a digest, or for a tag."""
        return self.pulls in ("all", "digest-only" if is_digest else "tag-only")

    def rewritten(self, name: str, prefix: str) -> str:
        """The name of ``name``'s copy here: the prefix replaced by this location."""
        return self.location + name.removeprefix(prefix)


@dataclass(frozen=True, slots=True)
class RegistryRule:
    """What holds for all names at or below ``prefix``."""

    prefix: str
    location: str
    is_insecure: bool = False
    is_blocked: bool = False
    mirrors: tuple[Mirror, ...] = ()

    def matches(self, name: str) -> bool:
        """Whether ``host/path`` is at or below the prefix, component by component; ``*.`` stands for subdomains."""
        if self.prefix.startswith("*."):
            return name.partition("/")[0].endswith(self.prefix[1:])
        return name == self.prefix or name.startswith(f"{self.prefix}/")

    def rewritten(self, name: str) -> str:
        """The name with the prefix replaced by the location, where there is one."""
        return self.location + name.removeprefix(self.prefix) if self.location else name


@dataclass(frozen=True, slots=True)
class RegistriesConf:
    """The rules of one file and its drop-ins; of those that match a name, the one of the longest prefix holds."""

    rules: tuple[RegistryRule, ...] = ()
    path: Path | None = None

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> "RegistriesConf":
        """The file of CONTAINERS_REGISTRIES_CONF, else the user's, else the system's, with ``registries.conf.d``.

        No file at all is no rules; a malformed one is a UsageError.
        """
        home = Path(environment.get("HOME") or "/nonexistent")
        named = environment.get("CONTAINERS_REGISTRIES_CONF")
        candidates = [home / ".config/containers/registries.conf", Path("/etc/containers/registries.conf")]
        path = Path(named) if named else next((path for path in candidates if path.is_file()), None)
        if path is None:
            return cls()
        files = [path, *sorted(path.with_name("registries.conf.d").glob("*.conf"))]
        rules = {rule.prefix: rule for file in files for rule in _rules(file)}  # a later file replaces a prefix
        return cls(tuple(rules.values()), path)

    def rule(self, name: str) -> RegistryRule | None:
        """The rule for ``host/path``, or None."""
        return max((rule for rule in self.rules if rule.matches(name)), key=lambda rule: len(rule.prefix), default=None)


def _rules(path: Path) -> list[RegistryRule]:
    import tomli  # noqa: PLC0415 - most machines have no such file

    try:
        with path.open("rb") as file:
            value = tomli.load(file)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (tomli.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}", hint="see containers-registries.conf(5)") from error
    tables = value.get("registry", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UsageError(f"{path}: 'registry' is no list of tables", hint="write [[registry]]")
    return [_rule(path, table) for table in tables]


def _rule(path: Path, table: Mapping[str, Any]) -> RegistryRule:
    location = _text(path, table, "location")
    prefix = _text(path, table, "prefix") or location
    if not prefix:
        raise UsageError(f"{path}: a [[registry]] without prefix and location")
    by_digest_only = table.get("mirror-by-digest-only") is True
    mirrors = []
    for mirror in table.get("mirror", []):
        if not isinstance(mirror, dict) or not (where := _text(path, mirror, "location")):
            raise UsageError(f"{path}: a [[registry.mirror]] of {prefix} without location")
        pulls = "digest-only" if by_digest_only else _text(path, mirror, "pull-from-mirror") or "all"
        mirrors.append(Mirror(where, mirror.get("insecure") is True, pulls))
    return RegistryRule(prefix, location, table.get("insecure") is True, table.get("blocked") is True, tuple(mirrors))


def _text(path: Path, table: Mapping[str, Any], name: str) -> str:
    value = table.get(name, "")
    if not isinstance(value, str):
        raise UsageError(f"{path}: {name!r} is no text")
    return value.rstrip("/")
