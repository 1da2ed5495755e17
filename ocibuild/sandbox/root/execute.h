/* Executing programs: from execve(2) in one program to the first instruction of the next. */
#ifndef OCIBUILD_ROOT_EXECUTE_H
#define OCIBUILD_ROOT_EXECUTE_H

#include "base.h"

/*
 * Replaces the process by the program. All signals are blocked meanwhile; `signal_mask` is what the program gets. Returns
 * only where that fails, with -errno.
 */
long execute(int directory, const char *name, int flags, char *const *arguments, char *const *environment,
             uint64_t signal_mask);

/* What is found of an ELF file. */
struct program_file {
    bool has_interpreter;
    char interpreter[PATH_SIZE]; /* an inside path */
};
/* 0, or what execve(2) says of the file: -ENOEXEC, -ELIBBAD, ... Foreign architectures are named on standard error. */
long read_program_file(int descriptor, const char *name, struct program_file *program);

/* Where a program was mapped. */
struct mapped_program {
    unsigned long base;
    unsigned long entry;
    unsigned long headers;
    unsigned long header_count;
    bool wants_executable_stack;
};
/* Maps all segments of the file; gives up with a message where that fails, since there is no way back. */
struct mapped_program map_program(int descriptor, const char *name);

#endif
