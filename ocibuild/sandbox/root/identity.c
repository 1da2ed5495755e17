/*
 * Ids and capabilities: the rules of the kernel (credentials(7), capabilities(7)), applied to a record instead of the
 * process. Where the kernel keeps ids for each thread, they are kept for the process here, as POSIX has it.
 */
#include "calls.h"
#include "process.h"

#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>

#include "state.h"

#define ID_ARGUMENT(call, number) ((uint32_t)(call)->arguments[number])
#define ALL_CAPABILITIES ((1UL << (CAP_LAST_CAP + 1)) - 1)

/* The four ids of a kind: uids and gids follow the same rules, but for capabilities. */
struct ids {
    uint32_t *real, *effective, *saved, *file;
    bool may_choose; /* any id may be taken */
};

static struct ids uids_of(struct identity *identity) {
    return (struct ids){&identity->real_uid, &identity->effective_uid, &identity->saved_uid, &identity->file_uid,
                        has_capability(identity, CAP_SETUID)};
}

static struct ids gids_of(struct identity *identity) {
    return (struct ids){&identity->real_gid, &identity->effective_gid, &identity->saved_gid, &identity->file_gid,
                        has_capability(identity, CAP_SETGID)};
}

static bool is_one_of(struct ids ids, uint32_t id) {
    return id == *ids.real || id == *ids.effective || id == *ids.saved;
}

long call_get_id(struct call *call) {
    const struct identity *identity = &current_process()->identity;
    switch (call->number) {
    case __NR_getuid:
        return identity->real_uid;
    case __NR_geteuid:
        return identity->effective_uid;
    case __NR_getgid:
        return identity->real_gid;
    default:
        return identity->effective_gid;
    }
}

long call_get_ids(struct call *call) {
    const struct identity *identity = &current_process()->identity;
    bool are_uids = call->number == __NR_getresuid;
    const uint32_t *ids = are_uids ? &identity->real_uid : &identity->real_gid;
    for (unsigned at = 0; at < 3; at++) {
        uint32_t *to = (uint32_t *)call->arguments[at];
        if (!is_readable(to, sizeof *to))
            return -EFAULT;
        *to = ids[at];
    }
    return 0;
}

/* capabilities(7), "Effect of user ID changes on capabilities" */
static void change_capabilities(struct identity *new, const struct identity *old) {
    if (new->secure_bits & (1U << SECURE_NO_SETUID_FIXUP))
        return;
    bool had_root = old->real_uid == 0 || old->effective_uid == 0 || old->saved_uid == 0;
    bool has_root = new->real_uid == 0 || new->effective_uid == 0 || new->saved_uid == 0;
    if (had_root && !has_root) {
        if (!(new->secure_bits & (1U << SECURE_KEEP_CAPS)))
            new->permitted = new->effective = 0;
        new->ambient = 0;
    }
    if (old->effective_uid == 0 && new->effective_uid != 0)
        new->effective = 0;
    if (old->effective_uid != 0 && new->effective_uid == 0)
        new->effective = new->permitted;
}

static long set_ids(struct call *call, bool are_uids, long (*change)(struct ids ids, struct call *call)) {
    struct process *process = process_to_change();
    struct identity new = process->identity;
    long result = change(are_uids ? uids_of(&new) : gids_of(&new), call);
    if (result)
        return result;
    if (are_uids)
        change_capabilities(&new, &process->identity);
    process->identity = new;
    return 0;
}

static long set_id(struct ids ids, struct call *call) {
    uint32_t id = ID_ARGUMENT(call, 0);
    if (id == NO_CHANGE)
        return -EINVAL;
    if (ids.may_choose)
        *ids.real = *ids.saved = id;
    else if (id != *ids.real && id != *ids.saved)
        return -EPERM;
    *ids.effective = *ids.file = id;
    return 0;
}

