"""What a system needs before its first package: what debootstrap makes, beside what packages and scripts bring.

Source: debootstrap's ``functions`` (setup_merged_usr) and mmdebstrap 1.3, with whose minbase a base is compared.
"""

from ocibuild.core.defaults import apt_defaults
from ocibuild.layer.entry import Entry

__all__ = ["seed_entries"]

_MERGED = {
    "amd64": ("bin", "lib", "lib64", "sbin"),
    "ppc64el": ("bin", "lib", "lib64", "sbin"),
    "s390x": ("bin", "lib", "sbin"),
}
_SOURCES = """\
Types: deb
URIs: {mirror}
Suites: {suite} {suite}-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: {security}
Suites: {suite}-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""


def seed_entries(suite: str, distribution: str, architecture: str) -> list[Entry]:
    """The links of merged /usr with the folders they name, and apt's sources with the public mirror.

    The mirror is never this machine's, so that a base has the same bytes everywhere.
    """
    merged = _MERGED.get(architecture, ("bin", "lib", "sbin"))
    entries = [Entry.directory("usr"), *(Entry.directory(f"usr/{name}") for name in merged)]
    entries += [Entry.symlink(name, f"usr/{name}") for name in merged]
    if distribution == "debian":
        public = apt_defaults(distribution)
        text = _SOURCES.format(mirror=public["mirror"], security=public["security"], suite=suite)
        entries.append(Entry.file("etc/apt/sources.list.d/debian.sources", text.encode()))
    return entries
