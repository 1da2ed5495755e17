"""fontconfig's caches, which the fontconfig package makes when it is configured or font packages change."""

from ocibuild.ecosystem.apt.configure.fontconfig.caches import make_caches

__all__ = ["make_caches"]