static long set_real_and_effective(struct ids ids, struct call *call) {
    uint32_t real = ID_ARGUMENT(call, 0), effective = ID_ARGUMENT(call, 1);
    uint32_t old_real = *ids.real;
    if (real != NO_CHANGE && !ids.may_choose && real != *ids.real && real != *ids.effective)
        return -EPERM;
    if (effective != NO_CHANGE && !ids.may_choose && !is_one_of(ids, effective))
        return -EPERM;
    if (real != NO_CHANGE)
        *ids.real = real;
    if (effective != NO_CHANGE)
        *ids.effective = effective;
    if (real != NO_CHANGE || (effective != NO_CHANGE && effective != old_real))
        *ids.saved = *ids.effective;
    *ids.file = *ids.effective;
    return 0;
}

static long set_all_ids(struct ids ids, struct call *call) {
    for (unsigned at = 0; at < 3; at++)
        if (ID_ARGUMENT(call, at) != NO_CHANGE && !ids.may_choose && !is_one_of(ids, ID_ARGUMENT(call, at)))
            return -EPERM;
    if (ID_ARGUMENT(call, 0) != NO_CHANGE)
        *ids.real = ID_ARGUMENT(call, 0);
    if (ID_ARGUMENT(call, 1) != NO_CHANGE)
        *ids.effective = ID_ARGUMENT(call, 1);
    if (ID_ARGUMENT(call, 2) != NO_CHANGE)
        *ids.saved = ID_ARGUMENT(call, 2);
    *ids.file = *ids.effective;
    return 0;
}

long call_setuid(struct call *call) {
    return set_ids(call, call->number == __NR_setuid, set_id);
}

long call_setreuid(struct call *call) {
    return set_ids(call, call->number == __NR_setreuid, set_real_and_effective);
}

long call_setresuid(struct call *call) {
    return set_ids(call, call->number == __NR_setresuid, set_all_ids);
}

/* Returns the id that was, whatever happens. */
long call_setfsuid(struct call *call) {
    static const uint64_t OF_FILES = 1UL << CAP_CHOWN | 1UL << CAP_MKNOD | 1UL << CAP_DAC_OVERRIDE |
                                     1UL << CAP_DAC_READ_SEARCH | 1UL << CAP_FOWNER | 1UL << CAP_FSETID;
    struct identity *identity = &process_to_change()->identity;
    bool is_uid = call->number == __NR_setfsuid;
    struct ids ids = is_uid ? uids_of(identity) : gids_of(identity);
    uint32_t id = ID_ARGUMENT(call, 0), old = *ids.file;
    if (id == NO_CHANGE || !(ids.may_choose || is_one_of(ids, id) || id == old))
        return old;
    *ids.file = id;
    if (is_uid && old == 0 && id != 0)
        identity->effective &= ~OF_FILES;
    if (is_uid && old != 0 && id == 0)
        identity->effective |= identity->permitted & OF_FILES;
    return old;
}

long call_getgroups(struct call *call) {
    const struct identity *identity = &current_process()->identity;
    int size = (int)call->arguments[0];
    uint32_t *groups = (uint32_t *)call->arguments[1];
    size_t bytes = identity->group_count * sizeof *groups;
    if (size < 0 || (size && (uint32_t)size < identity->group_count))
        return -EINVAL;
    if (!size || !bytes)
        return identity->group_count;
    if (!is_readable(groups, bytes))
        return -EFAULT;
    memcpy(groups, identity->groups, bytes);
    return identity->group_count;
}

long call_setgroups(struct call *call) {
    struct identity *identity = &process_to_change()->identity;
    size_t count = call->arguments[0];
    const uint32_t *groups = (const uint32_t *)call->arguments[1];
    if (!has_capability(identity, CAP_SETGID))
        return -EPERM;
    if (count > GROUP_LIMIT)
        return -EINVAL;
    if (count && !is_readable(groups, count * sizeof *groups))
        return -EFAULT;
    memcpy(identity->groups, groups, count * sizeof *groups);
    identity->group_count = (uint32_t)count;
    return 0;
}

/* --- Capabilities ------------------------------------------------------------------------------------------------- */

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
