"""Reading tables of TOML, with errors that name the file, the line and the option."""

import re
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from ocibuild.core.asks import Origin, StepAsk
from ocibuild.core.errors import RepositoryError

__all__ = ["TableReader"]

_STEP_OPTIONS = frozenset({"name", "run", "user", "folder", "env", "network", "keep"})


class TableReader:
    """Reads the options of one file, ``ocibuild.toml`` or a ``layer.toml``; ``text`` is the file's own.

    Every method takes the option's name for its error, which is a RepositoryError.
    """

    def __init__(self, text: str, file: str) -> None:
        self._lines = text.splitlines()
        self.file = file

    def line(self, key: str) -> int | None:
        """The first line that sets the option or begins a table with its name; None where none does."""
        form = re.compile(rf"""\s*["']?{re.escape(key)}["']?\s*=|\s*\[\[?[^\]]*\b{re.escape(key)}\]""")
        return next((number for number, line in enumerate(self._lines, start=1) if form.match(line)), None)

    def error(self, key: str, message: str, hint: str | None = None) -> RepositoryError:
        """An error about the option."""
        return RepositoryError(f"{key}: {message}", file=self.file, line=self.line(key), hint=hint)

    def known(self, table: Mapping[str, Any], names: Collection[str], where: str) -> None:
        """Refuse a table with other options than these; ``where`` is how the table is written."""
        unknown = sorted(table.keys() - set(names))
        if unknown:
            raise self.error(unknown[0], f"no such option of {where}", f"known: {', '.join(sorted(names))}")

    def text(self, key: str, value: Any) -> str:
        """A text that is not empty."""
        if not isinstance(value, str) or not value:
            raise self.error(key, "must be a text")
        return value

    def texts(self, key: str, value: Any) -> tuple[str, ...]:
        """A list of texts, or one text alone."""
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(member, str) and member for member in values):
            raise self.error(key, "must be a text or a list of texts")
        return tuple(values)

    def table(self, key: str, value: Any) -> Mapping[str, Any]:
        """A table."""
        if not isinstance(value, dict):
            raise self.error(key, "must be a table")
        return value

    def texts_table(self, key: str, value: Any) -> Mapping[str, str]:
        """A table of texts."""
        table = self.table(key, value)
        if not all(isinstance(member, str) for member in table.values()):
            raise self.error(key, "must be a table of texts")
        return table

    def boolean(self, key: str, value: Any) -> bool:
        """True or false."""
        if not isinstance(value, bool):
            raise self.error(key, "must be true or false")
        return value

    def number(self, key: str, value: Any, allowed: range) -> int:
        """A whole number among those allowed."""
        if type(value) is not int or value not in allowed:
            raise self.error(key, f"must be a whole number from {allowed[0]} to {allowed[-1]}")
        return value

    def steps(self, value: Any) -> tuple[StepAsk, ...]:
        """The steps: ``[[step]]``, in their order."""
        if not isinstance(value, list):
            raise self.error("step", "write each as [[step]]")
        lines = [number for number, line in enumerate(self._lines, start=1) if re.match(r"\s*\[\[\s*step\s*\]\]", line)]
        places = lines if len(lines) == len(value) else [None] * len(value)
        return tuple(
            self._step(number, self.table("step", table), Origin(self.file, line))
            for number, (table, line) in enumerate(zip(value, places, strict=True), start=1)
        )

    def _step(self, number: int, table: Mapping[str, Any], origin: Origin) -> StepAsk:
        self.known(table, _STEP_OPTIONS, "[[step]]")
        if "run" not in table:
            raise RepositoryError("a [[step]] without run", file=origin.file, line=origin.line)
        run = table["run"]
        # A text is a script: its first command that fails ends it.
        arguments = ("/bin/sh", "-ec", run) if isinstance(run, str) and run else self.texts("run", run)
        if not arguments:
            raise self.error("run", "must be a text or a list of texts")
        return StepAsk(
            self.text("name", table.get("name", f"step {number}")),
            arguments,
            origin,
            user=self.text("user", table["user"]) if "user" in table else None,
            working_folder=self.text("folder", table["folder"]) if "folder" in table else None,
            environment=MappingProxyType(dict(self.texts_table("env", table.get("env", {})))),
            network=self.boolean("network", table.get("network", True)),
            keep=self.texts("keep", table.get("keep", [])),
        )
