/* From inside paths to outside paths and back. */
#ifndef OCIBUILD_ROOT_PATH_H
#define OCIBUILD_ROOT_PATH_H

#include "base.h"
#include "owners.h"

#include <asm/stat.h>

/* Where a file lies. */
enum zone {
    IN_ROOT,      /* the root file system: owners are the recorded ones */
    IN_BINDING,   /* a file or folder of this machine that was asked for */
    IN_PROC,      /* this machine's /proc: some of its files and links need translating */
};

struct place {
    /* For the kernel's calls that take a directory and a path: AT_FDCWD with an absolute path, or the program's own
       directory with its own relative path, where that needed no change. */
    int directory;
    char outside[PATH_SIZE];
    char inside[PATH_SIZE]; /* without symbolic links, as the run's first program would write it; "" where relative */
    enum zone zone;
    bool is_read_only;
    bool is_mount_point; /* the very file or folder of this machine that was asked for: it stays where it is */
    bool has_trailing_slash;
    bool exists;           /* known only where WANT_OBJECT was asked for or `is_walked` is set */
    bool is_walked;        /* every folder on the way was looked at: `parent` is known too */
    struct stat object;    /* of the file itself, if it exists and is known */
    struct stat parent;    /* of the folder that holds it */
};

enum find {
    FOLLOW_LAST = 1, /* a symbolic link at the end is followed */
    WANT_OBJECT = 2, /* `exists` and `object` are needed */
    WANT_WALK = 4,   /* `inside` and `parent` are needed */
    REFUSE_LINKS = 8, /* a symbolic link that would have to be followed is -ELOOP */
};

/*
 * Finds what the path of a system call means, for the calling process. 0, or what the call fails with: -ENOENT, -ENOTDIR,
 * -ELOOP, -ENAMETOOLONG, -EFAULT, or -EACCES where the process may not search a folder on the way. A last component that
 * does not exist is no failure.
 */
long find_place(struct place *place, int directory, const char *name, unsigned wanted);

/* The same for a path that is in our own memory. */
long find_own_path(struct place *place, const char *inside, unsigned wanted);

/* The place of a file that is only known by an open descriptor: `outside` is "", for calls with AT_EMPTY_PATH. */
long find_descriptor(struct place *place, int descriptor);

/* The file that a descriptor is open at, as an absolute outside path. */
long descriptor_outside(int directory, char *outside);
/* The place's absolute outside path, also where it is relative to a directory. */
long absolute_outside(const struct place *place, char *outside);
/* The folder of a path: everything before its last slash, "/" at least. */
void keep_folder(char *path);

/* Where place->inside lies, an absolute path without symbolic links: fills in everything else that follows from it. */
void locate(struct place *place);
/*
 * An absolute outside path -> how the calling process would write it; false where it is not reachable from its root. Works
 * in place as well.
 */
bool inside_of(const char *outside, char *inside);
/* The same as the run's first program would write it. */
bool first_inside_of(const char *outside, char *inside);

#endif
