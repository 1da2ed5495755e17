/* What each process of the run is, as its programs see it: ids, capabilities, root, and the program that it runs. */
#ifndef OCIBUILD_ROOT_PROCESS_H
#define OCIBUILD_ROOT_PROCESS_H

#include "base.h"

#include <linux/capability.h>

enum {
    GROUP_LIMIT = 256,
    /* Room for a process as text (write_process): numbers of up to 17 characters, and a path. */
    PROCESS_TEXT_SIZE = PATH_SIZE + 20 * 17 + GROUP_LIMIT * 9 + 64,
};

struct identity {
    uint32_t real_uid, effective_uid, saved_uid, file_uid;
    uint32_t real_gid, effective_gid, saved_gid, file_gid;
    uint64_t effective, permitted, inheritable, bounding, ambient; /* capabilities, a bit each */
    uint32_t secure_bits;
    uint32_t no_new_privileges;
    uint32_t group_count;
    uint32_t groups[GROUP_LIMIT];
};

struct process {
    int number;
    struct identity identity;
    uint32_t has_filter; /* it asked for a system call filter of its own */
    char root[PATH_SIZE]; /* after chroot(2): an inside path as the run's first program would write it; else "" */
};

/* The program that runs in this memory: an inside path. */
extern char program_path[PATH_SIZE];

/* Whom this machine's kernel takes the process for. */
extern uint32_t outside_uid, outside_gid;

/*
 * The calling process. One memory is shared by a process and the children of its vfork(2), which may change their own ids
 * before they execute a program: `process_to_change` gives such a child its own record, a copy.
 */
const struct process *current_process(void);
struct process *process_to_change(void);
/* Tells that this memory is a copy that a fork(2) made, whose only thread is this one. */
void process_was_forked(void);
/* True in a child of vfork(2), which shares its parent's memory. */
bool shares_memory_of_parent(void);

/* The process that the run starts with. */
void make_first_process(uint32_t uid, uint32_t gid, const uint32_t *groups, size_t group_count);

/* A process as text, for the next program in it; signal_mask is the program's own. */
void write_process(struct text *text, const struct process *process, uint64_t signal_mask, bool ignores_sigsys);
/* Reads such a text; false where it is none. */
bool read_process(const char *text, struct process *process, uint64_t *signal_mask, bool *ignores_sigsys);
/* Makes the text's process the current one; false where it is not such a text. */
bool resume_process(const char *text, uint64_t *signal_mask, bool *ignores_sigsys);

bool has_capability(const struct identity *identity, int capability);
bool is_in_group(const struct identity *identity, uint32_t gid);

/* What execve(2) does to ids and capabilities; uid or gid is NO_CHANGE where the program has no such mode bit. */
#define NO_CHANGE UINT32_MAX
void change_for_program(struct identity *identity, uint32_t set_uid, uint32_t set_gid);
/* Whether the program must distrust its environment (AT_SECURE). */
bool is_secure_execution(const struct identity *identity);

#endif
