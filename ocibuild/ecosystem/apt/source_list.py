"""Lists of apt sources: the one-line form and the deb822 form of sources.list(5)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ocibuild.core.asks import Origin
from ocibuild.core.errors import ImageError
from ocibuild.ecosystem.apt.deb822 import read_paragraphs

__all__ = ["SourceEntry", "parse_source_list", "parse_sources"]

_LINE = re.compile(r"(deb|deb-src)\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)((?:\s+\S+)*)")
_FALSE = frozenset({"no", "false", "without", "off", "disable", "0"})
_TRUE = frozenset({"yes", "true", "with", "on", "enable", "1"})
_ARMOUR = "-----BEGIN PGP PUBLIC KEY BLOCK-----"


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """One suite at one address, as a list names it. Only entries of type ``deb`` are made.

    ``architectures`` is None where the list does not restrict them; ``signed_by`` are paths and fingerprints, ``key``
    is an armoured key that stands in the list itself.
    """

    url: str
    suite: str
    components: tuple[str, ...]
    architectures: tuple[str, ...] | None
    signed_by: tuple[str, ...]
    key: bytes
    is_trusted: bool
    check_valid_until: bool
    use_by_hash: bool | None
    origin: Origin


def parse_source_list(text: str, *, file: str) -> tuple[SourceEntry, ...]:
    """The entries of ``sources.list`` or a ``.list`` file; an ImageError names the line that is no entry."""
    entries = []
    for number, line in enumerate(text.splitlines(), 1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        found = _LINE.fullmatch(content)
        if found is None:
            raise ImageError(f"{file}:{number}: not an apt source: {content!r}")
        if found[1] == "deb":
            options = _line_options(found[2] or "")
            components = tuple(found[5].split())
            entries.append(_entry(found[3], found[4], components, options, b"", Origin(file, number)))
    return tuple(entries)


def _line_options(text: str) -> dict[str, list[str]]:
    """The options in brackets under their deb822 names in lower case, values split at commas."""
    names = {"arch": "architectures"}
    options: dict[str, list[str]] = {}
    for word in text.split():
        name, _, value = word.partition("=")
        name = name.lower()
        base = name.rstrip("+-")
        suffix = {"+": "-add", "-": "-remove"}.get(name[len(base) :], "")
        options.setdefault(names.get(base, base) + suffix, []).extend(part for part in value.split(",") if part)
    return options


def parse_sources(text: str, *, file: str) -> tuple[SourceEntry, ...]:
    """The entries of a ``.sources`` file: one for each of its URIs and suites, in apt's order."""
    entries = []
    for fields in read_paragraphs(text, comments=True):
        if fields.get("Enabled", "yes").lower() in _FALSE or "deb" not in fields.get("Types", "deb").split():
            continue
        if not fields.get("URIs") or not fields.get("Suites"):
            raise ImageError(f"{file}: a source without URIs or Suites")
        signed_by = fields.get("Signed-By", "")
        key = _inline_key(signed_by) if _ARMOUR in signed_by else b""
        options = {name.lower(): value.replace(",", " ").split() for name, value in fields.items()}
        if key:
            options.pop("signed-by")
        for url in fields["URIs"].split():
            for suite in fields["Suites"].split():
                components = tuple(fields.get("Components", "").split())
                entries.append(_entry(url, suite, components, options, key, Origin(file)))
    return tuple(entries)


def _inline_key(value: str) -> bytes:
    """The armoured block: each line indented, an empty one written as a dot."""
    lines = (line.strip() for line in value.split("\n"))
    return "\n".join("" if line == "." else line for line in lines).strip().encode() + b"\n"


def _entry(
    url: str, suite: str, components: tuple[str, ...], options: Mapping[str, list[str]], key: bytes, origin: Origin
) -> SourceEntry:
    if not components and not suite.endswith("/"):
        raise ImageError(f"{origin}: the suite {suite} needs components, or ends in '/' for a flat repository")
    by_hash = _word(options, "by-hash")
    return SourceEntry(
        url=url.rstrip("/"),
        suite=suite,
        components=components,
        architectures=_architectures(options),
        signed_by=tuple(_keys(options.get("signed-by", []))),
        key=key,
        is_trusted=_word(options, "trusted") in _TRUE,
        check_valid_until=_word(options, "check-valid-until") not in _FALSE,
        use_by_hash=None if not by_hash else by_hash not in _FALSE,
        origin=origin,
    )


def _word(options: Mapping[str, list[str]], name: str) -> str:
    return " ".join(options.get(name, [])).lower()


def _architectures(options: Mapping[str, list[str]]) -> tuple[str, ...] | None:
    """Only a plain list restricts: what is added to the machine's own architectures, or taken from them, does not."""
    listed = options.get("architectures")
    if listed is None:
        return None
    removed = options.get("architectures-remove", [])
    return tuple(name for name in [*listed, *options.get("architectures-add", [])] if name not in removed)


def _keys(words: list[str]) -> Iterator[str]:
    for word in words:
        yield word if word.startswith("/") else word.upper().removeprefix("0X")
