import errno
from dataclasses import replace

import pytest

from ocibuild.sandbox.machine_facts import MachineFacts
from ocibuild.sandbox.process import EntryError
from ocibuild.sandbox.reasons import explain

LAPTOP = MachineFacts(1000, "alice", most_user_namespaces=1000)
POD = replace(LAPTOP, has_filter=True, has_no_new_privileges=True, is_pod=True)
NEW_USERS = "unshare(CLONE_NEWUSER)"
UBUNTU = replace(LAPTOP, apparmor_restricts_userns=1)


@pytest.mark.parametrize(
    ("call", "number", "detail", "facts", "cause", "hint"),
    [
        (NEW_USERS, errno.ENOSPC, "", replace(LAPTOP, most_user_namespaces=0), "user.max_user_namespaces is 0", "sysctl user.max_user"),
        (NEW_USERS, errno.ENOSPC, "", LAPTOP, "no more user name spaces may be made", "raise user.max_user_namespaces"),
        (NEW_USERS, errno.EINVAL, "", LAPTOP, "built without user name spaces", "CONFIG_USER_NS"),
        (NEW_USERS, errno.EPERM, "", replace(LAPTOP, unprivileged_userns_clone=0), "kernel.unprivileged_userns_clone is 0", "=1"),
        (NEW_USERS, errno.EPERM, "", replace(LAPTOP, has_filter=True), "seccomp profile refuses it", "--security-opt seccomp=unconfined"),
        (NEW_USERS, errno.EPERM, "", POD, "seccomp profile refuses it", "in the pod's specification: securityContext.seccompProfile"),
        (NEW_USERS, errno.EPERM, "", LAPTOP, "in a chroot, or a security module", None),
        ("writing /proc/self/uid_map", errno.EPERM, "", UBUNTU, "AppArmor takes the capabilities", "apparmor_restrict_unprivileged_userns=0"),
        ("unshare(CLONE_NEWPID)", errno.EPERM, "", UBUNTU, "AppArmor takes the capabilities", "AppArmor profile"),
        ("bind-mounting the root", errno.EACCES, "", UBUNTU, "AppArmor takes the capabilities", "AppArmor profile"),
        ("unshare(CLONE_NEWNS)", errno.EPERM, "", POD, "seccomp profile refuses it", "in the pod's specification"),
        ("newuidmap 7 0 1000 1", errno.ENOENT, "", LAPTOP, "newuidmap is not installed", "package uidmap"),
        ("newgidmap 7 0 1000 1", errno.EPERM, "newgidmap: gid range [0-1) -> [1-2) not allowed", LAPTOP, "not delegated to alice", "usermod --add-subuids"),
        ("newuidmap 7", errno.EPERM, "write to uid_map failed", POD, "has no_new_privs", "allowPrivilegeEscalation: true"),
        ("newuidmap 7", errno.EPERM, "write to uid_map failed", LAPTOP, "newuidmap has no power", "chmod u+s newuidmap"),
        ("seccomp(SECCOMP_FILTER_FLAG_NEW_LISTENER)", errno.EINVAL, "", LAPTOP, "cannot pass system calls to a supervisor", "Linux 5.5"),
        ("chroot", errno.EPERM, "", LAPTOP, "this process is not root", "for root only"),
        ("chroot", errno.EPERM, "", replace(LAPTOP, uid=0), "root lacks CAP_SYS_CHROOT", "--cap-add SYS_CHROOT"),
        ("setresuid(1)", errno.EPERM, "", replace(LAPTOP, uid=0), "root lacks CAP_SETUID", "--cap-add SETUID"),
        ("opening /x", errno.ENOENT, "", LAPTOP, "No such file or directory [ENOENT]", None),
        ("opening /x", 0, "", LAPTOP, "opening /x", None),
    ],
)  # fmt: skip
def test_the_cause_and_the_way_out(
    call: str, number: int, detail: str, facts: MachineFacts, cause: str, hint: str | None
) -> None:
    reason, said = explain(EntryError(call, number, detail), facts)
    assert reason.startswith(f"{call}: ")
    assert errno.errorcode.get(number, "0") in reason
    assert detail in reason
    assert cause in reason
    assert (said is None) == (hint is None)
    assert hint is None or hint in str(said)
