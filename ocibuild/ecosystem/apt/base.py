"""What a system needs before its first package: what debootstrap makes, beside what packages and scripts bring.

Source: debootstrap's ``functions`` (setup_merged_usr) and mmdebstrap 1.3, with whose minbase a base is compared.
"""

from ocibuild.core.defaults import apt_defaults
from ocibuild.ecosystem.apt.distribution import distribution_of, suite_archives
from ocibuild.ecosystem.apt.mirrors import ArchiveName
from ocibuild.layer.entry import Entry

__all__ = ["seed_entries"]

_MERGED = {
    "amd64": ("bin", "lib", "lib64", "sbin"),
    "ppc64el": ("bin", "lib", "lib64", "sbin"),
    "s390x": ("bin", "lib", "sbin"),
}
_SOURCES = """\
Types: deb
URIs: {url}
Suites: {suites}
Components: {components}
Signed-By: /usr/share/keyrings/{distribution}-archive-keyring.gpg
"""


def seed_entries(suite: str, architecture: str) -> list[Entry]:
    """The links of merged /usr with the folders they name, and apt's sources with the public mirror.

    The mirror is never this machine's, so that a base has the same bytes everywhere. ``suite`` is as in
    :func:`ocibuild.ecosystem.apt.distribution.distribution_of`.
    """
    merged = _MERGED.get(architecture, ("bin", "lib", "sbin"))
    entries = [Entry.directory("usr"), *(Entry.directory(f"usr/{name}") for name in merged)]
    entries += [Entry.symlink(name, f"usr/{name}") for name in merged]
    distribution, _ = distribution_of(suite)
    path = f"etc/apt/sources.list.d/{distribution}.sources"
    return [*entries, Entry.file(path, _sources(suite, architecture).encode())]


def _sources(suite: str, architecture: str) -> str:
    """The sources of the suite, one stanza an archive (sources.list(5), "DEB822-STYLE FORMAT")."""
    archives, components = suite_archives(suite, architecture)
    suites: dict[ArchiveName, list[str]] = {}
    for archive, name in archives:
        suites.setdefault(archive, []).append(name)
    return "\n".join(
        _SOURCES.format(
            url=apt_defaults(archive.distribution)[archive.key],
            suites=" ".join(names),
            components=" ".join(components),
            distribution=archive.distribution,
        )
        for archive, names in suites.items()
    )
