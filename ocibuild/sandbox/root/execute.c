/*
 * execve(2). The kernel cannot execute a file of the root as its own, since it would look for the file's interpreter on this
 * machine. So it executes this program again (the loader), with four arguments before the program's own; the loader maps
 * the program, takes its arguments away again, and jumps (start.c).
 */
#include "execute.h"

#include "access.h"
#include "calls.h"
#include "path.h"
#include "proc.h"
#include "process.h"
#include "signals.h"
#include "state.h"
#include "trap.h"

#include <asm/statfs.h>
#include <linux/mman.h>

enum {
    SCRIPT_DEPTH = 5,      /* as the kernel has it */
    FIRST_LINE_SIZE = 256, /* BINPRM_BUF_SIZE */
    SMALL_COUNT = 1024,    /* so many arguments are copied on the stack */
    NOEXEC = 8,            /* ST_NOEXEC, in statfs's f_flags */
};

/* What is being executed. */
struct execution {
    struct place place;
    int descriptor;                   /* open at the file */
    char path[PATH_SIZE];             /* its inside path, or "fd:N" where it has none */
    char name[PATH_SIZE];             /* as it was given, or as a script gives it */
    const char *words[2 * SCRIPT_DEPTH]; /* interpreters and their arguments, the last script's first */
    unsigned word_count;
    char lines[SCRIPT_DEPTH][FIRST_LINE_SIZE];
    uint32_t set_uid, set_gid;
    bool is_by_descriptor;
};

static long open_for_reading(const struct place *place) {
    return WITH_ACCESS(place, true, kernel(__NR_openat, place->directory, place->outside, O_RDONLY | O_CLOEXEC));
}

/* May the file be executed, and as whom? */
static long check_program(struct execution *execution) {
    struct place *place = &execution->place;
    struct statfs file_system;
    if (!S_ISREG(place->object.st_mode))
        return -EACCES;
    long result = check_object(place, ACCESS_EXECUTE);
    if (result)
        return result;
    if (place->zone != IN_ROOT)
        return kernel(__NR_faccessat, place->directory, place->outside, ACCESS_EXECUTE);
    bool is_noexec = !kernel(__NR_fstatfs, execution->descriptor, &file_system) && (file_system.f_flags & NOEXEC);
    if (is_noexec) {
        complain(execution->name, ": the root lies on a file system that is mounted noexec", NULL);
        return -EACCES;
    }
    struct owner owner = owner_seen(IN_ROOT, execution->descriptor, "", AT_EMPTY_PATH, &place->object);
    unsigned mode = place->object.st_mode;
    execution->set_uid = mode & S_ISUID ? owner.uid : NO_CHANGE;
    execution->set_gid = (mode & S_ISGID) && (mode & S_IXGRP) ? owner.gid : NO_CHANGE;
    return 0;
}

static long open_named(struct execution *execution, int directory, const char *name, int flags) {
    struct place *place = &execution->place;
    unsigned follow = flags & AT_SYMLINK_NOFOLLOW ? 0 : FOLLOW_LAST;
    long result = find_place(place, directory, name, follow | WANT_OBJECT | WANT_WALK);
    if (result)
        return result;
    if (!place->exists)
        return -ENOENT;
    if (S_ISLNK(place->object.st_mode))
        return -ELOOP;
    long descriptor = open_for_reading(place);
    if (failed(descriptor))
        return descriptor;
    execution->descriptor = (int)descriptor;
    return 0;
}

/* The file that a descriptor is open at (execveat with AT_EMPTY_PATH, /proc/self/fd/N): it may have no name any more. */
static long open_descriptor(struct execution *execution, int number) {
    char path[DESCRIPTOR_PATH_SIZE];
    struct place *place = &execution->place;
    descriptor_path(path, number);
    *place = (struct place){.directory = AT_FDCWD, .zone = IN_ROOT, .exists = true};
    copy_string(place->outside, sizeof place->outside, path);
    long result = kernel(__NR_newfstatat, AT_FDCWD, path, &place->object, 0);
    if (result)
        return result == -ENOENT ? -EBADF : result;
    char outside[PATH_SIZE];
    if (!descriptor_outside(number, outside) && first_inside_of(outside, place->inside)) {
        struct stat named;
        bool has_name = !kernel(__NR_newfstatat, AT_FDCWD, outside, &named, 0) && named.st_ino == place->object.st_ino;
        if (has_name)
            copy_string(place->outside, sizeof place->outside, outside);
        execution->is_by_descriptor = !has_name;
    } else {
        execution->is_by_descriptor = true;
    }
    long descriptor = open_for_reading(place);
    if (failed(descriptor))
        return descriptor;
    execution->descriptor = (int)descriptor;
    return 0;
}

