/* Walking a path component by component. */
#ifndef OCIBUILD_ROOT_WALK_H
#define OCIBUILD_ROOT_WALK_H

#include "path.h"
#include "process.h"

/*
 * Asks the kernel for a path below a folder (an inside path as in struct place): true where no symbolic link is on its way,
 * or it is not there. `name` begins with a slash. Of the place `is_walked` is not set, and `parent` not known.
 */
bool find_directly(struct place *place, const char *folder, const char *name, unsigned wanted);

/*
 * Finds the place of a path as find_place does, for this process; `start` is the inside folder that a relative path starts
 * from. Everything of `place` is known afterwards.
 */
long walk_to(struct place *place, const struct process *process, const char *start, const char *name, unsigned wanted);

#endif
