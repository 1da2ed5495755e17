"""Why a rung does not work and what would make it work, from the call that failed and the machine's settings."""

import errno
import os

from ocibuild.sandbox.machine_facts import MachineFacts
from ocibuild.sandbox.process import EntryError

__all__ = ["DELEGATE_IDS", "explain"]

DELEGATE_IDS = "as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}"

_POD_PROFILE = (
    "in the pod's specification: securityContext.seccompProfile.type: Unconfined, or Localhost with a profile that "
    "allows unshare and mount"
)
_CONTAINER_PROFILE = f"start the container with --security-opt seccomp=unconfined; {_POD_PROFILE}"
_FILTER = "the container's seccomp profile refuses it"
_APPARMOR = (
    "AppArmor takes the capabilities of unprivileged user name spaces away "
    "(kernel.apparmor_restrict_unprivileged_userns is 1)"
)
_APPARMOR_HINT = (
    "as root: sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile that lets this Python "
    "make user name spaces"
)
_NEEDS_POWER = ("writing /proc/self/", "unshare(", "bind-mounting the root", "mounting ", "pivot_root")
_SETS_IDS = ("setgroups", "setresgid", "setresuid")
_REFUSALS = (errno.EPERM, errno.EACCES)

_Row = tuple[bool, str, str | None]
"""Whether it is so; then the cause, and what would help."""


def explain(error: EntryError, facts: MachineFacts) -> tuple[str, str | None]:
    """What failed (the call, and the error as the kernel named it) with its cause, and a hint where one is known."""
    name = errno.errorcode.get(error.number, str(error.number))
    failed = f"{error.call}: {os.strerror(error.number)} [{name}]" + (f": {error.detail}" if error.detail else "")
    if error.call == "unshare(CLONE_NEWUSER)":
        rows = _no_user_namespace(error.number, facts)
    elif error.call.startswith(("newuidmap", "newgidmap")):
        rows = _no_map(error, facts)
    else:
        rows = _no_power(error, facts)
    for holds, cause, hint in rows:
        if holds:
            return f"{failed}: {cause}", hint
    return failed, None


def _no_user_namespace(number: int, facts: MachineFacts) -> list[_Row]:
    most = facts.most_user_namespaces
    is_refused = number in _REFUSALS
    return [
        (
            number == errno.ENOSPC and most == 0,
            "user.max_user_namespaces is 0",
            "as root: sysctl user.max_user_namespaces=15000",
        ),
        (
            number == errno.ENOSPC,
            f"no more user name spaces may be made (user.max_user_namespaces is {most}; an outer one may allow fewer)",
            "as root: raise user.max_user_namespaces",
        ),
        (
            number in (errno.EINVAL, errno.ENOSYS),
            "this kernel was built without user name spaces",
            "use a kernel with CONFIG_USER_NS",
        ),
        (
            is_refused and facts.unprivileged_userns_clone == 0 and facts.uid != 0,
            "kernel.unprivileged_userns_clone is 0",
            "as root: sysctl kernel.unprivileged_userns_clone=1",
        ),
        (is_refused and facts.has_filter, _FILTER, _POD_PROFILE if facts.is_pod else _CONTAINER_PROFILE),
        (is_refused, "this process is in a chroot, or a security module refuses it", None),
    ]


def _no_map(error: EntryError, facts: MachineFacts) -> list[_Row]:
    program = error.call.split()[0]
    may_gain = "in the pod's specification: securityContext.allowPrivilegeEscalation: true" if facts.is_pod else None
    return [
        (
            error.number == errno.ENOENT,
            f"{program} is not installed",
            "install the package uidmap (Debian, Ubuntu) or shadow-utils (Fedora)",
        ),
        (
            facts.has_no_new_privileges,
            "this process has no_new_privs: set-user-id programs have no power in it",
            may_gain,
        ),
        (
            "not allowed" in error.detail or "range" in error.detail,
            f"the ids are not delegated to {facts.user}",
            DELEGATE_IDS.format(user=facts.user),
        ),
        (
            True,
            f"{program} has no power",
            f"as root: chmod u+s {program}, which must not be on a file system mounted nosuid",
        ),
    ]


def _no_power(error: EntryError, facts: MachineFacts) -> list[_Row]:
    call, is_refused = error.call, error.number in _REFUSALS
    needs_power = is_refused and call.startswith(_NEEDS_POWER)
    is_chroot = is_refused and call.startswith("chroot")
    return [
        (needs_power and bool(facts.apparmor_restricts_userns), _APPARMOR, _APPARMOR_HINT),
        (needs_power and facts.has_filter, _FILTER, _POD_PROFILE if facts.is_pod else _CONTAINER_PROFILE),
        (call.startswith("seccomp("), "this kernel cannot pass system calls to a supervisor", "use Linux 5.5 or newer"),
        (is_chroot and facts.uid != 0, "this process is not root", "it works for root only, as in a container's"),
        (is_chroot, "root lacks CAP_SYS_CHROOT here", "start the container with --cap-add SYS_CHROOT"),
        (
            is_refused and call.startswith(_SETS_IDS),
            "root lacks CAP_SETUID or CAP_SETGID here",
            "start the container with --cap-add SETUID --cap-add SETGID",
        ),
    ]
