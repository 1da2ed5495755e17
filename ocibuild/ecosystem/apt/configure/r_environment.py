"""The environment that R reads when it starts, as r-base-core's postinst makes it for the image's size of paper."""

import re

from ocibuild.ecosystem.apt.configure.context import Context
from ocibuild.ecosystem.apt.configure.ucf import register, register_owner

__all__ = ["make_r_environment"]

_FILE, _MODEL, _PAPER = "etc/R/Renviron", "usr/lib/R/etc/Renviron.ucf", "etc/papersize"
_UNSET = re.compile(r"^R_PAPERSIZE_USER=\$\{R_PAPERSIZE\}", re.MULTILINE)


def make_r_environment(context: Context) -> None:
    """The operation ``r-environment``: the package's own file with what paperconf(1) says, kept by ucf."""
    overlay = context.overlay
    paper = overlay.read_text(_PAPER, "").split()
    if _MODEL not in overlay or len(paper) != 1 or not paper[0].isalnum():
        context.refuse("it asks paperconf for more than one word in /etc/papersize")
        return
    content = _UNSET.sub(lambda _: f"R_PAPERSIZE_USER=${{R_PAPERSIZE-'{paper[0]}'}}", overlay.read_text(_MODEL))
    if register(context, _FILE, content):
        register_owner(context, _FILE)
