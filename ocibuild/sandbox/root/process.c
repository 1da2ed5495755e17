#include "process.h"

#include <linux/securebits.h>

enum {
    RECORD_LIMIT = 16,
};

char program_path[PATH_SIZE];
uint32_t outside_uid, outside_gid;

/* The first record is of the process whose memory this is; the others are of children of vfork(2). */
static struct process records[RECORD_LIMIT];
static unsigned next_record;

/*
 * What root has in a container that is allowed nothing: what Docker gives (moby, oci/caps/defaults.go). So a program that
 * looks before it mounts does not try.
 */
#define BIT(capability) (1UL << (capability))
static const uint64_t ROOT_CAPABILITIES =
    BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FSETID) | BIT(CAP_FOWNER) | BIT(CAP_MKNOD) | BIT(CAP_NET_RAW) |
    BIT(CAP_SETGID) | BIT(CAP_SETUID) | BIT(CAP_SETFCAP) | BIT(CAP_SETPCAP) | BIT(CAP_NET_BIND_SERVICE) |
    BIT(CAP_SYS_CHROOT) | BIT(CAP_KILL) | BIT(CAP_AUDIT_WRITE);

static struct process *record_of(int number) {
    for (unsigned at = 0; at < RECORD_LIMIT; at++)
        if (records[at].number == number)
            return &records[at];
    return NULL;
}

const struct process *current_process(void) {
    struct process *found = record_of((int)kernel(__NR_getpid));
    return found ? found : &records[0];
}

bool shares_memory_of_parent(void) {
    return (int)kernel(__NR_getpid) != records[0].number;
}

struct process *process_to_change(void) {
    int number = (int)kernel(__NR_getpid);
    struct process *found = record_of(number);
    if (found)
        return found;
    /* The oldest record is taken again: its child has executed its program long ago, with memory of its own. */
    unsigned at = 1 + __atomic_fetch_add(&next_record, 1, __ATOMIC_RELAXED) % (RECORD_LIMIT - 1);
    records[at] = records[0];
    records[at].number = number;
    return &records[at];
}

void process_was_forked(void) {
    struct process *parent = record_of((int)kernel(__NR_getppid));
    if (parent && parent != &records[0])
        records[0] = *parent;
    for (unsigned at = 1; at < RECORD_LIMIT; at++)
        records[at].number = 0;
    records[0].number = (int)kernel(__NR_getpid);
}

void make_first_process(uint32_t uid, uint32_t gid, const uint32_t *groups, size_t group_count) {
    struct process *process = &records[0];
    process->number = (int)kernel(__NR_getpid);
    struct identity *identity = &process->identity;
    *identity = (struct identity){
        .real_uid = uid, .effective_uid = uid, .saved_uid = uid, .file_uid = uid,
        .real_gid = gid, .effective_gid = gid, .saved_gid = gid, .file_gid = gid,
        .bounding = ROOT_CAPABILITIES,
    };
    for (size_t at = 0; at < group_count && at < GROUP_LIMIT; at++)
        identity->groups[identity->group_count++] = groups[at];
    if (uid == 0)
        identity->effective = identity->permitted = ROOT_CAPABILITIES;
}

/* The numbers of a process, in the order of its text. The groups follow. */
enum { TEXT_NUMBERS = 17 };

static void numbers_of(const struct process *process, uint64_t numbers[TEXT_NUMBERS]) {
    const struct identity *identity = &process->identity;
    const uint64_t listed[TEXT_NUMBERS] = {
        identity->real_uid,          identity->effective_uid, identity->saved_uid, identity->file_uid,
        identity->real_gid,          identity->effective_gid, identity->saved_gid, identity->file_gid,
        identity->effective,         identity->permitted,     identity->inheritable,
        identity->bounding,          identity->ambient,       identity->secure_bits,
        identity->no_new_privileges, process->has_filter,     identity->group_count,
    };
    memcpy(numbers, listed, sizeof listed);
}

