"""The catalogue of layers: folders of data, each with a ``layer.toml`` and the files that it puts into an image."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import ocibuild
from ocibuild.core.errors import RepositoryError, UsageError

__all__ = ["Account", "CatalogueLayer", "read_catalogue_layer", "shipped_layer"]

_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_KNOWN = frozenset({"summary", "account", "environment"})
_LARGEST_ID = 2**32 - 2


@dataclass(frozen=True, slots=True)
class Account:
    """A user that an image must have, with a group of the same name; ``home`` is created and belongs to it."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str = "/bin/sh"
    comment: str = ""


@dataclass(frozen=True, slots=True)
class CatalogueLayer:
    """What a layer of the catalogue brings: accounts, environment variables, and the tree below ``files``, if any."""

    name: str
    summary: str
    accounts: tuple[Account, ...] = ()
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    files: Path | None = None


def shipped_layer(name: str) -> CatalogueLayer:
    """The layer of this name that ships with the program; a UsageError where there is none."""
    package = Path(ocibuild.__file__).parent  # importlib.resources would import zipfile and more for the same answer
    folder = package / "layers"
    if not folder.is_dir():  # an editable install: the checkout's own folder
        folder = package.parent / "layers"
    if not (folder / name / "layer.toml").is_file():
        known = sorted(path.parent.name for path in folder.glob("*/layer.toml"))
        raise UsageError(f"no layer {name!r} ships with this program", hint=f"there are: {', '.join(known)}")
    return read_catalogue_layer(folder / name)


def read_catalogue_layer(folder: Path) -> CatalogueLayer:
    """The layer in this folder; a RepositoryError names its ``layer.toml`` and what is wrong there."""
    import tomli  # noqa: PLC0415 - most commands read no catalogue

    file = folder / "layer.toml"
    try:
        value = tomli.loads(file.read_text("utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"{folder} is no layer: it has no layer.toml") from error
    except (tomli.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RepositoryError(f"not TOML: {error}", file=str(file)) from error
    unknown = sorted(value.keys() - _KNOWN)
    if unknown:
        raise RepositoryError(
            f"{unknown[0]}: no such option of a layer", file=str(file), hint=f"known: {', '.join(sorted(_KNOWN))}"
        )
    environment = value.get("environment", {})
    if not isinstance(environment, dict) or not all(isinstance(text, str) for text in environment.values()):
        raise RepositoryError("environment: must be a table of texts", file=str(file))
    accounts = value.get("account", [])
    if not isinstance(accounts, list):
        raise RepositoryError("account: write each as [[account]]", file=str(file))
    return CatalogueLayer(
        folder.name,
        str(value.get("summary", "")),
        tuple(_account(account, str(file)) for account in accounts),
        MappingProxyType(environment),
        folder / "files" if (folder / "files").is_dir() else None,
    )


def _account(value: Any, file: str) -> Account:
    texts = {key: value.get(key, "") for key in ("name", "home", "shell", "comment")} if isinstance(value, dict) else {}
    if not texts or not all(isinstance(text, str) and ":" not in text and "\n" not in text for text in texts.values()):
        raise RepositoryError("account: name, home, shell and comment must be texts without ':'", file=file)
    ids = [value.get("uid"), value.get("gid", value.get("uid"))]
    if not _NAME.fullmatch(texts["name"]) or not texts["home"].startswith("/"):
        raise RepositoryError("account: needs a name in lower case and a home folder from the root", file=file)
    if not all(type(number) is int and 0 < number <= _LARGEST_ID for number in ids):
        raise RepositoryError(f"account {texts['name']}: uid and gid must be numbers above 0", file=file)
    return Account(
        texts["name"], ids[0], ids[1], texts["home"].rstrip("/"), texts["shell"] or "/bin/sh", texts["comment"]
    )
