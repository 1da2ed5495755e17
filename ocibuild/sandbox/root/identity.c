/*
 * Ids: the rules of the kernel (credentials(7), capabilities(7)), applied to a record instead of the
 * process. Where the kernel keeps ids for each thread, they are kept for the process here, as POSIX has it.
 */
#include "calls.h"
#include "process.h"

#include <linux/securebits.h>

#define ID_ARGUMENT(call, number) ((uint32_t)(call)->arguments[number])

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