static char *skip_blanks(char *at) {
    while (*at == ' ' || *at == '\t')
        at++;
    return at;
}

/* "#! interpreter argument": splits the line in place, as the kernel's fs/binfmt_script.c does. */
static long read_script_line(char *line, const char **interpreter, const char **argument) {
    char *end = line;
    while (*end && *end != '\n')
        end++;
    *end = 0;
    while (end > line + 2 && (end[-1] == ' ' || end[-1] == '\t'))
        *--end = 0;
    char *at = skip_blanks(line + 2);
    if (!*at)
        return -ENOEXEC;
    *interpreter = at;
    while (*at && *at != ' ' && *at != '\t')
        at++;
    *argument = NULL;
    if (*at) {
        *at++ = 0;
        *argument = skip_blanks(at);
    }
    return 0;
}

static void put_first(struct execution *execution, const char *word) {
    memmove(execution->words + 1, execution->words, execution->word_count * sizeof *execution->words);
    execution->words[0] = word;
    execution->word_count++;
}

/* Whether the open file is a script; then its interpreter takes its place in `execution`. */
static long follow_script(struct execution *execution, unsigned depth, bool *is_script) {
    char *line = execution->lines[depth];
    const char *interpreter, *argument;
    long got = kernel(__NR_pread64, execution->descriptor, line, FIRST_LINE_SIZE - 1, 0);
    if (failed(got))
        return got;
    line[got] = 0;
    *is_script = line[0] == '#' && line[1] == '!';
    if (!*is_script)
        return 0;
    long result = read_script_line(line, &interpreter, &argument);
    if (result)
        return result;
    kernel(__NR_close, execution->descriptor);
    execution->descriptor = -1;
    if (argument)
        put_first(execution, argument);
    put_first(execution, interpreter);
    result = copy_string(execution->name, sizeof execution->name, interpreter);
    return result ? result : open_named(execution, AT_FDCWD, execution->name, 0);
}

/* A program whose interpreter (ld.so) is missing is refused now, while there is somebody to tell. */
static long check_interpreter(const struct execution *execution) {
    struct program_file program;
    struct place place;
    long result = read_program_file(execution->descriptor, execution->name, &program);
    if (result || !program.has_interpreter)
        return result;
    result = find_own_path(&place, program.interpreter, FOLLOW_LAST | WANT_OBJECT);
    return result ? result : place.exists ? 0 : -ENOENT;
}

static size_t count_of(char *const *strings) {
    size_t count = 0;
    while (strings && strings[count])
        count++;
    return count;
}

/* The path by which the loader finds the program. */
static long name_program(struct execution *execution) {
    if (!execution->is_by_descriptor)
        return copy_string(execution->path, sizeof execution->path, execution->place.inside);
    /* The descriptor itself is handed over; the loader closes it. */
    long kept = kernel(__NR_dup, execution->descriptor);
    if (failed(kept))
        return kept;
    struct text text = text_in(execution->path, sizeof execution->path);
    add(&text, "fd:");
    add_decimal(&text, (unsigned long)kept);
    return 0;
}

