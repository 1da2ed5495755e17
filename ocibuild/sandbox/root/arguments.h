/* What the calls on files have in common: how they are told which file they are about. */
#ifndef OCIBUILD_ROOT_ARGUMENTS_H
#define OCIBUILD_ROOT_ARGUMENTS_H

#include "calls.h"
#include "path.h"

#define PATH_ARGUMENT(call, number) ((const char *)(call)->arguments[number])
#define DIRECTORY_ARGUMENT(call, number) ((int)(call)->arguments[number])

/* "" or NULL with AT_EMPTY_PATH: the call is about the descriptor itself. */
static inline bool is_empty_path(const char *name, int flags) {
    return (flags & AT_EMPTY_PATH) && (!name || (is_readable(name, 1) && !*name));
}

static inline unsigned follow_unless(bool is_not_followed) {
    return is_not_followed ? 0 : FOLLOW_LAST;
}

#endif
