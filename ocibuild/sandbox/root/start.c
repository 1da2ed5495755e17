/*
 * Where the program begins, in two ways:
 *
 *     ocibuild-root run STATE GROUPS FOLDER PROGRAM [ARGUMENT...]     started from outside: begins a run
 *     ocibuild-root:NAME STATE PROCESS PATH [ARGUMENT...]             started by execute.c: becomes the program at PATH
 *
 * GROUPS are numbers with commas between them, or "-". Exit codes: 127 where PROGRAM does not exist, 126 where it cannot be
 * executed or the run cannot begin; state.h's `phase` tells which.
 */
#include "access.h"
#include "execute.h"
#include "filter.h"
#include "path.h"
#include "proc.h"
#include "process.h"
#include "signals.h"
#include "state.h"
#include "trap.h"

#include <linux/auxvec.h>
#include <linux/mman.h>
#include <linux/prctl.h>

ARCH_CODE;

extern void enter_program(void *stack, unsigned long entry) __attribute__((noreturn));
__attribute__((noreturn, used)) void start(unsigned long *stack);

enum { SIGNAL_SET_SIZE = 8 };
#define DEFAULT_SEARCH_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct auxiliary {
    unsigned long type, value;
};

/* --- Beginning a run ---------------------------------------------------------------------------------------------- */

static size_t read_groups(const char *text, uint32_t *groups, size_t limit) {
    size_t count = 0;
    while (*text >= '0' && *text <= '9' && count < limit) {
        groups[count++] = (uint32_t)read_decimal(&text);
        if (*text == ',')
            text++;
    }
    return count;
}

static const char *search_path(char *const *environment) {
    for (; *environment; environment++)
        if (starts_with(*environment, "PATH="))
            return *environment + 5;
    return DEFAULT_SEARCH_PATH;
}

/* As execvp(3) does it: a file that may not be executed is remembered, one that is not there is passed over. */
static long execute_from_search_path(char *const *arguments, char *const *environment, uint64_t mask) {
    const char *name = arguments[0];
    long refusal = -ENOENT;
    if (!*name)
        return refusal;
    if (last_component(name) != name)
        return execute(AT_FDCWD, name, 0, arguments, environment, mask);
    for (const char *folder = search_path(environment); *folder;) {
        size_t length = 0;
        while (folder[length] && folder[length] != ':')
            length++;
        char path[PATH_SIZE];
        struct text text = text_in(path, sizeof path);
        add_bytes(&text, folder, length);
        add(&text, length ? "/" : "./");
        add(&text, name);
        long result = text.is_cut ? -ENAMETOOLONG : execute(AT_FDCWD, path, 0, arguments, environment, mask);
        if (result != -ENOENT && result != -ENOTDIR)
            refusal = result;
        folder += length;
        if (*folder)
            folder++;
    }
    return refusal;
}

/*
 * Makes the folders of the path that are not there. The state tells which, so that they are taken away after the run if
 * nothing was put into them, and when the folder above them was changed before.
 */
static void make_folders(const char *folder) {
    char path[PATH_SIZE];
    struct place place;
    for (size_t at = 1; folder[at - 1]; at++) {
        if ((folder[at] && folder[at] != '/') || folder[at - 1] == '/')
            continue;
        memcpy(path, folder, at);
        path[at] = 0;
        if (find_own_path(&place, path, FOLLOW_LAST | WANT_OBJECT | WANT_WALK) || place.exists)
            continue;
        if (WITH_ACCESS(&place, false, kernel(__NR_mkdirat, AT_FDCWD, place.outside, 0755)))
            return;
        copy_string(state->made_folder, sizeof state->made_folder, place.outside);
        if (!state->made_count++) {
            state->made_at_seconds = place.parent.st_mtime;
            state->made_at_nanoseconds = place.parent.st_mtime_nsec;
        }
    }
}

