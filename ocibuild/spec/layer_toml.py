"""Reading ``layer.toml``, which describes a layer of the catalogue."""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ocibuild.core.asks import AptAsk, CondaAsk, Origin
from ocibuild.core.errors import UsageError
from ocibuild.spec.apt_txt import parse_apt_txt
from ocibuild.spec.catalogue import Account, CatalogueLayer
from ocibuild.spec.options import parse_folder
from ocibuild.spec.tables import TableReader
from ocibuild.spec.text import decode_text
from ocibuild.spec.toml import read_toml

__all__ = ["parse_layer"]

_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_PORT = re.compile(r"[0-9]{1,5}/(tcp|udp|sctp)")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LARGEST_ID = 2**32 - 2
_OPTIONS = (
    "summary",
    "account",
    "environment",
    "path",
    "label",
    "port",
    "entrypoint",
    "cmd",
    "apt",
    "pip",
    "conda",
    "owned",
    "step",
)


def parse_layer(data: bytes, *, folder: Path) -> CatalogueLayer:
    """The layer of ``folder`` whose ``layer.toml`` has these bytes.

    A RepositoryError names the file, the line and the option of what is wrong. Files are named from the layer's folder
    on: where that is on this machine must not enter an image.
    """
    file = f"{folder.name}/layer.toml"
    text = decode_text(data, file=file)
    return _Layer(text, file, folder).read(read_toml(text, file=file))


class _Layer(TableReader):
    def __init__(self, text: str, file: str, folder: Path) -> None:
        super().__init__(text, file)
        self._folder = folder

    def read(self, value: Mapping[str, Any]) -> CatalogueLayer:
        unknown = sorted(value.keys() - set(_OPTIONS))
        if unknown:
            raise self.error(unknown[0], "no such option of a layer", f"known: {', '.join(sorted(_OPTIONS))}")
        requirements, lock = self._pip(self.table("pip", value.get("pip", {})))
        return CatalogueLayer(
            self._folder.name,
            str(value.get("summary", "")),
            self._accounts(value.get("account", [])),
            MappingProxyType(self._environment(value.get("environment", {}))),
            self._folders("path", value.get("path", []), may_name=True),
            MappingProxyType(self.texts_table("label", value.get("label", {}))),
            tuple(self._port(text) for text in self.texts("port", value.get("port", []))),
            self.texts("entrypoint", value["entrypoint"]) if "entrypoint" in value else None,
            self.texts("cmd", value["cmd"]) if "cmd" in value else None,
            MappingProxyType(self._apt(self.table("apt", value.get("apt", {})))),
            requirements,
            lock,
            *self._conda(self.table("conda", value.get("conda", {}))),
            tuple(path.lstrip("/") for path in self._folders("owned", value.get("owned", []))),
            self.steps(value.get("step", [])),
            self._folder / "files" if (self._folder / "files").is_dir() else None,
        )

    def _environment(self, value: Any) -> Mapping[str, str]:
        table = self.texts_table("environment", value)
        for name in table:
            if not _VARIABLE.fullmatch(name) or name == "PATH":
                raise self.error(name, "is no variable that a layer can set", "folders of PATH are listed as path")
        return table

    def _folders(self, key: str, value: Any, *, may_name: bool = False) -> tuple[str, ...]:
        """Folders from the root; where ``may_name`` a variable may stand for the first of them."""
        folders = []
        for text in self.texts(key, value):
            if may_name and text.startswith("${"):
                folders.append(text)
                continue
            try:
                folders.append(parse_folder(text))
            except UsageError as error:
                raise self.error(key, error.message, error.hint) from error
        return tuple(folders)

    def _port(self, text: str) -> str:
        if not _PORT.fullmatch(text):
            raise self.error("port", f"{text!r} is no port", 'write it with its protocol, such as "8888/tcp"')
        return text

    def _apt(self, table: Mapping[str, Any]) -> dict[str, tuple[AptAsk, ...]]:
        """``packages`` for every suite, and tables of them named by suites."""
        asks: dict[str, tuple[AptAsk, ...]] = {}
        for suite, value in table.items():
            holder = {"packages": value} if suite == "packages" else self.table(suite, value)
            self.known(holder, {"packages"}, "[apt] and of its suites")
            origin = Origin(self.file, self.line(suite))
            words = self.texts("packages", holder.get("packages", []))
            parsed = parse_apt_txt("\n".join(words), file=self.file)
            asks["" if suite == "packages" else suite] = tuple(
                AptAsk(ask.name, origin, ask.architecture, ask.version, ask.suite, ask.remove) for ask in parsed
            )
        return asks

    def _pip(self, table: Mapping[str, Any]) -> tuple[tuple[tuple[str, Origin], ...], Path | None]:
        """What is asked for, and the file of the versions that are preferred."""
        self.known(table, {"packages", "lock"}, "[pip]")
        origin = Origin(self.file, self.line("pip"))
        requirements = tuple((text, origin) for text in self.texts("packages", table.get("packages", [])))
        return requirements, self._file("lock", table["lock"]) if "lock" in table else None

    def _conda(self, table: Mapping[str, Any]) -> tuple[Mapping[str, str], tuple[CondaAsk, ...]]:
        """Names in conda of what is asked of pip, and what is asked for the environment of conda itself."""
        self.known(table, {"names", "root"}, "[conda]")
        origin = Origin(self.file, self.line("root"))
        root = tuple(CondaAsk(text, origin) for text in self.texts("root", table.get("root", [])))
        return MappingProxyType(dict(self.texts_table("names", table.get("names", {})))), root

    def _file(self, key: str, value: Any) -> Path:
        path = self._folder / self.text(key, value)
        if not path.resolve().is_relative_to(self._folder.resolve()) or not path.is_file():
            raise self.error(key, f"{value} is no file of the layer's folder")
        return path

    def _accounts(self, value: Any) -> tuple[Account, ...]:
        if not isinstance(value, list):
            raise self.error("account", "write each as [[account]]")
        return tuple(self._account(account) for account in value)

    def _account(self, value: Any) -> Account:
        names = ("name", "home", "shell", "comment")
        texts = {key: value.get(key, "") for key in names} if isinstance(value, dict) else {}
        if not texts or not all(
            isinstance(text, str) and ":" not in text and "\n" not in text for text in texts.values()
        ):
            raise self.error("account", "name, home, shell and comment must be texts without ':'")
        ids = [value.get("uid"), value.get("gid", value.get("uid"))]
        if not _NAME.fullmatch(texts["name"]) or not texts["home"].startswith("/"):
            raise self.error("account", "needs a name in lower case and a home folder from the root")
        if not all(type(number) is int and 0 < number <= _LARGEST_ID for number in ids):
            raise self.error("account", f"{texts['name']}: uid and gid must be numbers above 0")
        return Account(
            texts["name"], ids[0], ids[1], texts["home"].rstrip("/"), texts["shell"] or "/bin/sh", texts["comment"]
        )
