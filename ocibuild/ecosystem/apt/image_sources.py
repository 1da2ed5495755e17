"""The apt sources, keys and preferences that an image brings along."""

from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

from ocibuild.core.errors import ImageError, RepositoryError
from ocibuild.core.events import EventSink, Notice
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.apt.deb822 import decode
from ocibuild.ecosystem.apt.distribution import archive_source, suite_sources
from ocibuild.ecosystem.apt.keyring import Keyring
from ocibuild.ecosystem.apt.machine import parse_configuration
from ocibuild.ecosystem.apt.mirrors import Mirrors
from ocibuild.ecosystem.apt.preferences import Preferences
from ocibuild.ecosystem.apt.source import Source
from ocibuild.ecosystem.apt.source_list import SourceEntry, parse_source_list, parse_sources
from ocibuild.image.view import View

__all__ = ["image_preferences", "image_sources"]

_TRUSTED = "etc/apt/trusted.gpg"
_KEY_SUFFIXES = (".gpg", ".asc", ".pgp")


def image_sources(
    view: View, platform: Platform, mirrors: Mirrors, *, events: EventSink, allow_trusted: bool = False
) -> tuple[Source, ...]:
    """The sources of the image's ``etc/apt``, in apt's order.

    Where one is an archive of Debian or Ubuntu, its address is this build's (:class:`Mirrors`); its keys stay the
    image's own. Sources on media that only a running image has are left out with a notice, and so are those that the
    image trusts without a signature, unless ``allow_trusted``. An image that lists none has those of its release.
    An ImageError where a list or key is malformed or missing.
    """
    entries = list(_entries(view))
    if not entries:
        return _release_sources(view, platform, mirrors, events)
    sources = []
    for entry in entries:
        scheme = urlsplit(entry.url).scheme
        if scheme not in ("http", "https"):
            events(Notice(f"{entry.origin}: a source at {entry.url} cannot be reached from outside the image"))
        elif entry.is_trusted and not allow_trusted:
            why = "is marked as trusted without a signature and is not used"
            events(Notice(f"{entry.origin}: {_shown(entry.url)} {why}", warning=True))
        else:
            sources.append(_source(entry, view, platform, mirrors))
    return tuple(sources)


def image_preferences(view: View) -> Preferences:
    """The pins of the image, and the release that its apt.conf prefers (apt_preferences(5))."""
    paths = ("etc/apt/preferences", *_parts(view, "etc/apt/preferences.d", ("", ".pref")))
    files = [(f"/{path}", decode(view.read(path))) for path in paths if path in view]
    settings: dict[str, str] = {}
    for path in (*_parts(view, "etc/apt/apt.conf.d", ("", ".conf")), "etc/apt/apt.conf"):
        if path in view:
            settings |= parse_configuration(decode(view.read(path)))
    return Preferences.parse(files, target_release=settings.get("apt::default-release", ""))


def _entries(view: View) -> Iterator[SourceEntry]:
    for path in ("etc/apt/sources.list", *_parts(view, "etc/apt/sources.list.d", (".list", ".sources"))):
        if path in view:
            parse = parse_sources if path.endswith(".sources") else parse_source_list
            yield from parse(decode(view.read(path)), file=f"/{path}")


def _parts(view: View, folder: str, suffixes: tuple[str, ...]) -> list[str]:
    """The files of a folder of parts that apt reads: by suffix, sorted."""
    paths = []
    for name in view.children(folder):
        dot = name.rpartition(".")
        if (dot[1] + dot[2] if dot[0] else "") in suffixes and not name.startswith("."):
            paths.append(f"{folder}/{name}")
    return paths


def _source(entry: SourceEntry, view: View, platform: Platform, mirrors: Mirrors) -> Source:
    suite = entry.suite.replace("$(ARCH)", platform.debian_architecture)
    archive = mirrors.archive_of(entry)
    keyring = None if entry.is_trusted else _keyring(entry, view, has_default=archive is not None)
    if archive is not None:
        found = archive_source(archive, suite, entry.components, mirrors, origin=str(entry.origin), keyring=keyring)
        name, url, as_of = found.name, found.url, found.as_of
        check_valid_until, keyring = found.check_valid_until, found.signed_by
    else:
        url = entry.url.replace("$(ARCH)", platform.debian_architecture)
        name, as_of, check_valid_until = _name(url), None, True
    return Source(
        name=name,
        url=url,
        suite=suite,
        components=entry.components,
        signed_by=keyring,
        origin=str(entry.origin),
        architectures=entry.architectures,
        use_by_hash=entry.use_by_hash,
        check_valid_until=check_valid_until and entry.check_valid_until,
        as_of=as_of,
    )


def _name(url: str) -> str:
    """Host and path: the image tells them already, and they hold no credentials."""
    parts = urlsplit(url)
    return f"{parts.hostname or ''}{parts.path.rstrip('/')}"


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _keyring(entry: SourceEntry, view: View, *, has_default: bool) -> Keyring | None:
    """Who may sign: the key in the list, the files it names, or all that the image trusts (perhaps only some of them).

    None, for the keyring that this program ships, where a distribution's own keyring file is missing in the image.
    """
    if entry.key:
        return Keyring(f"the key in {entry.origin}", (entry.key,))
    paths = [word for word in entry.signed_by if word.startswith("/")]
    fingerprints = frozenset(word for word in entry.signed_by if not word.startswith("/"))
    if paths:
        missing = [path for path in paths if path.lstrip("/") not in view]
        if missing and has_default:
            return None
        if missing:
            raise ImageError(f"{entry.origin}: {missing[0]}, which should hold the source's key, is not in the image")
        blocks = tuple(view.read(path.lstrip("/")) for path in paths)
        return Keyring(", ".join(paths), blocks, fingerprints)
    trusted = [path for path in (_TRUSTED, *_parts(view, f"{_TRUSTED}.d", _KEY_SUFFIXES)) if path in view]
    if not trusted and has_default:
        return None
    return Keyring(f"/{_TRUSTED}.d of the image", tuple(view.read(path) for path in trusted), fingerprints)


def _release_sources(view: View, platform: Platform, mirrors: Mirrors, events: EventSink) -> tuple[Source, ...]:
    """The sources of the release that os-release(5) names, for an image that has none of its own."""
    path = next((path for path in ("etc/os-release", "usr/lib/os-release") if path in view), None)
    pairs = (line.partition("=") for line in decode(view.read(path)).splitlines()) if path else ()
    values = {key: value.strip("\"'") for key, _, value in pairs}
    distribution, codename = values.get("ID", ""), values.get("VERSION_CODENAME", "")
    if distribution not in ("debian", "ubuntu") or not codename:
        raise RepositoryError(
            f"the base has no apt sources, and is no release of Debian or Ubuntu ({distribution or 'no os-release'})",
            hint="apt.txt needs a base with apt: a Debian or Ubuntu image",
        )
    sources = suite_sources(f"{distribution}/{codename}", platform, mirrors)
    events(Notice(f"the base lists no apt sources: those of {distribution} {codename} are used"))
    return sources
