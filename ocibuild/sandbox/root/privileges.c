/* Capabilities, and what else prctl(2) and seccomp(2) know of privileges; by the rules of capabilities(7). */
#include "calls.h"
#include "process.h"
#include "state.h"

#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>

/* capget(2): the versions differ in how many halves the sets have. Returns the halves, 0 where the version is unknown. */
static unsigned halves_of(uint32_t version) {
    switch (version) {
    case _LINUX_CAPABILITY_VERSION_1:
        return 1;
    case _LINUX_CAPABILITY_VERSION_2:
    case _LINUX_CAPABILITY_VERSION_3:
        return 2;
    default:
        return 0;
    }
}

/* Reads the header; where its version is unknown, tells the preferred one. */
static long read_capability_header(struct call *call, unsigned *halves) {
    struct __user_cap_header_struct *header = (void *)call->arguments[0];
    if (!is_readable(header, sizeof *header))
        return -EFAULT;
    *halves = halves_of(header->version);
    if (!*halves) {
        header->version = _LINUX_CAPABILITY_VERSION_3;
        return -EINVAL;
    }
    return header->pid < 0 ? -EINVAL : 0;
}

long call_capget(struct call *call) {
    struct __user_cap_data_struct *data = (void *)call->arguments[1];
    const struct __user_cap_header_struct *header = (void *)call->arguments[0];
    unsigned halves;
    long result = read_capability_header(call, &halves);
    if (!data)
        return result == -EINVAL && !halves ? 0 : result; /* only the version was asked for */
    if (result)
        return result;
    if (!is_readable(data, halves * sizeof *data))
        return -EFAULT;
    if (header->pid && failed(kernel(__NR_kill, header->pid, 0)))
        return -ESRCH;
    const struct identity *identity = &current_process()->identity;
    for (unsigned half = 0; half < halves; half++) {
        data[half].effective = (uint32_t)(identity->effective >> 32 * half);
        data[half].permitted = (uint32_t)(identity->permitted >> 32 * half);
        data[half].inheritable = (uint32_t)(identity->inheritable >> 32 * half);
    }
    return 0;
}

long call_capset(struct call *call) {
    const struct __user_cap_data_struct *data = (void *)call->arguments[1];
    const struct __user_cap_header_struct *header = (void *)call->arguments[0];
    unsigned halves;
    long result = read_capability_header(call, &halves);
    if (result)
        return result;
    if (!is_readable(data, halves * sizeof *data))
        return -EFAULT;
    if (header->pid && header->pid != kernel(__NR_getpid) && header->pid != own_thread())
        return -EPERM;
    uint64_t effective = 0, permitted = 0, inheritable = 0;
    for (unsigned half = 0; half < halves; half++) {
        effective |= (uint64_t)data[half].effective << 32 * half;
        permitted |= (uint64_t)data[half].permitted << 32 * half;
        inheritable |= (uint64_t)data[half].inheritable << 32 * half;
    }
    struct identity *identity = &process_to_change()->identity;
    uint64_t may_inherit = identity->inheritable | identity->permitted;
    if (has_capability(identity, CAP_SETPCAP))
        may_inherit |= identity->bounding;
    if (permitted & ~identity->permitted || effective & ~permitted || inheritable & ~may_inherit)
        return -EPERM;
    identity->effective = effective;
    identity->permitted = permitted;
    identity->inheritable = inheritable;
    identity->ambient &= permitted & inheritable;
    return 0;
}

static bool is_capability(unsigned long number) {
    return number <= CAP_LAST_CAP;
}

