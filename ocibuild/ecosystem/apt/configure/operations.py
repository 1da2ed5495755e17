"""The operations that the table of known parts may name."""

from collections.abc import Mapping

from ocibuild.ecosystem.apt.configure.accounts import shadow_on, system_user, write_here_document
from ocibuild.ecosystem.apt.configure.alternatives import run_alternative_calls
from ocibuild.ecosystem.apt.configure.certificate_list import configure_certificates
from ocibuild.ecosystem.apt.configure.context import Context, Operation
from ocibuild.ecosystem.apt.configure.diversions import divert_unmoved, refuse_diverted, undivert_unmoved
from ocibuild.ecosystem.apt.configure.files import FILE_OPERATIONS
from ocibuild.ecosystem.apt.configure.pam import pam_auth_update
from ocibuild.ecosystem.apt.configure.shells import add_shells, update_shells
from ocibuild.ecosystem.apt.configure.systemd import enable_units, update_rc

__all__ = ["OPERATIONS"]


def _update_shells(context: Context) -> None:
    update_shells(context.overlay)


OPERATIONS: Mapping[str, Operation] = {
    **FILE_OPERATIONS,
    "add-shell": add_shells,
    "alternatives": run_alternative_calls,
    "certificates-configuration": configure_certificates,
    "divert": divert_unmoved,
    "enable-units": enable_units,
    "here-document": write_here_document,
    "not-diverted": refuse_diverted,
    "pam-auth-update": pam_auth_update,
    "shadow-on": shadow_on,
    "system-user": system_user,
    "undivert": undivert_unmoved,
    "update-rc": update_rc,
    "update-shells": _update_shells,
}
