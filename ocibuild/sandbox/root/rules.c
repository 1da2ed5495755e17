/* Which system calls are not simply the kernel's business. */
#include "calls.h"

/* New name spaces (clone(2), unshare(2)): a container that is allowed nothing may not have them. */
enum {
    NEW_NAME_SPACES = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000,
    NEW_TIME = 0x00000080, /* only unshare's: for clone these bits are the signal */
};

#define ANSWER(name, function) [__NR_##name] = {.handler = (function)}
/* Only where the argument is not 0. */
#define ANSWER_IF(name, number, function) \
    [__NR_##name] = {.handler = (function), .condition = IF_ARGUMENT, .argument = (number)}
#define REFUSE(name, error) [__NR_##name] = {.refusal = (error)}
#define REFUSE_BITS(name, number, these, error) \
    [__NR_##name] = {.refusal = (error), .condition = IF_BITS, .argument = (number), .bits = (these)}

const struct rule rules[RULE_LIMIT] = {
    /* files: the path is translated, the owner and mode bits are those of the root */
    ANSWER(openat, call_openat),
    ANSWER(openat2, call_openat2),
    ANSWER(newfstatat, call_newfstatat),
    ANSWER(fstat, call_legacy),
    ANSWER(statx, call_statx),
    ANSWER(faccessat, call_faccessat),
    ANSWER(faccessat2, call_faccessat),
    ANSWER(readlinkat, call_readlinkat),
    ANSWER(statfs, call_statfs),
    ANSWER(mkdirat, call_mkdirat),
    ANSWER(mknodat, call_mknodat),
    ANSWER(symlinkat, call_symlinkat),
    ANSWER(linkat, call_linkat),
    ANSWER(unlinkat, call_unlinkat),
    ANSWER(renameat2, call_renameat2),
    ANSWER(fchmod, call_fchmod),
    ANSWER(fchmodat, call_fchmodat),
    ANSWER(fchmodat2, call_fchmodat),
    ANSWER(fchown, call_fchown),
    ANSWER(fchownat, call_fchownat),
    ANSWER(utimensat, call_utimensat),
    ANSWER(truncate, call_truncate),
    ANSWER(chdir, call_chdir),
    ANSWER(fchdir, call_fchdir),
    ANSWER(getcwd, call_getcwd),
    ANSWER(chroot, call_chroot),
    ANSWER(inotify_add_watch, call_inotify_add_watch),
    ANSWER(name_to_handle_at, call_name_to_handle_at),
    ANSWER(setxattr, call_set_attribute),
    ANSWER(lsetxattr, call_set_attribute),
    ANSWER(fsetxattr, call_set_attribute),
    ANSWER(getxattr, call_get_attribute),
    ANSWER(lgetxattr, call_get_attribute),
    ANSWER(fgetxattr, call_get_attribute),
    ANSWER(listxattr, call_list_attributes),
    ANSWER(llistxattr, call_list_attributes),
    ANSWER(flistxattr, call_list_attributes),
    ANSWER(removexattr, call_remove_attribute),
    ANSWER(lremovexattr, call_remove_attribute),
    ANSWER(fremovexattr, call_remove_attribute),
#ifdef __NR_renameat
    ANSWER(renameat, call_legacy),
#endif
#ifdef __NR_open
    ANSWER(open, call_legacy),
    ANSWER(creat, call_legacy),
    ANSWER(stat, call_legacy),
    ANSWER(lstat, call_legacy),
    ANSWER(access, call_legacy),
    ANSWER(mkdir, call_legacy),
    ANSWER(rmdir, call_legacy),
    ANSWER(unlink, call_legacy),
    ANSWER(rename, call_legacy),
    ANSWER(link, call_legacy),
    ANSWER(symlink, call_legacy),
    ANSWER(readlink, call_legacy),
    ANSWER(chmod, call_legacy),
    ANSWER(chown, call_legacy),
    ANSWER(lchown, call_legacy),
    ANSWER(mknod, call_legacy),
    ANSWER(utime, call_legacy),
    ANSWER(utimes, call_legacy),
    ANSWER(futimesat, call_legacy),
    REFUSE(uselib, ENOSYS),
#endif

    /* programs */
    ANSWER(execve, call_execve),
    ANSWER(execveat, call_execveat),

    /* ids and capabilities */
    ANSWER(getuid, call_get_id),
    ANSWER(geteuid, call_get_id),
    ANSWER(getgid, call_get_id),
    ANSWER(getegid, call_get_id),
    ANSWER(getresuid, call_get_ids),
    ANSWER(getresgid, call_get_ids),
    ANSWER(setuid, call_setuid),
    ANSWER(setgid, call_setuid),
    ANSWER(setreuid, call_setreuid),
    ANSWER(setregid, call_setreuid),
    ANSWER(setresuid, call_setresuid),
    ANSWER(setresgid, call_setresuid),
    ANSWER(setfsuid, call_setfsuid),
    ANSWER(setfsgid, call_setfsuid),
    ANSWER(getgroups, call_getgroups),
    ANSWER(setgroups, call_setgroups),
    ANSWER(capget, call_capget),
    ANSWER(capset, call_capset),
    ANSWER(prctl, call_prctl),
    ANSWER(seccomp, call_seccomp),

    /* the machine */
    ANSWER(uname, call_uname),
    REFUSE(sethostname, EPERM),
    REFUSE(setdomainname, EPERM),
    REFUSE(settimeofday, EPERM),
    REFUSE(clock_settime, EPERM),
    REFUSE(reboot, EPERM),
    REFUSE(kexec_load, EPERM),
    REFUSE(init_module, EPERM),
    REFUSE(finit_module, EPERM),
    REFUSE(delete_module, EPERM),

    /* signals: no mask may hold SIGSYS */
    ANSWER(rt_sigaction, call_rt_sigaction),
    ANSWER(rt_sigprocmask, call_rt_sigprocmask),
    ANSWER(rt_sigsuspend, call_rt_sigsuspend),
    ANSWER_IF(ppoll, 3, call_ppoll),
    ANSWER_IF(pselect6, 5, call_pselect6),
    ANSWER_IF(epoll_pwait, 4, call_epoll_pwait),
    ANSWER_IF(epoll_pwait2, 4, call_epoll_pwait),
    ANSWER_IF(io_pgetevents, 5, call_io_pgetevents),

    /* sockets */
    ANSWER(socket, call_socket),
    ANSWER(bind, call_bind),
    ANSWER(connect, call_connect),
    ANSWER_IF(sendto, 4, call_sendto),
    ANSWER(sendmsg, call_sendmsg),
    ANSWER(sendmmsg, call_sendmmsg),
    ANSWER(getsockname, call_get_address),
    ANSWER(getpeername, call_get_address),
    ANSWER_IF(accept, 1, call_accept),
    ANSWER_IF(accept4, 1, call_accept),
    ANSWER_IF(recvfrom, 4, call_recvfrom),
    ANSWER(recvmsg, call_recvmsg),
    ANSWER(getsockopt, call_getsockopt),

    /* what a container without privileges may not do, and what would go around the translation */
    REFUSE(mount, EPERM),
    REFUSE(umount2, EPERM),
    REFUSE(pivot_root, EPERM),
    REFUSE(fsopen, EPERM),
    REFUSE(fspick, EPERM),
    REFUSE(fsmount, EPERM),
    REFUSE(fsconfig, EPERM),
    REFUSE(move_mount, EPERM),
    REFUSE(open_tree, EPERM),
    REFUSE(mount_setattr, EPERM),
    REFUSE(setns, EPERM),
    REFUSE(swapon, EPERM),
    REFUSE(swapoff, EPERM),
    REFUSE(acct, EPERM),
    REFUSE(quotactl, EPERM),
    REFUSE(quotactl_fd, EPERM),
    REFUSE(open_by_handle_at, EPERM),
    REFUSE(fanotify_init, EPERM),
    REFUSE_BITS(unshare, 0, NEW_NAME_SPACES | NEW_TIME, EPERM),
    REFUSE_BITS(clone, 0, NEW_NAME_SPACES, EPERM),
    /* It could reset the action of SIGSYS in the child (CLONE_CLEAR_SIGHAND); C libraries then use clone. */
    REFUSE(clone3, ENOSYS),
    /* It makes calls on files from the kernel's side. */
    REFUSE(io_uring_setup, ENOSYS),
    REFUSE(io_uring_enter, ENOSYS),
    REFUSE(io_uring_register, ENOSYS),
    /* Its rules would hold for the calls that are made here as well. */
    REFUSE(landlock_create_ruleset, EOPNOTSUPP),
    /* Newer forms, for which C libraries fall back to the older ones. The numbers are the same everywhere. */
    [457] = {.refusal = ENOSYS}, /* statmount */
    [458] = {.refusal = ENOSYS}, /* listmount */
    [463] = {.refusal = ENOSYS}, /* setxattrat */
    [464] = {.refusal = ENOSYS}, /* getxattrat */
    [465] = {.refusal = ENOSYS}, /* listxattrat */
    [466] = {.refusal = ENOSYS}, /* removexattrat */
    [467] = {.refusal = EPERM},  /* open_tree_attr */
    [468] = {.refusal = ENOSYS}, /* file_getattr */
    [469] = {.refusal = ENOSYS}, /* file_setattr */
};
