"""dh_fortran_mod(1)'s snippet: other compilers' names for the folder of Fortran modules that this compiler reads."""

import re

from ocibuild.ecosystem.apt.configure.context import Context

__all__ = ["link_module_folder"]

_VARIABLE = re.compile(r"^(multiarch|base|canoncomp)=[\"']([A-Za-z0-9_.-]+)[\"']$", re.MULTILINE)


def link_module_folder(context: Context) -> None:
    """The operation: the folder of modules, and a link to it by the name of a compiler."""
    variables = dict(_VARIABLE.findall(context.part.text))
    folder = f"usr/lib/{variables['multiarch']}/fortran"
    context.overlay.make_folders(f"{folder}/{variables['base']}")
    link = f"{folder}/{variables['canoncomp']}"
    if link not in context.overlay:
        context.overlay.symlink(link, f"/{folder}/{variables['base']}")
