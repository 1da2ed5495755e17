"""``ocibuild.toml``: every option of a build, under the names that the command line has."""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from ocibuild.core.asks import AptSourceAsk, Origin
from ocibuild.core.errors import UsageError
from ocibuild.core.platform import Platform
from ocibuild.core.r_asks import RAsk, RRequirement
from ocibuild.layer.compression import Compression
from ocibuild.spec.options import (
    MOST_JOBS,
    MOST_LAYERS,
    PROFILES,
    SANDBOXES,
    USER_IDS,
    BuildOptions,
    parse_age,
    parse_archspec,
    parse_cache,
    parse_cuda,
    parse_date,
    parse_folder,
    parse_python,
    parse_size,
    parse_user_name,
)
from ocibuild.spec.tables import TableReader
from ocibuild.spec.toml import read_toml

__all__ = ["parse_settings"]

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")


def parse_settings(text: str, *, file: str, read: Callable[[str], bytes | None]) -> BuildOptions:
    """The options that an ``ocibuild.toml`` holds.

    ``read`` gives the bytes of a file beside it (the key of an apt source), None where there is none. A RepositoryError
    names the file, the line and the option for what is unknown or malformed, and for text that is not TOML.
    """
    return _Settings(text, file, read).options(read_toml(text, file=file))