static void enter_folder(const char *folder) {
    struct place place;
    make_folders(folder);
    long result = find_own_path(&place, folder, FOLLOW_LAST | WANT_OBJECT);
    if (!result)
        result = !place.exists ? -ENOENT : check_object(&place, ACCESS_SEARCH);
    if (!result)
        result = WITH_ACCESS(&place, true, kernel(__NR_chdir, place.outside));
    if (result)
        give_up(126, folder, ": the working folder cannot be entered", NULL);
}

/* In the words of the other rungs (program.py). */
static const char *why(long error) {
    switch (-error) {
    case EACCES:
        return "cannot be executed: Permission denied";
    case ELOOP:
        return "cannot be executed: Too many levels of symbolic links";
    case E2BIG:
        return "cannot be executed: Argument list too long";
    case ENOEXEC:
        return "cannot be executed: it has no #! line, or is for another processor";
    default:
        return "cannot be executed";
    }
}

__attribute__((noreturn)) static void tell_failure(const char *name, long error) {
    struct place place;
    if (error != -ENOENT && error != -ENOTDIR)
        give_up(126, name, ": ", why(error), NULL);
    bool is_there = !find_own_path(&place, name, FOLLOW_LAST | WANT_OBJECT) && place.exists;
    const char *what = is_there ? "its interpreter is not there" : "no such file";
    give_up(127, name, ": ", last_component(name) == name ? "not found" : what, NULL);
}

__attribute__((noreturn)) static void begin_run(char **words, char **environment) {
    uint32_t groups[GROUP_LIMIT];
    uint64_t mask = 0;
    open_state(words[2]);
    make_first_process(state->start_uid, state->start_gid, groups, read_groups(words[3], groups, GROUP_LIMIT));
    kernel(__NR_rt_sigprocmask, 0, 0, &mask, SIGNAL_SET_SIZE);
    long refusal = install_filter();
    if (failed(refusal)) {
        state->refusal = (uint32_t)-refusal;
        give_up(126, "this machine does not allow filters of system calls (seccomp)", NULL);
    }
    state->phase = PHASE_FILTERED;
    enter_folder(words[4]);
    tell_failure(words[5], execute_from_search_path(words + 5, environment, mask));
}

/* --- Becoming a program ------------------------------------------------------------------------------------------- */

/* The program's own path has no links, and that it may be executed was decided before it came here. */
static int open_program(const char *path) {
    struct place place;
    if (starts_with(path, "fd:")) {
        const char *cursor = path + 3;
        int descriptor = (int)read_decimal(&cursor);
        char link[DESCRIPTOR_PATH_SIZE];
        descriptor_path(link, descriptor);
        long length = kernel(__NR_readlinkat, AT_FDCWD, link, program_path, sizeof program_path - 1);
        program_path[failed(length) ? 0 : length] = 0;
        return descriptor;
    }
    copy_string(program_path, sizeof program_path, path);
    copy_string(place.inside, sizeof place.inside, path);
    locate(&place);
    long descriptor = WITH_ACCESS(&place, true, kernel(__NR_openat, AT_FDCWD, place.outside, O_RDONLY | O_CLOEXEC));
    if (failed(descriptor))
        give_up(126, path, ": cannot be opened", NULL);
    return (int)descriptor;
}

static int open_interpreter(const char *path) {
    struct place place;
    long descriptor = find_own_path(&place, path, FOLLOW_LAST);
    if (!descriptor)
        descriptor = WITH_ACCESS(&place, true,
                                 kernel(__NR_openat, place.directory, place.outside, O_RDONLY | O_CLOEXEC));
    if (failed(descriptor))
        give_up(126, path, ": the program's interpreter cannot be opened", NULL);
    return (int)descriptor;
}

