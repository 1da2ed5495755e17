/* This machine's /proc, where it shows outside paths and ids. */
#ifndef OCIBUILD_ROOT_PROC_H
#define OCIBUILD_ROOT_PROC_H

#include "base.h"
#include "path.h"
#include "process.h"

/*
 * A program's arguments begin with four that the loader takes away (execute.c): LOADER_PREFIX and the name that execve(2)
 * was given, the run's state, the process as text, and the program's path. Other processes read them in /proc/PID/cmdline.
 */
enum { LOADER_ARGUMENTS = 4 };
#define LOADER_PREFIX "ocibuild-root:"

/* Room for the loader's arguments, and then some of the program's own. */
enum { COMMAND_LINE_SIZE = PROCESS_TEXT_SIZE + 3 * PATH_SIZE };
/* The start of /proc/PID/cmdline; its length, or a negative errno. `outside` is any file in the folder of the process. */
long read_command_line(const char *outside, char *bytes, size_t size);
/* The loader's argument of this number in a command line; NULL where it is of no program of a run. */
const char *loader_argument(const char *bytes, long length, unsigned number);

/* The program's auxiliary vector, for /proc/self/auxv. */
extern const void *program_auxiliary;
extern size_t program_auxiliary_size;

/* Whether a file or link of this name below /proc is translated. */
bool is_translated_proc_name(const char *name, size_t length);
/*
 * Where a symbolic link of /proc leads to, as an inside path; false where only the kernel can follow it. `is_last` tells
 * that nothing follows in the path: an open file is then the very file, also if it was renamed or removed.
 */
bool read_proc_link(const char *outside, bool is_last, char *target);
/* What readlink(2) shows of it; its length. */
long show_proc_link(const char *outside, char *target);
/*
 * A descriptor of the translated content of a file of /proc; -ENOSYS where the file needs no translating. `signal_mask` is
 * the program's, which is not the one that the kernel knows at this moment.
 */
long open_proc_view(const struct place *place, int flags, uint64_t signal_mask);

#endif
