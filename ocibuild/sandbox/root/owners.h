/* Whom the files of the root belong to: a table of all files that do not belong to root, shared by the run. */
#ifndef OCIBUILD_ROOT_OWNERS_H
#define OCIBUILD_ROOT_OWNERS_H

#include "base.h"

struct owner {
    uint32_t uid;
    uint32_t gid;
};

/* A file, so that its number used again for another file is not taken for it. */
struct file_key {
    uint64_t inode;
    uint64_t birth_ns;
};

/* Whether nothing at all is recorded, which saves most questions. */
bool owners_are_empty(void);
/* Whether a file with this number may be recorded: the cheap question before the birth is asked for. */
bool owners_may_know(uint64_t inode);
bool find_owner(struct file_key key, struct owner *owner);
/* 0, or -ENOSPC with a message where the table is full. */
long record_owner(struct file_key key, struct owner owner);
/* The file is gone: its owner and its attributes are forgotten. */
void forget_file(struct file_key key);

/* The key of the file by a directory and a path, as newfstatat(2) takes them; a negative errno where there is none. */
long file_key_at(int directory, const char *outside, int flags, struct file_key *key);

/* Extended attributes that only a real root may set (security.capability above all). */
bool attributes_are_empty(void);
long record_attribute(struct file_key key, const char *name, const void *value, size_t size, int flags);
/* The value's size; -ENODATA where none is recorded, -ERANGE where it does not fit. A size of 0 asks for the size. */
long find_attribute(struct file_key key, const char *name, void *value, size_t size);
long remove_attribute(struct file_key key, const char *name);
/* Adds the names, each with its ending zero, behind `used` bytes of the list; returns its new length or -ERANGE. */
long add_attribute_names(struct file_key key, char *list, size_t size, size_t used);

#endif