void write_process(struct text *text, const struct process *process, uint64_t signal_mask, bool ignores_sigsys) {
    uint64_t numbers[TEXT_NUMBERS];
    numbers_of(process, numbers);
    add_hexadecimal(text, signal_mask);
    add(text, ignores_sigsys ? ",1" : ",0");
    for (unsigned at = 0; at < TEXT_NUMBERS; at++) {
        add(text, ",");
        add_hexadecimal(text, numbers[at]);
    }
    for (unsigned at = 0; at < process->identity.group_count; at++) {
        add(text, ",");
        add_hexadecimal(text, process->identity.groups[at]);
    }
    add(text, ";");
    add(text, process->root);
}

static bool read_next(const char **cursor, uint64_t *number) {
    if (**cursor != ',')
        return false;
    (*cursor)++;
    *number = read_hexadecimal(cursor);
    return true;
}

bool read_process(const char *text, struct process *process, uint64_t *signal_mask, bool *ignores_sigsys) {
    struct identity *identity = &process->identity;
    uint64_t ignores, numbers[TEXT_NUMBERS];
    *signal_mask = read_hexadecimal(&text);
    if (!read_next(&text, &ignores))
        return false;
    *ignores_sigsys = ignores;
    for (unsigned at = 0; at < TEXT_NUMBERS; at++)
        if (!read_next(&text, &numbers[at]))
            return false;
    *identity = (struct identity){
        .real_uid = (uint32_t)numbers[0], .effective_uid = (uint32_t)numbers[1],
        .saved_uid = (uint32_t)numbers[2], .file_uid = (uint32_t)numbers[3],
        .real_gid = (uint32_t)numbers[4], .effective_gid = (uint32_t)numbers[5],
        .saved_gid = (uint32_t)numbers[6], .file_gid = (uint32_t)numbers[7],
        .effective = numbers[8], .permitted = numbers[9], .inheritable = numbers[10],
        .bounding = numbers[11], .ambient = numbers[12], .secure_bits = (uint32_t)numbers[13],
        .no_new_privileges = (uint32_t)numbers[14],
    };
    process->has_filter = (uint32_t)numbers[15];
    for (uint64_t left = numbers[16]; left; left--) {
        uint64_t group;
        if (identity->group_count == GROUP_LIMIT || !read_next(&text, &group))
            return false;
        identity->groups[identity->group_count++] = (uint32_t)group;
    }
    return *text++ == ';' && copy_string(process->root, sizeof process->root, text) == 0;
}

bool resume_process(const char *text, uint64_t *signal_mask, bool *ignores_sigsys) {
    records[0].number = (int)kernel(__NR_getpid);
    return read_process(text, &records[0], signal_mask, ignores_sigsys);
}

bool has_capability(const struct identity *identity, int capability) {
    return identity->effective & BIT(capability);
}

bool is_in_group(const struct identity *identity, uint32_t gid) {
    if (gid == identity->file_gid)
        return true;
    for (uint32_t at = 0; at < identity->group_count; at++)
        if (identity->groups[at] == gid)
            return true;
    return false;
}

/* capabilities(7), "Transformation of capabilities during execve()". Capabilities of files grant nothing here. */
void change_for_program(struct identity *identity, uint32_t set_uid, uint32_t set_gid) {
    bool is_privileged = false;
    if (!identity->no_new_privileges) {
        if (set_uid != NO_CHANGE) {
            is_privileged |= set_uid != identity->real_uid;
            identity->effective_uid = set_uid;
        }
        if (set_gid != NO_CHANGE) {
            is_privileged |= set_gid != identity->real_gid;
            identity->effective_gid = set_gid;
        }
    }
    identity->saved_uid = identity->file_uid = identity->effective_uid;
    identity->saved_gid = identity->file_gid = identity->effective_gid;
    if (is_privileged)
        identity->ambient = 0;
    identity->permitted = identity->ambient;
    identity->effective = identity->ambient;
    bool root_is_special = !(identity->secure_bits & (1U << SECURE_NOROOT));
    if (root_is_special && (identity->effective_uid == 0 || identity->real_uid == 0)) {
        identity->permitted = identity->bounding | identity->inheritable;
        identity->effective = identity->effective_uid == 0 ? identity->permitted : 0;
    }
    identity->secure_bits &= ~(1U << SECURE_KEEP_CAPS);
}

bool is_secure_execution(const struct identity *identity) {
    return identity->effective_uid != identity->real_uid || identity->effective_gid != identity->real_gid;
}
