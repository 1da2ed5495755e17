/*
 * Files of /proc that would show where the root lies on this machine, or as whom the process runs there. They are copied,
 * translated, into a memory file that the program gets instead.
 */
#include "proc.h"
#include "process.h"
#include "signals.h"
#include "state.h"

#include <linux/memfd.h>

enum { LINE_SIZE = 3 * PATH_SIZE };

const void *program_auxiliary;
size_t program_auxiliary_size;

/* A view is made line by line: what is written for a line is up to its function. */
struct view {
    const struct place *place;
    int target;
    char bytes[LINE_SIZE];
    struct text written;
    char root_mount[PATH_SIZE];    /* the mount point that holds the root */
    const struct process *process; /* whose file it is */
    bool is_own;                   /* the calling process' */
    uint64_t signal_mask;          /* then: what the program blocks */
};
typedef void (*line_function)(struct view *view, char *line);

static void flush(struct view *view) {
    kernel(__NR_write, view->target, view->written.bytes, view->written.length);
    view->written.length = 0;
}

static void write_text(struct view *view, const char *string) {
    size_t length = string_length(string);
    if (view->written.length + length >= view->written.size)
        flush(view);
    add_bytes(&view->written, string, length);
}

/* Calls the function for each line of the file; a line that is longer than any of the kernel's is cut. */
static long for_each_line(struct view *view, line_function function) {
    char bytes[LINE_SIZE];
    size_t used = 0;
    long source = kernel(__NR_openat, AT_FDCWD, view->place->outside, O_RDONLY | O_CLOEXEC);
    if (failed(source))
        return source;
    for (;;) {
        long got = kernel(__NR_read, source, bytes + used, sizeof bytes - 1 - used);
        if (got <= 0)
            break;
        used += (size_t)got;
        size_t start = 0;
        for (size_t at = 0; at < used; at++) {
            if (bytes[at] != '\n')
                continue;
            bytes[at] = 0;
            function(view, bytes + start);
            start = at + 1;
        }
        memmove(bytes, bytes + start, used - start);
        used -= start;
        if (used == sizeof bytes - 1)
            used = 0;
    }
    kernel(__NR_close, source);
    return 0;
}

/* maps, smaps: the path is what begins with the line's first slash. */
static void write_map(struct view *view, char *line) {
    char *path = line;
    while (*path && *path != '/')
        path++;
    if (*path) {
        char outside[PATH_SIZE];
        copy_string(outside, sizeof outside, path);
        *path = 0;
        write_text(view, line);
        if (is_below(outside, state->loader) || is_below(outside, state_path))
            copy_string(outside, sizeof outside, "[ocibuild-root]");
        else
            inside_of(outside, outside);
        write_text(view, outside);
    } else {
        write_text(view, line);
    }
    write_text(view, "\n");
}

/* The field of the mount point in "mounts" and "mountinfo" (proc(5)). */
static unsigned mount_point_field(const struct place *place) {
    return strings_are_equal(last_component(place->outside), "mountinfo") ? 4 : 1;
}

static char *field_of(char *line, unsigned number) {
    while (number--) {
        while (*line && *line != ' ')
            line++;
        if (*line)
            line++;
    }
    return line;
}

/* The mount point alone, and in `rest` where the line goes on. */
static void read_mount_point(char *field, char *mount_point, char **rest) {
    char *end = field;
    while (*end && *end != ' ')
        end++;
    struct text text = text_in(mount_point, PATH_SIZE);
    add_bytes(&text, field, (size_t)(end - field));
    *rest = end;
}

static void find_root_mount(struct view *view, char *line) {
    char mount_point[PATH_SIZE];
    char *rest;
    read_mount_point(field_of(line, mount_point_field(view->place)), mount_point, &rest);
    bool holds_root = strings_are_equal(mount_point, "/") || is_below(state->root, mount_point);
    if (holds_root && string_length(mount_point) >= string_length(view->root_mount))
        copy_string(view->root_mount, sizeof view->root_mount, mount_point);
}

/* Only what is in the root is told: the root itself, and the file systems of this machine that appear there. */
static void write_mount(struct view *view, char *line) {
    char mount_point[PATH_SIZE], inside[PATH_SIZE];
    char *field = field_of(line, mount_point_field(view->place)), *rest;
    read_mount_point(field, mount_point, &rest);
    if (strings_are_equal(mount_point, view->root_mount))
        copy_string(inside, sizeof inside, "/");
    else if (!inside_of(mount_point, inside))
        return;
    *field = 0;
    write_text(view, line);
    write_text(view, inside);
    write_text(view, rest);
    write_text(view, "\n");
}

static void write_numbers(struct view *view, const char *name, const uint32_t *numbers, size_t count,
                          const char *separator) {
    char bytes[GROUP_LIMIT * 11 + 32];
    struct text text = text_in(bytes, sizeof bytes);
    add(&text, name);
    for (size_t at = 0; at < count; at++) {
        add(&text, at ? separator : "\t");
        add_decimal(&text, numbers[at]);
    }
    add(&text, "\n");
    write_text(view, bytes);
}

/* A set of capabilities or signals: sixteen digits. */
static void write_set(struct view *view, const char *name, uint64_t set) {
    char bytes[64], digits[20];
    struct text text = text_in(bytes, sizeof bytes), number = text_in(digits, sizeof digits);
    add_hexadecimal(&number, set);
    add(&text, name);
    add(&text, "\t");
    for (size_t zeros = 16 - number.length; zeros; zeros--)
        add(&text, "0");
    add(&text, digits);
    add(&text, "\n");
    write_text(view, bytes);
}

