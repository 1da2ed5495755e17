"""A small tree and the context of one script part on it, for tests of what scripts do."""

from collections.abc import Mapping

from ocibuild.ecosystem.apt.configure.context import Context
from ocibuild.ecosystem.apt.configure.package import ConfiguredPackage
from ocibuild.ecosystem.apt.configure.parts import ScriptPart
from ocibuild.image.overlay import Overlay
from ocibuild.image.view import View

__all__ = ["made_context", "made_overlay"]


def made_overlay(files: Mapping[str, str | bytes] | None = None, links: Mapping[str, str] | None = None) -> Overlay:
    """An overlay on nothing with a merged /usr, these files (0644) and these links."""
    overlay = Overlay(View())
    overlay.make_folders("etc")
    for name in ("bin", "sbin", "lib"):
        overlay.make_folders(f"usr/{name}")
        overlay.symlink(name, f"usr/{name}")
    for path, content in (files or {}).items():
        overlay.make_folders(path.rpartition("/")[0])
        overlay.write(path, content)
    for path, target in (links or {}).items():
        overlay.make_folders(path.rpartition("/")[0])
        overlay.symlink(path, target)
    return overlay


def made_context(
    overlay: Overlay,
    text: str = "",
    *,
    captures: tuple[str, ...] = (),
    previous: str = "",
    member: str = "postinst",
    package: str = "hello",
) -> Context:
    """The context of a part with this text, of version 2.0 of ``package`` for amd64."""
    configured = ConfiguredPackage(package, "amd64", "2.0", previous, {})
    return Context(overlay, "amd64", configured, member, ScriptPart(member, "", text, text, captures))
