"""``ocibuild.toml``: every option of a build, under the names that the command line has."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from ocibuild.core.asks import AptSourceAsk, Origin, StepAsk
from ocibuild.core.errors import RepositoryError, UsageError
from ocibuild.core.platform import Platform
from ocibuild.layer.compression import Compression
from ocibuild.spec.options import (
    MOST_JOBS,
    MOST_LAYERS,
    PROFILES,
    SANDBOXES,
    USER_IDS,
    BuildOptions,
    parse_age,
    parse_date,
    parse_folder,
    parse_python,
    parse_size,
    parse_user_name,
)
from ocibuild.spec.toml import read_toml

__all__ = ["parse_settings"]

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")


def parse_settings(text: str, *, file: str, read: Callable[[str], bytes | None]) -> BuildOptions:
    """The options that an ``ocibuild.toml`` holds.

    ``read`` gives the bytes of a file beside it (the key of an apt source), None where there is none. A RepositoryError
    names the file, the line and the option for what is unknown or malformed, and for text that is not TOML.
    """
    return _Settings(text, file, read).options(read_toml(text, file=file))


class _Settings:
    def __init__(self, text: str, file: str, read: Callable[[str], bytes | None]) -> None:
        self._lines = text.splitlines()
        self._file = file
        self._read = read

    def _line(self, key: str) -> int | None:
        form = re.compile(rf"""\s*["']?{re.escape(key)}["']?\s*=|\s*\[\[?[^\]]*\b{re.escape(key)}\]""")
        return next((number for number, line in enumerate(self._lines, start=1) if form.match(line)), None)

    def _error(self, key: str, message: str, hint: str | None = None) -> RepositoryError:
        return RepositoryError(f"{key}: {message}", file=self._file, line=self._line(key), hint=hint)

    def options(self, value: Mapping[str, Any]) -> BuildOptions:
        readers = self._readers()
        members: dict[str, Any] = {}
        for key, member in value.items():
            if key == "apt":
                members |= self._apt(self._table(key, member))
            elif key == "pip":
                members |= self._pip(self._table(key, member))
            elif key == "step":
                members["steps"] = self._steps(member)
            elif key in readers:
                name, reader = readers[key]
                try:
                    members[name] = reader(key, member)
                except UsageError as error:
                    raise self._error(key, error.message, error.hint) from error
            else:
                raise self._error(
                    key, "no such option", f"known options: {', '.join(sorted([*readers, 'apt', 'pip', 'step']))}"
                )
        return BuildOptions(**members)

    def _readers(self) -> dict[str, tuple[str, Callable[[str, Any], Any]]]:
        text, texts, table, number = self._text, self._texts, self._texts_table, self._number
        return {
            "image": ("images", texts),
            "output": ("outputs", texts),
            "push": ("push", self._boolean),
            "base": ("base", text),
            "platform": ("platforms", lambda key, value: tuple(map(Platform.parse, texts(key, value)))),
            "profile": ("profile", self._profile),
            "compose": ("compose", self._boolean),
            "python": ("python", lambda key, value: parse_python(text(key, value))),
            "layer": ("layer_folders", self._layers),
            "lock": ("lock", text),
            "locked": ("locked", self._boolean),
            "max-age": ("max_age_seconds", lambda key, value: parse_age(text(key, value))),
            "as-of": ("as_of", lambda _, value: parse_date(str(value))),
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

    def _text(self, key: str, value: Any) -> str:
        if not isinstance(value, str) or not value:
            raise self._error(key, "must be a text")
        return value

    def _texts(self, key: str, value: Any) -> tuple[str, ...]:
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(member, str) and member for member in values):
            raise self._error(key, "must be a text or a list of texts")
        return tuple(values)

    def _table(self, key: str, value: Any) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise self._error(key, "must be a table")
        return value

    def _texts_table(self, key: str, value: Any) -> Mapping[str, str]:
        table = self._table(key, value)
        if not all(isinstance(member, str) for member in table.values()):
            raise self._error(key, "must be a table of texts")
        return table

    def _boolean(self, key: str, value: Any) -> bool:
        if not isinstance(value, bool):
            raise self._error(key, "must be true or false")
        return value

    def _number(self, key: str, value: Any, allowed: range) -> int:
        if type(value) is not int or value not in allowed:
            raise self._error(key, f"must be a whole number from {allowed[0]} to {allowed[-1]}")
        return value

    def _profile(self, key: str, value: Any) -> str:
        if value not in PROFILES:
            raise self._error(key, f"must be one of {', '.join(PROFILES)}")
        return str(value)

    def _layers(self, key: str, value: Any) -> tuple[str, ...]:
        """Folders of layers: a list of them, or ``[[layer]]`` with ``folder``."""
        if not isinstance(value, list) or not any(isinstance(member, dict) for member in value):
            return self._texts(key, value)
        for member in value:
            if self._table(key, member).keys() != {"folder"}:
                raise self._error(key, "a [[layer]] has one option, folder")
        return tuple(self._text("folder", member["folder"]) for member in value)

    def _sandbox(self, key: str, value: Any) -> str:
        if value not in SANDBOXES:
            raise self._error(key, f"must be one of {', '.join(SANDBOXES)}")
        return str(value)

    def _steps(self, value: Any) -> tuple[StepAsk, ...]:
        if not isinstance(value, list):
            raise self._error("step", "write each as [[step]]")
        lines = [number for number, line in enumerate(self._lines, start=1) if re.match(r"\s*\[\[\s*step\s*\]\]", line)]
        places = lines if len(lines) == len(value) else [None] * len(value)
        return tuple(
            self._step(number, self._table("step", table), Origin(self._file, line))
            for number, (table, line) in enumerate(zip(value, places, strict=True), start=1)
        )

    def _step(self, number: int, table: Mapping[str, Any], origin: Origin) -> StepAsk:
        known = {"name", "run", "user", "folder", "env", "network", "keep"}
        unknown = sorted(table.keys() - known)
        if unknown:
            raise self._error(unknown[0], "no such option of [[step]]", f"known: {', '.join(sorted(known))}")
        if "run" not in table:
            raise RepositoryError("a [[step]] without run", file=origin.file, line=origin.line)
        run = table["run"]
        # A text is a script: its first command that fails ends it.
        arguments = ("/bin/sh", "-ec", run) if isinstance(run, str) and run else self._texts("run", run)
        if not arguments:
            raise self._error("run", "must be a text or a list of texts")
        return StepAsk(
            self._text("name", table.get("name", f"step {number}")),
            arguments,
            origin,
            user=self._text("user", table["user"]) if "user" in table else None,
            working_folder=self._text("folder", table["folder"]) if "folder" in table else None,
            environment=MappingProxyType(dict(self._texts_table("env", table.get("env", {})))),
            network=self._boolean("network", table.get("network", True)),
            keep=self._texts("keep", table.get("keep", [])),
        )

    def _compression(self, key: str, value: Any) -> Compression:
        try:
            return Compression(value)
        except ValueError as error:
            raise self._error(key, f"must be one of {', '.join(Compression)}") from error

    def _pip(self, table: Mapping[str, Any]) -> dict[str, Any]:
        """Options as lines of a requirements file: ``index-url = "U"`` is ``--index-url U``."""
        lines: list[str] = []
        for key, value in table.items():
            if key not in ("index-url", "extra-index-url", "find-links", "no-index", "trusted-host"):
                raise self._error(key, "no such option of [pip]")
            if key == "no-index":
                lines += ["--no-index"] if self._boolean(key, value) else []
            else:
                lines += [f"--{key} {text}" for text in self._texts(key, value)]
        return {"pip_options": tuple(lines)}

    def _apt(self, table: Mapping[str, Any]) -> dict[str, Any]:
        members: dict[str, Any] = {}
        for key, value in table.items():
            if key == "mirror":
                members["apt_mirror"] = self._text(key, value)
            elif key == "recommends":
                members["apt_recommends"] = self._boolean(key, value)
            elif key == "source" and isinstance(value, list):
                members["apt_sources"] = tuple(self._apt_source(self._table(key, source)) for source in value)
            else:
                raise self._error(key, "no such option of [apt]", "known: mirror, recommends, [[apt.source]]")
        return members

    def _apt_source(self, table: Mapping[str, Any]) -> AptSourceAsk:
        known = {"name", "url", "suite", "components", "architectures", "signed-by", "pin-priority"}
        unknown = sorted(table.keys() - known)
        if unknown:
            raise self._error(unknown[0], "no such option of [[apt.source]]", f"known: {', '.join(sorted(known))}")
        for key in ("name", "url", "suite", "signed-by"):
            if key not in table:
                raise self._error("source", f"an [[apt.source]] without {key}")
        name, suite = self._text("name", table["name"]), self._text("suite", table["suite"])
        if not _NAME.fullmatch(name):
            raise self._error("name", f"{name!r} must be lower-case letters, digits, '.' and '-'")
        components = self._texts("components", table.get("components", []))
        if not components and not suite.endswith("/"):
            raise self._error("suite", "needs components, or ends in '/' for a flat repository")
        pin = table.get("pin-priority")
        if pin is not None and type(pin) is not int:
            raise self._error("pin-priority", "must be a whole number")
        key_path = self._text("signed-by", table["signed-by"])
        signed_by = self._read(key_path)
        if signed_by is None:
            raise self._error("signed-by", f"{key_path} does not exist in the repository")
        return AptSourceAsk(
            name,
            self._text("url", table["url"]),
            suite,
            components,
            self._texts("architectures", table.get("architectures", [])),
            signed_by,
            Origin(self._file, self._line("source")),
            pin,
        )