static long enter_loader(struct execution *execution, const struct process *process, const char *given,
                         char *const *arguments, char *const *environment, uint64_t signal_mask) {
    char text_bytes[PROCESS_TEXT_SIZE], name[sizeof LOADER_PREFIX + PATH_SIZE];
    const char *small[SMALL_COUNT];
    struct text text = text_in(text_bytes, sizeof text_bytes);
    write_process(&text, process, signal_mask, program_ignores_sigsys());
    if (text.is_cut)
        return -E2BIG;
    text = text_in(name, sizeof name);
    add(&text, LOADER_PREFIX);
    add(&text, given);
    size_t count = count_of(arguments), room = LOADER_ARGUMENTS + execution->word_count + count + 3;
    size_t size = room * sizeof *small;
    const char **all = small;
    if (room > SMALL_COUNT) {
        long memory = kernel(__NR_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (failed(memory))
            return memory;
        all = (const char **)memory;
    }
    size_t at = 0;
    all[at++] = name;
    all[at++] = state_path;
    all[at++] = text_bytes;
    all[at++] = execution->path;
    for (unsigned word = 0; word < execution->word_count; word++)
        all[at++] = execution->words[word];
    /* A script's own path stands where its name was; a program without arguments still gets its name. */
    if (execution->word_count || !count)
        all[at++] = given;
    for (size_t argument = execution->word_count ? 1 : 0; argument < count; argument++)
        all[at++] = arguments[argument];
    all[at] = NULL;
    bool is_shared = shares_memory_of_parent();
    if (is_shared)
        leave_stack_to_kernel(all == small ? NULL : all, size);
    long result = kernel(__NR_execve, state->loader, all, environment);
    if (is_shared)
        keep_stack();
    if (all != small)
        kernel(__NR_munmap, all, size);
    return result;
}

static long execute_open(struct execution *execution, const char *given, char *const *arguments,
                         char *const *environment, uint64_t signal_mask) {
    long result = 0;
    bool is_script = true;
    for (unsigned depth = 0; is_script; depth++) {
        if ((result = check_program(execution)))
            return result;
        if (depth == SCRIPT_DEPTH)
            return -ELOOP;
        if ((result = follow_script(execution, depth, &is_script)))
            return result;
    }
    if ((result = check_interpreter(execution)) || (result = name_program(execution)))
        return result;
    struct process process = *current_process();
    change_for_program(&process.identity, execution->set_uid, execution->set_gid);
    return enter_loader(execution, &process, given, arguments, environment, signal_mask);
}

/* "/proc/self/fd/3" and "/dev/fd/3" name the file that is open there. */
static bool is_descriptor_name(const char *outside, int *number) {
    if (!starts_with(outside, "/proc/") || !starts_with(last_component(outside) - 3, "fd/"))
        return false;
    const char *cursor = last_component(outside);
    *number = (int)read_decimal(&cursor);
    return !*cursor;
}

long execute(int directory, const char *name, int flags, char *const *arguments, char *const *environment,
             uint64_t signal_mask) {
    struct execution execution = {.descriptor = -1, .set_uid = NO_CHANGE, .set_gid = NO_CHANGE};
    char given[PATH_SIZE];
    long result;
    if ((flags & AT_EMPTY_PATH) && !*name) {
        struct text text = text_in(given, sizeof given);
        add(&text, "/dev/fd/");
        add_decimal(&text, (unsigned)directory);
        copy_string(execution.name, sizeof execution.name, given);
        result = open_descriptor(&execution, directory);
    } else {
        int number;
        if ((result = copy_string(given, sizeof given, name)) ||
            (result = copy_string(execution.name, sizeof execution.name, name)))
            return result;
        result = open_named(&execution, directory, name, flags);
        if (!result && execution.place.zone == IN_PROC && is_descriptor_name(execution.place.outside, &number)) {
            kernel(__NR_close, execution.descriptor);
            result = open_descriptor(&execution, number);
        }
    }
    if (!result)
        result = execute_open(&execution, given, arguments, environment, signal_mask);
    if (execution.descriptor >= 0)
        kernel(__NR_close, execution.descriptor);
    if (starts_with(execution.path, "fd:")) {
        const char *cursor = execution.path + 3;
        kernel(__NR_close, read_decimal(&cursor));
    }
    return result;
}

static long execute_named(struct call *call, int directory, unsigned first, int flags) {
    char name[PATH_SIZE];
    char *const *arguments = (char *const *)call->arguments[first + 1];
    char *const *environment = (char *const *)call->arguments[first + 2];
    long length = fetch_string(name, sizeof name, (const char *)call->arguments[first]);
    if (length < 0)
        return length;
    if ((arguments && !is_readable(arguments, sizeof *arguments)) ||
        (environment && !is_readable(environment, sizeof *environment)))
        return -EFAULT;
    if (!*name && !(flags & AT_EMPTY_PATH))
        return -ENOENT;
    return execute(directory, name, flags, arguments, environment, context_mask(call->context));
}

long call_execve(struct call *call) {
    return execute_named(call, AT_FDCWD, 0, 0);
}

long call_execveat(struct call *call) {
    int flags = (int)call->arguments[4];
    if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
        return -EINVAL;
    return execute_named(call, (int)call->arguments[0], 1, flags);
}