static long change_ambient(struct identity *identity, unsigned long what, unsigned long capability) {
    uint64_t bit = is_capability(capability) ? 1UL << capability : 0;
    switch (what) {
    case PR_CAP_AMBIENT_CLEAR_ALL:
        identity->ambient = 0;
        return capability ? -EINVAL : 0;
    case PR_CAP_AMBIENT_IS_SET:
        return bit ? !!(identity->ambient & bit) : -EINVAL;
    case PR_CAP_AMBIENT_RAISE:
        if (!bit)
            return -EINVAL;
        if (!(identity->permitted & identity->inheritable & bit) ||
            identity->secure_bits & (1U << SECURE_NO_CAP_AMBIENT_RAISE))
            return -EPERM;
        identity->ambient |= bit;
        return 0;
    case PR_CAP_AMBIENT_LOWER:
        identity->ambient &= ~bit;
        return bit ? 0 : -EINVAL;
    default:
        return -EINVAL;
    }
}

static long set_filter(unsigned long flags, const void *program) {
    enum { KNOWN_FLAGS = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW };
    if (flags & ~(unsigned long)KNOWN_FLAGS)
        return -EINVAL; /* a listener would never hear anything */
    if (!is_readable(program, sizeof(void *)))
        return -EFAULT;
    struct process *process = process_to_change();
    process->has_filter = true;
    if (tell_once(TOLD_FILTER))
        complain("note: a program's own filter of system calls is not installed in this sandbox", NULL);
    return 0;
}

/*
 * A filter of the program's would forbid the calls that are made for it here (it knows its own calls, not ours), so none is
 * installed: the program is told that it was. Strict mode, which allows four calls, is refused.
 */
long call_seccomp(struct call *call) {
    switch (call->arguments[0]) {
    case SECCOMP_SET_MODE_STRICT:
        return -EINVAL;
    case SECCOMP_SET_MODE_FILTER:
        return set_filter(call->arguments[1], (const void *)call->arguments[2]);
    default:
        return make_call(call);
    }
}

long call_prctl(struct call *call) {
    unsigned long argument = call->arguments[1];
    struct identity *identity;
    switch (call->arguments[0]) {
    case PR_GET_KEEPCAPS:
        return !!(current_process()->identity.secure_bits & (1U << SECURE_KEEP_CAPS));
    case PR_SET_KEEPCAPS:
        if (argument > 1)
            return -EINVAL;
        identity = &process_to_change()->identity;
        identity->secure_bits &= ~(1U << SECURE_KEEP_CAPS);
        identity->secure_bits |= (uint32_t)argument << SECURE_KEEP_CAPS;
        return 0;
    case PR_GET_SECUREBITS:
        return current_process()->identity.secure_bits;
    case PR_SET_SECUREBITS:
        identity = &process_to_change()->identity;
        if (!has_capability(identity, CAP_SETPCAP))
            return -EPERM;
        identity->secure_bits = (uint32_t)argument;
        return 0;
    case PR_CAPBSET_READ:
        return is_capability(argument) ? !!(current_process()->identity.bounding & 1UL << argument) : -EINVAL;
    case PR_CAPBSET_DROP:
        identity = &process_to_change()->identity;
        if (!has_capability(identity, CAP_SETPCAP))
            return -EPERM;
        if (!is_capability(argument))
            return -EINVAL;
        identity->bounding &= ~(1UL << argument);
        return 0;
    case PR_CAP_AMBIENT:
        return change_ambient(&process_to_change()->identity, argument, call->arguments[2]);
    case PR_GET_NO_NEW_PRIVS:
        return current_process()->identity.no_new_privileges;
    case PR_SET_NO_NEW_PRIVS:
        if (argument != 1 || call->arguments[2] || call->arguments[3] || call->arguments[4])
            return -EINVAL;
        process_to_change()->identity.no_new_privileges = true;
        return 0;
    case PR_GET_SECCOMP:
        return current_process()->has_filter ? SECCOMP_MODE_FILTER : SECCOMP_MODE_DISABLED;
    case PR_SET_SECCOMP:
        return argument == SECCOMP_MODE_FILTER ? set_filter(0, (const void *)call->arguments[2]) : -EINVAL;
    case PR_SET_MM:
        return -EPERM;
    default:
        return make_call(call);
    }
}
