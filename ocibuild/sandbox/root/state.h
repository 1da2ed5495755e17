/*
 * What all processes of a run share: a file that is made before the run (ocibuild/sandbox/state_file.py writes the same
 * layout), mapped by each of them, and read when all have ended.
 */
#ifndef OCIBUILD_ROOT_STATE_H
#define OCIBUILD_ROOT_STATE_H

#include "base.h"

#define STATE_MAGIC "ocibuild-root 1"

enum {
    BINDING_LIMIT = 128,
    SHORT_ROOT_SIZE = 64,
    HOST_NAME_SIZE = 65, /* as in uname(2) */
    BORROWED_LIMIT = 64,
    ATTRIBUTE_LIMIT = 4096,
    ATTRIBUTE_NAME_SIZE = 64,
    ATTRIBUTE_VALUE_SIZE = 168,
};

/* Flags of the run (struct state, flags). */
enum {
    RUN_HAS_NETWORK = 1,
};

/* A file or folder of this machine that appears in the root. */
struct binding {
    uint32_t inside; /* where its path stands in the texts */
    uint32_t outside;
    uint32_t flags; /* enum binding_flags */
    uint32_t reserved;
};

enum binding_flags {
    BINDING_IS_READ_ONLY = 1,
    BINDING_IS_FOLDER = 2,
};

/* A mode that was changed for a moment (access.c), so that a killed process leaves nothing changed. */
struct borrowed_mode {
    uint32_t is_used;
    uint32_t mode;
    char outside[PATH_SIZE];
};

/* Whom a file belongs to. Entries are never moved; an inode of 0 is a free entry, of ~0 one whose file is gone. */
struct owner_entry {
    uint64_t inode;
    uint64_t birth_ns;
    uint64_t owner; /* uid in the low half, gid in the high half: changed in one store */
    uint64_t flags;
};

enum {
    OWNER_DECIDED = 1, /* by this run; else it was known before */
};

/* An extended attribute that only a real root may set. */
struct attribute_entry {
    uint64_t inode;
    uint64_t birth_ns;
    uint32_t value_size;
    uint32_t is_used;
    char name[ATTRIBUTE_NAME_SIZE];
    unsigned char value[ATTRIBUTE_VALUE_SIZE];
};

struct state {
    char magic[16];
    uint64_t size; /* of the file */
    uint32_t flags;
    uint32_t start_uid; /* as whom the run's first program started */
    uint32_t start_gid;
    uint32_t binding_count;
    uint32_t table_lock;  /* held while the owners or attributes are changed */
    uint32_t borrow_lock; /* held while modes are borrowed */
    uint32_t told;        /* of what was already complained once a run (enum told) */
    uint32_t attribute_count;
    uint32_t phase;       /* how far the run's start came (enum phase) */
    uint32_t refusal;     /* why the filter could not be installed: an errno */
    uint64_t root_device;      /* st_dev of the root's folders */
    uint64_t root_file_device; /* and of its files, which overlayfs may give another one */
    uint64_t owner_capacity; /* a power of two */
    uint64_t owner_count;
    uint64_t owners_at;     /* offsets into the file */
    uint64_t attributes_at;
    uint64_t texts_at;
    uint64_t texts_size;
    char root[PATH_SIZE];   /* the root file system, absolute, without symbolic links, without a slash at its end */
    char loader[PATH_SIZE]; /* this program */
    char short_root[SHORT_ROOT_SIZE]; /* a symbolic link to the root, for the addresses of sockets; or empty */
    char host_name[HOST_NAME_SIZE]; /* what the machine seems to be called; or empty: what it is called */
    char unused[7];
    char made_folder[PATH_SIZE]; /* the working folder, if it was made for the run: an outside path */
    uint32_t made_count;         /* so many of its last components were made */
    uint32_t made_at_nanoseconds;
    uint64_t made_at_seconds;    /* when the folder that holds them was last changed before */
    struct binding bindings[BINDING_LIMIT];
    struct borrowed_mode borrowed[BORROWED_LIMIT];
};

/* How far a run's start came. */
enum phase {
    PHASE_NONE = 0,
    PHASE_FILTERED = 1, /* the filter is installed: this machine can do it */
    PHASE_STARTED = 2,  /* a program was entered */
};

/* What is said at most once a run. */
enum told {
    TOLD_FILTER = 1,
    TOLD_TABLE_FULL = 2,
    TOLD_ATTRIBUTES_FULL = 4,
};

extern struct state *state;
extern const char *state_path;

/* Maps the file; gives up with a message where it cannot be used. */
void open_state(const char *path);
const char *binding_inside(const struct binding *binding);
const char *binding_outside(const struct binding *binding);
/* True for the first caller of a run. */
bool tell_once(enum told what);

#endif
