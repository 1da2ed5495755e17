/* The system calls that are answered here, and how. */
#ifndef OCIBUILD_ROOT_CALLS_H
#define OCIBUILD_ROOT_CALLS_H

#include "base.h"

struct call {
    long number;
    unsigned long arguments[6];
    struct ucontext *context; /* the program's registers and signal mask, to which it returns */
    bool is_resumed;          /* the registers are set already (gate.c): there is no result to return yet */
};

/* The result is what the program sees: -errno on failure. */
typedef long (*call_handler)(struct call *call);

/* The call as it stands, made by the program's own arguments. */
long make_call(const struct call *call);

/* What the filter does with a call (filter.c); everything that is not listed is the kernel's business. */
struct rule {
    call_handler handler; /* the call is trapped and answered by it */
    int refusal;          /* or: the errno that it is refused with */
    /* If `condition` is not ALWAYS, calls that do not fulfil it are the kernel's business. */
    enum { ALWAYS, IF_ARGUMENT, IF_BITS } condition;
    unsigned argument;
    uint32_t bits;
};

enum { RULE_LIMIT = 512 };
extern const struct rule rules[RULE_LIMIT];

/* opening.c */
long call_openat(struct call *call);
long call_openat2(struct call *call);
/* looking.c */
long call_newfstatat(struct call *call);
long call_statx(struct call *call);
long call_faccessat(struct call *call);
long call_readlinkat(struct call *call);
long call_statfs(struct call *call);
long call_inotify_add_watch(struct call *call);
long call_name_to_handle_at(struct call *call);
/* names.c */
long call_mkdirat(struct call *call);
long call_mknodat(struct call *call);
long call_symlinkat(struct call *call);
long call_linkat(struct call *call);
long call_unlinkat(struct call *call);
long call_renameat2(struct call *call);
/* changing.c */
long call_fchmod(struct call *call);
long call_fchmodat(struct call *call);
long call_fchown(struct call *call);
long call_fchownat(struct call *call);
long call_utimensat(struct call *call);
long call_truncate(struct call *call);
/* folders.c */
long call_chdir(struct call *call);
long call_fchdir(struct call *call);
long call_getcwd(struct call *call);
long call_chroot(struct call *call);
/* attributes.c: path, link and descriptor variants by the call's number */
long call_set_attribute(struct call *call);
long call_get_attribute(struct call *call);
long call_list_attributes(struct call *call);
long call_remove_attribute(struct call *call);
/* execute.c */
long call_execve(struct call *call);
long call_execveat(struct call *call);
/* identity.c */
long call_get_id(struct call *call);
long call_get_ids(struct call *call);
long call_setuid(struct call *call);
long call_setreuid(struct call *call);
long call_setresuid(struct call *call);
long call_setfsuid(struct call *call);
long call_getgroups(struct call *call);
long call_setgroups(struct call *call);
/* machine.c */
long call_uname(struct call *call);
/* privileges.c */
long call_capget(struct call *call);
long call_capset(struct call *call);
long call_prctl(struct call *call);
long call_seccomp(struct call *call);
/* signals.c */
long call_rt_sigaction(struct call *call);
long call_rt_sigprocmask(struct call *call);
long call_rt_sigsuspend(struct call *call);
long call_ppoll(struct call *call);
long call_pselect6(struct call *call);
long call_epoll_pwait(struct call *call);
long call_io_pgetevents(struct call *call);
/* sockets.c */
long call_socket(struct call *call);
long call_bind(struct call *call);
long call_connect(struct call *call);
long call_sendto(struct call *call);
long call_get_address(struct call *call);
long call_accept(struct call *call);
long call_recvfrom(struct call *call);
long call_getsockopt(struct call *call);
/* messages.c */
long call_sendmsg(struct call *call);
long call_sendmmsg(struct call *call);
long call_recvmsg(struct call *call);
/* legacy.c: calls that newer architectures do not have, as the calls that replaced them */
long call_legacy(struct call *call);

#endif