/* Each process catches SIGSYS; of another it is not known whether its program does as well. */
static void write_caught(struct view *view, const char *digits) {
    uint64_t caught = read_hexadecimal(&digits);
    if (!view->is_own || !program_catches_sigsys())
        caught = harmless_mask(caught);
    write_set(view, "SigCgt:", caught);
}

static void write_status(struct view *view, char *line) {
    const struct identity *identity = &view->process->identity;
    if (starts_with(line, "Uid:"))
        write_numbers(view, "Uid:", &identity->real_uid, 4, "\t");
    else if (starts_with(line, "Gid:"))
        write_numbers(view, "Gid:", &identity->real_gid, 4, "\t");
    else if (starts_with(line, "Groups:"))
        write_numbers(view, "Groups:", identity->groups, identity->group_count, " ");
    else if (starts_with(line, "CapInh:"))
        write_set(view, "CapInh:", identity->inheritable);
    else if (starts_with(line, "CapPrm:"))
        write_set(view, "CapPrm:", identity->permitted);
    else if (starts_with(line, "CapEff:"))
        write_set(view, "CapEff:", identity->effective);
    else if (starts_with(line, "CapBnd:"))
        write_set(view, "CapBnd:", identity->bounding);
    else if (starts_with(line, "CapAmb:"))
        write_set(view, "CapAmb:", identity->ambient);
    else if (starts_with(line, "SigBlk:") && view->is_own)
        write_set(view, "SigBlk:", view->signal_mask);
    else if (starts_with(line, "SigCgt:"))
        write_caught(view, line + sizeof "SigCgt:");
    else if (starts_with(line, "NoNewPrivs:"))
        write_text(view, identity->no_new_privileges ? "NoNewPrivs:\t1\n" : "NoNewPrivs:\t0\n");
    else if (starts_with(line, "Seccomp:"))
        write_text(view, view->process->has_filter ? "Seccomp:\t2\n" : "Seccomp:\t0\n");
    else if (!starts_with(line, "Seccomp_filters:")) {
        write_text(view, line);
        write_text(view, "\n");
    }
}

static long view_status(struct view *view) {
    /* Of another process only the identity is known that its program started with. */
    struct process other;
    char bytes[COMMAND_LINE_SIZE], path[PATH_SIZE], own[DESCRIPTOR_PATH_SIZE];
    struct text text = text_in(own, sizeof own);
    add(&text, "/proc/");
    add_decimal(&text, (unsigned long)kernel(__NR_getpid));
    copy_string(path, sizeof path, view->place->outside);
    view->process = current_process();
    view->is_own = is_below(path, own);
    if (!view->is_own) {
        uint64_t mask;
        bool ignores;
        long length = read_command_line(path, bytes, sizeof bytes);
        const char *process = loader_argument(bytes, length, 2);
        if (process && read_process(process, &other, &mask, &ignores))
            view->process = &other;
        else
            return -ENOSYS;
    }
    return for_each_line(view, write_status);
}

static long view_mounts(struct view *view) {
    long result = for_each_line(view, find_root_mount);
    return result ? result : for_each_line(view, write_mount);
}

static long view_maps(struct view *view) {
    return for_each_line(view, write_map);
}

static long view_command_line(struct view *view) {
    char bytes[LINE_SIZE];
    long source = kernel(__NR_openat, AT_FDCWD, view->place->outside, O_RDONLY | O_CLOEXEC);
    if (failed(source))
        return source;
    long got = kernel(__NR_read, source, bytes, sizeof bytes);
    unsigned left_out = got > 0 && starts_with(bytes, LOADER_PREFIX) ? LOADER_ARGUMENTS : 0;
    for (; got > 0; got = kernel(__NR_read, source, bytes, sizeof bytes)) {
        long start = 0;
        for (; left_out && start < got; start++)
            if (!bytes[start])
                left_out--;
        kernel(__NR_write, view->target, bytes + start, got - start);
    }
    kernel(__NR_close, source);
    return got;
}

static long view_auxiliary(struct view *view) {
    char own[DESCRIPTOR_PATH_SIZE];
    struct text text = text_in(own, sizeof own);
    add(&text, "/proc/");
    add_decimal(&text, (unsigned long)kernel(__NR_getpid));
    if (!is_below(view->place->outside, own))
        return -ENOSYS;
    kernel(__NR_write, view->target, program_auxiliary, program_auxiliary_size);
    return 0;
}

static const struct {
    const char *name;
    long (*make)(struct view *view);
} VIEWS[] = {
    {"maps", view_maps},       {"smaps", view_maps},        {"mounts", view_mounts},
    {"status", view_status},   {"mountinfo", view_mounts},  {"cmdline", view_command_line},
    {"auxv", view_auxiliary},
};

long open_proc_view(const struct place *place, int flags, uint64_t signal_mask) {
    if ((flags & O_ACCMODE) != O_RDONLY || (flags & (O_PATH | O_DIRECTORY)))
        return -ENOSYS;
    for (size_t at = 0; at < LENGTH_OF(VIEWS); at++) {
        if (!strings_are_equal(last_component(place->outside), VIEWS[at].name))
            continue;
        struct view view = {.place = place, .signal_mask = signal_mask};
        view.written = text_in(view.bytes, sizeof view.bytes);
        long target = kernel(__NR_memfd_create, VIEWS[at].name, flags & O_CLOEXEC ? MFD_CLOEXEC : 0);
        if (failed(target))
            return -ENOSYS;
        view.target = (int)target;
        long result = VIEWS[at].make(&view);
        flush(&view);
        if (result) {
            kernel(__NR_close, target);
            return result;
        }
        kernel(__NR_lseek, target, 0, 0);
        return target;
    }
    return -ENOSYS;
}