class _Settings(TableReader):
    def __init__(self, text: str, file: str, read: Callable[[str], bytes | None]) -> None:
        super().__init__(text, file)
        self._read = read

    def options(self, value: Mapping[str, Any]) -> BuildOptions:
        readers = self._readers()
        members: dict[str, Any] = {}
        for key, member in value.items():
            if key == "apt":
                members |= self._apt(self.table(key, member))
            elif key == "pip":
                members |= self._pip(self.table(key, member))
            elif key == "r":
                members |= self._r(self.table(key, member))
            elif key == "cache":
                members |= self._cache(self.table(key, member))
            elif key == "step":
                members["steps"] = self.steps(member)
            elif key in readers:
                name, reader = readers[key]
                try:
                    members[name] = reader(key, member)
                except UsageError as error:
                    raise self.error(key, error.message, error.hint) from error
            else:
                raise self.error(
                    key,
                    "no such option",
                    f"known options: {', '.join(sorted([*readers, *'apt', 'cache', 'pip', 'r', 'step']))}",
                )
        return BuildOptions(**members)

    def _readers(self) -> dict[str, tuple[str, Callable[[str, Any], Any]]]:
        text, texts, table, number = self.text, self.texts, self.texts_table, self.number
        return {
            "image": ("images", texts),
            "output": ("outputs", texts),
            "push": ("push", self.boolean),
            "base": ("base", text),
            "platform": ("platforms", lambda key, value: tuple(map(Platform.parse, texts(key, value)))),
            "profile": ("profile", self._profile),
            "compose": ("compose", self.boolean),
            "bytecode": ("bytecode", self.boolean),
            "python": ("python", lambda key, value: parse_python(text(key, value))),
            "layer": ("layer_folders", self._layers),
            "lock": ("lock", text),
            "locked": ("locked", self.boolean),
            "max-age": ("max_age_seconds", lambda key, value: parse_age(text(key, value))),
            "as-of": ("as_of", lambda _, value: parse_date(str(value))),
            "cuda": ("cuda", lambda key, value: parse_cuda(text(key, value))),
            "archspec": ("archspec", lambda key, value: parse_archspec(text(key, value))),
            "pip-overrides": ("pip_overrides", self.boolean),
            "compression": ("compression", self._compression),
            "max-layers": ("max_layers", lambda key, value: number(key, value, MOST_LAYERS)),
            "memory": ("memory_bytes", lambda key, value: parse_size(text(key, value))),
            "jobs": ("jobs", lambda key, value: number(key, value, MOST_JOBS)),
            "env": ("environment", table),
            "label": ("labels", table),
            "cmd": ("command", texts),
            "entrypoint": ("entrypoint", texts),
            "sandbox": ("sandbox", self._sandbox),
            "skip-steps-on": ("skip_steps_on", lambda key, value: tuple(map(Platform.parse, texts(key, value)))),
            "step-timeout": ("step_timeout_seconds", lambda key, value: parse_age(text(key, value))),
            "appendix": ("appendix", text),
            "user-name": ("user_name", lambda key, value: parse_user_name(text(key, value))),
            "user-id": ("user_id", lambda key, value: number(key, value, USER_IDS)),
            "target-repo-dir": ("repository_folder", lambda key, value: parse_folder(text(key, value))),
        }

    def _profile(self, key: str, value: Any) -> str:
        if value not in PROFILES:
            raise self.error(key, f"must be one of {', '.join(PROFILES)}")
        return str(value)

    def _layers(self, key: str, value: Any) -> tuple[str, ...]:
        """Folders of layers: a list of them, or ``[[layer]]`` with ``folder``."""
        if not isinstance(value, list) or not any(isinstance(member, dict) for member in value):
            return self.texts(key, value)
        for member in value:
            if self.table(key, member).keys() != {"folder"}:
                raise self.error(key, "a [[layer]] has one option, folder")
        return tuple(self.text("folder", member["folder"]) for member in value)

    def _sandbox(self, key: str, value: Any) -> str:
        if value not in SANDBOXES:
            raise self.error(key, f"must be one of {', '.join(SANDBOXES)}")
        return str(value)

    def _compression(self, key: str, value: Any) -> Compression:
        try:
            return Compression(value)
        except ValueError as error:
            raise self.error(key, f"must be one of {', '.join(Compression)}") from error

    def _pip(self, table: Mapping[str, Any]) -> dict[str, Any]:
        """Options as lines of a requirements file: ``index-url = "U"`` is ``--index-url U``."""
        lines: list[str] = []
        for key, value in table.items():
            if key not in ("index-url", "extra-index-url", "find-links", "no-index", "trusted-host"):
                raise self.error(key, "no such option of [pip]")
            if key == "no-index":
                lines += ["--no-index"] if self.boolean(key, value) else []
            else:
                lines += [f"--{key} {text}" for text in self.texts(key, value)]
        return {"pip_options": tuple(lines)}

    def _r(self, table: Mapping[str, Any]) -> dict[str, Any]:
        self.known(table, ("packages", "repository", "prefer", "preinstall"), "[r]")
        members: dict[str, Any] = {}
        if "packages" in table:
            texts = self.texts("packages", table["packages"])
            members["r_packages"] = tuple(self._r_package(text) for text in texts)
        if "repository" in table:
            addresses = self.texts("repository", table["repository"])
            members["r_repositories"] = tuple(address.rstrip("/") for address in addresses)
            if not all(urlsplit(address).scheme in ("http", "https") for address in addresses):
                raise self.error("repository", "must be http or https addresses, as in R's options(repos = )")
        if "prefer" in table:
            if table["prefer"] not in ("repository", "debian"):
                raise self.error("prefer", "must be one of repository, debian")
            members["r_preference"] = table["prefer"]
        if "preinstall" in table:
            members["r_preinstall"] = self.boolean("preinstall", table["preinstall"])
        return members

    def _r_package(self, text: str) -> RAsk:
        """``dplyr``, ``dplyr@1.0.0`` as pak writes it, or ``dplyr (>= 1.0.0)`` as a DESCRIPTION does."""
        name, at, version = text.partition("@")
        try:
            requirement = RRequirement.parse(f"{name} (== {version})" if at else text)
        except ValueError as error:
            hint = "write dplyr, dplyr@1.1.4 or dplyr (>= 1.1)"
            raise self.error("packages", str(error), hint) from error
        return RAsk(requirement, Origin(self.file, self.line("packages")))

    def _cache(self, table: Mapping[str, Any]) -> dict[str, Any]:
        """Which caches are read. Whether one is written to is for the user to say, and not for a repository."""
        for key in table:
            if key != "from":
                raise self.error(key, "no such option of [cache]", 'known: from, as in from = ["HOST/NAME"]')
        try:
            return {"caches": tuple(map(parse_cache, self.texts("from", table.get("from", []))))}
        except UsageError as error:
            raise self.error("from", error.message, error.hint) from error

    def _apt(self, table: Mapping[str, Any]) -> dict[str, Any]:
        members: dict[str, Any] = {}
        for key, value in table.items():
            if key == "mirror":
                members["apt_mirror"] = self.text(key, value)
            elif key == "recommends":
                members["apt_recommends"] = self.boolean(key, value)
            elif key == "source" and isinstance(value, list):
                members["apt_sources"] = tuple(self._apt_source(self.table(key, source)) for source in value)
            else:
                raise self.error(key, "no such option of [apt]", "known: mirror, recommends, [[apt.source]]")
        return members

    def _apt_source(self, table: Mapping[str, Any]) -> AptSourceAsk:
        known = {"name", "url", "suite", "components", "architectures", "signed-by", "pin-priority"}
        unknown = sorted(table.keys() - known)
        if unknown:
            raise self.error(unknown[0], "no such option of [[apt.source]]", f"known: {', '.join(sorted(known))}")
        for key in ("name", "url", "suite", "signed-by"):
            if key not in table:
                raise self.error("source", f"an [[apt.source]] without {key}")
        name, suite = self.text("name", table["name"]), self.text("suite", table["suite"])
        if not _NAME.fullmatch(name):
            raise self.error("name", f"{name!r} must be lower-case letters, digits, '.' and '-'")
        components = self.texts("components", table.get("components", []))
        if not components and not suite.endswith("/"):
            raise self.error("suite", "needs components, or ends in '/' for a flat repository")
        pin = table.get("pin-priority")
        if pin is not None and type(pin) is not int:
            raise self.error("pin-priority", "must be a whole number")
        key_path = self.text("signed-by", table["signed-by"])
        signed_by = self._read(key_path)
        if signed_by is None:
            raise self.error("signed-by", f"{key_path} does not exist in the repository")
        return AptSourceAsk(
            name,
            self.text("url", table["url"]),
            suite,
            components,
            self.texts("architectures", table.get("architectures", [])),
            signed_by,
            Origin(self.file, self.line("source")),
            pin,
        )
