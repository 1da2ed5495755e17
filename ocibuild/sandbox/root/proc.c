/* Links of /proc that lead to files, and the arguments by which the run's processes know each other. */
#include "proc.h"

#include "process.h"

static const char *const TRANSLATED_NAMES[] = {
    "exe", "cwd", "root", "maps", "smaps", "mounts", "mountinfo", "mountstats", "status", "cmdline", "auxv",
};

static bool is_number(const char *name, size_t length) {
    for (size_t at = 0; at < length; at++)
        if (name[at] < '0' || name[at] > '9')
            return false;
    return length > 0;
}

bool is_translated_proc_name(const char *name, size_t length) {
    for (size_t at = 0; at < LENGTH_OF(TRANSLATED_NAMES); at++)
        if (string_length(TRANSLATED_NAMES[at]) == length && memcmp(name, TRANSLATED_NAMES[at], length) == 0)
            return true;
    return is_number(name, length);
}

long read_command_line(const char *outside, char *bytes, size_t size) {
    char path[PATH_SIZE];
    if (failed(copy_string(path, sizeof path, outside)))
        return -ENAMETOOLONG;
    keep_folder(path);
    struct text text = {path, sizeof path, string_length(path), false};
    add(&text, "/cmdline");
    long descriptor = kernel(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (failed(descriptor))
        return descriptor;
    long length = kernel(__NR_read, descriptor, bytes, size - 1);
    kernel(__NR_close, descriptor);
    if (!failed(length))
        bytes[length] = 0;
    return length;
}

const char *loader_argument(const char *bytes, long length, unsigned number) {
    const char *at = bytes, *end = bytes + length;
    if (length <= 0 || !starts_with(at, LOADER_PREFIX))
        return NULL;
    while (number-- && at < end)
        at += string_length(at) + 1;
    return at < end ? at : NULL;
}

/* Inside path of the program of the process whose "exe" this is. */
static bool find_executable(const char *outside, char *target) {
    char bytes[COMMAND_LINE_SIZE];
    long length = read_command_line(outside, bytes, sizeof bytes);
    const char *path = loader_argument(bytes, length, 3);
    const char *root = current_process()->root;
    if (!path || !is_below(path, root))
        return false;
    return copy_string(target, PATH_SIZE, path + string_length(root)) == 0;
}

static bool names_no_path(const char *target) {
    for (const char *at = target; *at && *at != '/'; at++)
        if (*at == ':')
            return true; /* "pipe:[1]", "anon_inode:[eventfd]" */
    return starts_with(target, "/memfd:") || starts_with(target, "/dev/zero (");
}

bool read_proc_link(const char *outside, bool is_last, char *target) {
    const char *name = last_component(outside);
    if (strings_are_equal(name, "exe"))
        return find_executable(outside, target);
    if (strings_are_equal(name, "root"))
        return copy_string(target, PATH_SIZE, "/") == 0;
    long length = kernel(__NR_readlinkat, AT_FDCWD, outside, target, PATH_SIZE - 1);
    if (failed(length))
        return false;
    target[length] = 0;
    if (target[0] != '/')
        return !names_no_path(target);
    if (is_last || names_no_path(target))
        return false;
    return inside_of(target, target);
}

long show_proc_link(const char *outside, char *target) {
    const char *name = last_component(outside);
    if (strings_are_equal(name, "root")) {
        copy_string(target, PATH_SIZE, "/");
        return 1;
    }
    long length = kernel(__NR_readlinkat, AT_FDCWD, outside, target, PATH_SIZE - 1);
    if (failed(length))
        return length;
    target[length] = 0;
    if (strings_are_equal(name, "exe"))
        find_executable(outside, target);
    else if (target[0] == '/' && !names_no_path(target))
        inside_of(target, target);
    return (long)string_length(target);
}
