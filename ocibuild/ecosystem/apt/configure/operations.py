"""The operations that the table of known parts may name."""

from collections.abc import Mapping

from ocibuild.ecosystem.apt.configure.accounts import add_system_group, add_system_user, shadow_on, write_here_document
from ocibuild.ecosystem.apt.configure.alternatives import install_named_alternative, run_alternative_calls
from ocibuild.ecosystem.apt.configure.certificate_list import configure_certificates
from ocibuild.ecosystem.apt.configure.conditions import CONDITIONS
from ocibuild.ecosystem.apt.configure.context import Context, Operation
from ocibuild.ecosystem.apt.configure.diversions import (
    divert_unmoved,
    refuse_diverted,
    require_diversion,
    undivert_unmoved,
)
from ocibuild.ecosystem.apt.configure.files import FILE_OPERATIONS
from ocibuild.ecosystem.apt.configure.fortran import link_module_folder
from ocibuild.ecosystem.apt.configure.ghostscript import make_font_maps
from ocibuild.ecosystem.apt.configure.locales import list_locales
from ocibuild.ecosystem.apt.configure.maintscript import run_helper_calls
from ocibuild.ecosystem.apt.configure.ownership import add_override, refuse_overridden, set_owner
from ocibuild.ecosystem.apt.configure.pam import pam_auth_update
from ocibuild.ecosystem.apt.configure.r_environment import make_r_environment
from ocibuild.ecosystem.apt.configure.shells import add_shells, update_shells
from ocibuild.ecosystem.apt.configure.systemd import enable_units, enable_user_units, record_units, update_rc
from ocibuild.ecosystem.apt.configure.ucf import register_line

__all__ = ["OPERATIONS"]


def _update_shells(context: Context) -> None:
    update_shells(context.overlay)


OPERATIONS: Mapping[str, Operation] = {
    **CONDITIONS,
    **FILE_OPERATIONS,
    "add-shell": add_shells,
    "alternative": install_named_alternative,
    "alternatives": run_alternative_calls,
    "certificates-configuration": configure_certificates,
    "divert": divert_unmoved,
    "diverted": require_diversion,
    "enable-units": enable_units,
    "enable-user-units": enable_user_units,
    "fortran-modules": link_module_folder,
    "gsfontmap": make_font_maps,
    "here-document": write_here_document,
    "list-locales": list_locales,
    "maintscript": run_helper_calls,
    "no-override": refuse_overridden,
    "not-diverted": refuse_diverted,
    "owner": set_owner,
    "pam-auth-update": pam_auth_update,
    "r-environment": make_r_environment,
    "record-units": record_units,
    "shadow-on": shadow_on,
    "statoverride": add_override,
    "system-group": add_system_group,
    "system-user": add_system_user,
    "ucf-line": register_line,
    "undivert": undivert_unmoved,
    "update-rc": update_rc,
    "update-shells": _update_shells,
}
