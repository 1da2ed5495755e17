/* Whom a new file belongs to. */
#ifndef OCIBUILD_ROOT_CREATION_H
#define OCIBUILD_ROOT_CREATION_H

#include "base.h"
#include "owners.h"
#include "path.h"

/* What needs no record: root's own file, in a run that started as root, whose old owner is not recorded. */
bool is_default_owner(struct owner owner);

/*
 * Records that a file was just made by the calling process, whose own it is, but for the group where its folder hands down
 * one. `place` is what the program named; `directory`, `outside` and `flags` are where the file is found, as newfstatat(2)
 * takes them.
 */
void record_creation(const struct place *place, int directory, const char *outside, int flags);

#endif