/* What the kernel told about this program becomes what it would have told about the other one. */
static void change_auxiliary(struct auxiliary *auxiliary, const char *name, const struct mapped_program *program,
                             unsigned long interpreter_base) {
    const struct identity *identity = &current_process()->identity;
    struct auxiliary *entry = auxiliary;
    for (; entry->type != AT_NULL; entry++) {
        switch (entry->type) {
        case AT_PHDR:
            entry->value = program->headers;
            break;
        case AT_PHNUM:
            entry->value = program->header_count;
            break;
        case AT_BASE:
            entry->value = interpreter_base;
            break;
        case AT_ENTRY:
            entry->value = program->entry;
            break;
        case AT_EXECFN:
            entry->value = (unsigned long)name;
            break;
        case AT_UID:
            entry->value = identity->real_uid;
            break;
        case AT_EUID:
            entry->value = identity->effective_uid;
            break;
        case AT_GID:
            entry->value = identity->real_gid;
            break;
        case AT_EGID:
            entry->value = identity->effective_gid;
            break;
        case AT_SECURE:
            entry->value = is_secure_execution(identity);
            break;
        }
    }
    program_auxiliary = auxiliary;
    program_auxiliary_size = (size_t)((char *)(entry + 1) - (char *)auxiliary);
}

static void allow_code_on_stack(const void *stack) {
    kernel(__NR_mprotect, (uintptr_t)stack & ~(page_size - 1), page_size,
           PROT_READ | PROT_WRITE | PROT_EXEC | PROT_GROWSDOWN);
}

__attribute__((noreturn)) static void become_program(unsigned long *stack, char **words, struct auxiliary *auxiliary) {
    uint64_t mask;
    bool ignores_sigsys;
    open_state(words[1]);
    if (!resume_process(words[2], &mask, &ignores_sigsys))
        give_up(126, "not a process: ", words[2], NULL);
    int descriptor = open_program(words[3]);
    struct program_file file;
    if (read_program_file(descriptor, words[3], &file))
        give_up(126, words[3], ": not a program for " ARCH_NAME, NULL);
    struct mapped_program program = map_program(descriptor, words[3]), interpreter = {.entry = program.entry};
    kernel(__NR_close, descriptor);
    if (file.has_interpreter) {
        descriptor = open_interpreter(file.interpreter);
        interpreter = map_program(descriptor, file.interpreter);
        kernel(__NR_close, descriptor);
    }
    const char *name = words[0] + sizeof LOADER_PREFIX - 1;
    change_auxiliary(auxiliary, name, &program, interpreter.base);
    kernel(__NR_prctl, PR_SET_NAME, last_component(name));
    if (program.wants_executable_stack)
        allow_code_on_stack(stack);
    set_program_ignores_sigsys(ignores_sigsys);
    install_trap_handler();
    mask = harmless_mask(mask);
    kernel(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, &mask, 0, SIGNAL_SET_SIZE);
    state->phase = PHASE_STARTED;
    /* The loader's own arguments go: an even number of words, so the stack stays aligned. */
    _Static_assert(LOADER_ARGUMENTS % 2 == 0, "the stack stays aligned to 16 bytes");
    unsigned long count = stack[0] - LOADER_ARGUMENTS;
    stack += LOADER_ARGUMENTS;
    stack[0] = count;
    enter_program(stack, interpreter.entry);
}

void start(unsigned long *stack) {
    unsigned long count = stack[0];
    char **words = (char **)(stack + 1);
    char **environment = words + count + 1;
    char **end = environment;
    while (*end)
        end++;
    struct auxiliary *auxiliary = (struct auxiliary *)(end + 1);
    for (const struct auxiliary *entry = auxiliary; entry->type != AT_NULL; entry++)
        if (entry->type == AT_PAGESZ)
            page_size = entry->value;
    outside_uid = (uint32_t)kernel(__NR_getuid);
    outside_gid = (uint32_t)kernel(__NR_getgid);
    if (count >= LOADER_ARGUMENTS && starts_with(words[0], LOADER_PREFIX))
        become_program(stack, words, auxiliary);
    if (count >= 6 && strings_are_equal(words[1], "run"))
        begin_run(words, environment);
    give_up(126, "usage: ocibuild-root run STATE GROUPS FOLDER PROGRAM [ARGUMENT...]", NULL);
}
