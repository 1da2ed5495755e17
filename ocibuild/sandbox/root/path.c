/*
 * Resolving paths. Three ways, the cheap ones first:
 *
 * 1. The kernel tells that an absolute path has no symbolic link on its way (openat2(2), RESOLVE_NO_SYMLINKS): the root's
 *    own path is put before it.
 * 2. The same for a path relative to a folder, that stays below it (RESOLVE_BENEATH): it needs no change at all.
 * 3. The walk: component by component, as the kernel would do it after chroot(2). It is needed where there are links, "..",
 *    files of this machine, and for everybody but root, since then each folder on the way must be allowed by its
 *    *recorded* owner, which the kernel does not know.
 */
#include "path.h"

#include "access.h"
#include "proc.h"
#include "process.h"
#include "state.h"
#include "walk.h"

#include <linux/openat2.h>

/* Not there before Linux 5.6, and refused by old profiles of container engines. */
static bool has_openat2 = true;

/* Whether a component of the path is "." or "..", or empty but for a slash at the end. */
static bool is_irregular(const char *path) {
    for (; *path; path++) {
        if (path[0] == '/' && path[1] == '/')
            return true;
        bool starts = path[0] == '/' && path[1] == '.';
        if (starts && (path[2] == '/' || path[2] == 0 || (path[2] == '.' && (path[3] == '/' || path[3] == 0))))
            return true;
    }
    return false;
}

/*
 * Asks the kernel for the path as it stands. True where the answer is final: the file is there (and no symbolic link on the
 * way), or it is not there.
 */
static bool ask_kernel(struct place *place, uint64_t resolve, unsigned wanted) {
    struct open_how how = {
        .flags = O_PATH | O_CLOEXEC | (wanted & FOLLOW_LAST ? 0 : O_NOFOLLOW),
        .resolve = RESOLVE_NO_SYMLINKS | resolve,
    };
    long descriptor = kernel(__NR_openat2, place->directory, place->outside, &how, sizeof how);
    if (descriptor == -ENOSYS || descriptor == -EPERM)
        has_openat2 = false;
    if (descriptor == -ENOENT) {
        place->exists = false;
        return true;
    }
    if (failed(descriptor))
        return false;
    place->exists = true;
    if (wanted & WANT_OBJECT)
        kernel(__NR_newfstatat, descriptor, "", &place->object, AT_EMPTY_PATH);
    kernel(__NR_close, descriptor);
    return true;
}

bool find_directly(struct place *place, const char *folder, const char *name, unsigned wanted) {
    if (!has_openat2 || is_irregular(name))
        return false;
    struct text text = text_in(place->inside, sizeof place->inside);
    add(&text, folder);
    add(&text, name);
    if (text.is_cut)
        return false;
    place->has_trailing_slash = name[string_length(name) - 1] == '/';
    if (place->has_trailing_slash)
        place->inside[--text.length] = 0;
    locate(place);
    if (place->zone == IN_PROC)
        return false;
    if (place->has_trailing_slash) {
        text = (struct text){place->outside, PATH_SIZE, string_length(place->outside), false};
        add(&text, "/");
    }
    return ask_kernel(place, 0, wanted);
}

static bool is_component(const char *component, size_t length, const char *name) {
    return string_length(name) == length && memcmp(component, name, length) == 0;
}

/*
 * A relative path may lead into a binding only through the last component of the binding's own path; and below /proc some
 * names are links or files that need translating. Both are rare enough to let the walk decide.
 */
static bool is_special_component(const char *component, size_t length) {
    if (is_translated_proc_name(component, length))
        return true;
    for (uint32_t at = 0; at < state->binding_count; at++)
        if (is_component(component, length, last_component(binding_inside(&state->bindings[at]))))
            return true;
    return false;
}

static bool has_special_component(const char *path) {
    while (*path) {
        size_t length = 0;
        while (path[length] && path[length] != '/')
            length++;
        if (is_special_component(path, length))
            return true;
        path += length;
        while (*path == '/')
            path++;
    }
    return false;
}

/* That the working folder is in a folder that may not be written to is only found by the walk. */
static bool has_read_only_folder(void) {
    const uint32_t both = BINDING_IS_READ_ONLY | BINDING_IS_FOLDER;
    for (uint32_t at = 0; at < state->binding_count; at++)
        if ((state->bindings[at].flags & both) == both)
            return true;
    return false;
}

static bool find_relative_directly(struct place *place, int directory, const char *name, unsigned wanted) {
    if (!has_openat2 || has_special_component(name) || has_read_only_folder())
        return false;
    if (failed(copy_string(place->outside, sizeof place->outside, name)))
        return false;
    place->directory = directory;
    place->inside[0] = 0;
    place->zone = IN_ROOT;
    place->is_read_only = place->is_mount_point = false;
    place->has_trailing_slash = name[string_length(name) - 1] == '/';
    return ask_kernel(place, RESOLVE_BENEATH, wanted);
}

static long find_copied(struct place *place, int directory, const char *name, unsigned wanted) {
    const struct process *process = current_process();
    bool must_walk = (wanted & WANT_WALK) || !has_capability(&process->identity, CAP_DAC_OVERRIDE);
    place->is_walked = false;
    place->has_trailing_slash = false;
    if (!*name)
        return -ENOENT;
    if (*name == '/') {
        if (!must_walk && find_directly(place, process->root, name, wanted))
            return 0;
        return walk_to(place, process, "", name, wanted);
    }
    if (!must_walk && find_relative_directly(place, directory, name, wanted))
        return 0;
    char start[PATH_SIZE];
    long result = descriptor_outside(directory, start);
    if (result)
        return result;
    if (!first_inside_of(start, start)) {
        /* A folder of this machine that the program was given open: what lies below it is left to the kernel. */
        place->directory = directory;
        place->inside[0] = 0;
        place->zone = IN_BINDING;
        place->is_read_only = place->is_mount_point = false;
        int flags = wanted & FOLLOW_LAST ? 0 : AT_SYMLINK_NOFOLLOW;
        place->exists = !failed(kernel(__NR_newfstatat, directory, name, &place->object, flags));
        return copy_string(place->outside, sizeof place->outside, name);
    }
    return walk_to(place, process, start, name, wanted);
}

long find_place(struct place *place, int directory, const char *name, unsigned wanted) {
    char copy[PATH_SIZE];
    long length = fetch_string(copy, sizeof copy, name);
    return length < 0 ? length : find_copied(place, directory, copy, wanted);
}

long find_own_path(struct place *place, const char *inside, unsigned wanted) {
    return find_copied(place, AT_FDCWD, inside, wanted);
}

long find_descriptor(struct place *place, int descriptor) {
    *place = (struct place){.directory = descriptor, .exists = true};
    long result = kernel(__NR_newfstatat, descriptor, "", &place->object, AT_EMPTY_PATH);
    place->zone = zone_of_descriptor(&place->object);
    return result;
}
