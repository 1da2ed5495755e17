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

#include <linux/openat2.h>

enum { LINK_LIMIT = 40 /* path_resolution(7) */ };

/* Not there before Linux 5.6, and refused by old profiles of container engines. */
static bool has_openat2 = true;

void keep_folder(char *path) {
    size_t length = string_length(path);
    while (length > 0 && path[length - 1] != '/')
        length--;
    while (length > 1 && path[length - 1] == '/')
        length--;
    path[length] = 0;
    if (!length)
        copy_string(path, 2, "/");
}

void locate(struct place *place) {
    const char *inside = place->inside;
    const struct binding *best = NULL;
    size_t best_length = 0;
    for (uint32_t at = 0; at < state->binding_count; at++) {
        const char *target = binding_inside(&state->bindings[at]);
        size_t length = string_length(target);
        if (length > best_length && is_below(inside, target)) {
            best = &state->bindings[at];
            best_length = length;
        }
    }
    struct text text = text_in(place->outside, sizeof place->outside);
    add(&text, best ? binding_outside(best) : state->root);
    add(&text, inside + best_length);
    if (text.is_cut)
        place->outside[0] = 0; /* the kernel says ENOENT; nothing so long can exist below the root */
    place->directory = AT_FDCWD;
    place->is_read_only = best && (best->flags & BINDING_IS_READ_ONLY);
    place->is_mount_point = best && !inside[best_length];
    if (!best)
        place->zone = IN_ROOT;
    else
        place->zone = is_below(place->outside, "/proc") ? IN_PROC : IN_BINDING;
}

/* The part of the path that lies below the folder, or NULL. */
static const char *rest_below(const char *path, const char *folder) {
    return folder[0] && is_below(path, folder) ? path + string_length(folder) : NULL;
}

bool first_inside_of(const char *outside, char *inside) {
    char found[PATH_SIZE];
    struct text text = text_in(found, sizeof found);
    const char *rest = rest_below(outside, state->root);
    if (!rest)
        rest = rest_below(outside, state->short_root);
    size_t best_length = 0;
    if (!rest) {
        for (uint32_t at = 0; at < state->binding_count; at++) {
            const struct binding *binding = &state->bindings[at];
            size_t length = string_length(binding_outside(binding));
            if (length > best_length && is_below(outside, binding_outside(binding))) {
                best_length = length;
                rest = outside + length;
                text = text_in(found, sizeof found);
                add(&text, binding_inside(binding));
            }
        }
    }
    if (!rest)
        return false;
    add(&text, rest);
    return !text.is_cut && copy_string(inside, PATH_SIZE, found) == 0;
}

bool inside_of(const char *outside, char *inside) {
    char first[PATH_SIZE];
    if (!first_inside_of(outside, first))
        return false;
    const char *root = current_process()->root;
    if (!is_below(first, root))
        return false;
    const char *seen = first + string_length(root);
    return copy_string(inside, PATH_SIZE, *seen ? seen : "/") == 0;
}

long descriptor_outside(int directory, char *outside) {
    if (directory == AT_FDCWD) {
        long length = kernel(__NR_getcwd, outside, PATH_SIZE);
        return failed(length) ? length : 0;
    }
    char path[DESCRIPTOR_PATH_SIZE];
    descriptor_path(path, directory);
    long length = kernel(__NR_readlinkat, AT_FDCWD, path, outside, PATH_SIZE - 1);
    if (failed(length))
        return length == -ENOENT ? -EBADF : length;
    outside[length] = 0;
    return outside[0] == '/' ? 0 : -ENOTDIR;
}

long absolute_outside(const struct place *place, char *outside) {
    if (place->outside[0] == '/')
        return copy_string(outside, PATH_SIZE, place->outside);
    long result = descriptor_outside(place->directory, outside);
    if (result)
        return result;
    struct text text = {.bytes = outside, .size = PATH_SIZE, .length = string_length(outside)};
    add(&text, "/");
    add(&text, place->outside);
    return text.is_cut ? -ENAMETOOLONG : 0;
}

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

static bool find_absolute_directly(struct place *place, const struct process *process, const char *name,
                                   unsigned wanted) {
    if (!has_openat2 || is_irregular(name))
        return false;
    struct text text = text_in(place->inside, sizeof place->inside);
    add(&text, process->root);
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

/* The state of a walk. `place->inside` is the folder that was reached, and grows. */
struct walk {
    struct place *place;
    const struct process *process;
    bool is_checked;       /* the process is not root: each folder must allow the search */
    bool is_folder_known;  /* `folder` is of place->inside */
    struct stat folder;
    unsigned links;
    char pending[2 * PATH_SIZE]; /* what is still to be walked */
    const char *cursor;
};

/* A folder that is not in the root but must seem to be, since a binding lies below it. */
static bool leads_to_binding(const char *inside) {
    for (uint32_t at = 0; at < state->binding_count; at++) {
        const char *target = binding_inside(&state->bindings[at]);
        if (is_below(target, inside) && !strings_are_equal(target, inside))
            return true;
    }
    return false;
}

static long look_at(const struct place *place, struct stat *object) {
    long result = WITH_ACCESS(place, false, kernel(__NR_newfstatat, AT_FDCWD, place->outside, object, AT_SYMLINK_NOFOLLOW));
    if (result == -ENOENT && leads_to_binding(place->inside)) {
        *object = (struct stat){.st_mode = S_IFDIR | 0755, .st_nlink = 2};
        return 0;
    }
    return result;
}

static long know_folder(struct walk *walk) {
    if (walk->is_folder_known)
        return 0;
    locate(walk->place);
    long result = look_at(walk->place, &walk->folder);
    if (result)
        return result;
    walk->is_folder_known = true;
    return S_ISDIR(walk->folder.st_mode) ? 0 : -ENOTDIR;
}

static long check_search(struct walk *walk) {
    if (!walk->is_checked)
        return 0;
    long result = know_folder(walk);
    if (result)
        return result;
    locate(walk->place);
    return check_modes(&walk->process->identity, walk->place, &walk->folder, ACCESS_SEARCH);
}

static void go_up(struct walk *walk) {
    char *inside = walk->place->inside;
    if (strings_are_equal(inside, walk->process->root))
        return;
    size_t length = string_length(inside);
    while (length > 0 && inside[--length] != '/')
        ;
    inside[length] = 0;
    walk->is_folder_known = false;
}

static long go_down(struct walk *walk, const char *component, size_t length) {
    struct text text = {walk->place->inside, PATH_SIZE, string_length(walk->place->inside), false};
    add(&text, "/");
    add_bytes(&text, component, length);
    return text.is_cut ? -ENAMETOOLONG : 0;
}

/* The link at place->inside is replaced by its target: the walk goes on there. */
static long follow_link(struct walk *walk, const char *target) {
    if (++walk->links > LINK_LIMIT)
        return -ELOOP;
    char *inside = walk->place->inside;
    size_t rest = string_length(walk->cursor), length = string_length(target);
    if (length + 1 + rest + 1 > sizeof walk->pending)
        return -ENAMETOOLONG;
    memmove(walk->pending + length + 1, walk->cursor, rest + 1);
    memcpy(walk->pending, target, length);
    walk->pending[length] = rest ? '/' : 0;
    walk->cursor = walk->pending;
    if (target[0] == '/')
        copy_string(inside, PATH_SIZE, walk->process->root);
    else
        inside[string_length(inside) - string_length(last_component(inside)) - 1] = 0;
    walk->is_folder_known = false;
    return 0;
}

/* A link of /proc that only the kernel can follow (a pipe, a deleted file, an open file): the path is left as it is. */
static long leave_to_kernel(struct walk *walk, bool is_last) {
    struct place *place = walk->place;
    if (!is_last) {
        struct text text = {place->outside, PATH_SIZE, string_length(place->outside), false};
        add(&text, "/");
        add(&text, walk->cursor);
        if (text.is_cut)
            return -ENAMETOOLONG;
    }
    place->exists = !failed(kernel(__NR_newfstatat, AT_FDCWD, place->outside, &place->object, 0));
    place->is_walked = true;
    return 0;
}

static long arrive(struct walk *walk) {
    struct place *place = walk->place;
    place->is_walked = true;
    if (place->has_trailing_slash) {
        struct text text = {place->outside, PATH_SIZE, string_length(place->outside), false};
        add(&text, "/");
    }
    return 0;
}

/* The path ends in a folder that is already known: "/", ".", "..". */
static long arrive_at_folder(struct walk *walk) {
    struct place *place = walk->place;
    long result = know_folder(walk);
    if (result)
        return result;
    locate(place);
    place->object = place->parent = walk->folder;
    place->exists = true;
    return arrive(walk);
}

enum step { STEP_FAILED, STEP_ON, STEP_ARRIVED };

/* One component of the path. `result` is what the walk ends with, where it ends. */
static enum step take_step(struct walk *walk, unsigned wanted, long *result) {
    struct place *place = walk->place;
    const char *component = walk->cursor;
    const char *end = component;
    while (*end && *end != '/')
        end++;
    const char *next = end;
    while (*next == '/')
        next++;
    bool is_last = !*next;
    size_t length = (size_t)(end - component);
    walk->cursor = next;
    if ((*result = check_search(walk)))
        return STEP_FAILED;
    if (is_component(component, length, "."))
        return STEP_ON;
    if (is_component(component, length, "..")) {
        go_up(walk);
        return STEP_ON;
    }
    if ((wanted & WANT_WALK) && is_last && (*result = know_folder(walk)))
        return STEP_FAILED;
    if ((*result = go_down(walk, component, length)))
        return STEP_FAILED;
    locate(place);
    place->has_trailing_slash = is_last && *end == '/';
    *result = look_at(place, &place->object);
    place->exists = !*result;
    if (*result) {
        if (*result != -ENOENT || !is_last)
            return STEP_FAILED;
        place->parent = walk->folder;
        *result = arrive(walk);
        return STEP_ARRIVED;
    }
    if (S_ISLNK(place->object.st_mode) && (!is_last || (wanted & FOLLOW_LAST) || place->has_trailing_slash)) {
        char target[PATH_SIZE];
        if (wanted & REFUSE_LINKS) {
            *result = -ELOOP;
            return STEP_FAILED;
        }
        bool is_left = place->zone == IN_PROC && !read_proc_link(place->outside, is_last, target);
        if (is_left) {
            place->parent = walk->folder;
            *result = leave_to_kernel(walk, is_last);
            return STEP_ARRIVED;
        }
        if (place->zone != IN_PROC) {
            long got = WITH_ACCESS(place, false, kernel(__NR_readlinkat, AT_FDCWD, place->outside, target, PATH_SIZE - 1));
            if (failed(got)) {
                *result = got;
                return STEP_FAILED;
            }
            target[got] = 0;
        }
        /* The slash at the end must stay with the target. */
        if (is_last && place->has_trailing_slash) {
            struct text text = {target, PATH_SIZE, string_length(target), false};
            add(&text, "/");
        }
        *result = follow_link(walk, target);
        return *result ? STEP_FAILED : STEP_ON;
    }
    if (is_last) {
        place->parent = walk->folder;
        *result = arrive(walk);
        return STEP_ARRIVED;
    }
    if (!S_ISDIR(place->object.st_mode)) {
        *result = -ENOTDIR;
        return STEP_FAILED;
    }
    walk->folder = place->object;
    walk->is_folder_known = true;
    return STEP_ON;
}

/* `start` is the inside folder that relative paths start from. */
static long walk_to(struct place *place, const struct process *process, const char *start, const char *name,
                    unsigned wanted) {
    struct walk walk = {
        .place = place,
        .process = process,
        .is_checked = !has_capability(&process->identity, CAP_DAC_OVERRIDE),
    };
    walk.cursor = walk.pending;
    copy_string(place->inside, PATH_SIZE, name[0] == '/' ? process->root : start);
    long result = copy_string(walk.pending, sizeof walk.pending, name);
    if (result)
        return result;
    for (;;) {
        while (*walk.cursor == '/')
            walk.cursor++;
        if (!*walk.cursor)
            return arrive_at_folder(&walk);
        switch (take_step(&walk, wanted, &result)) {
        case STEP_ON:
            break;
        case STEP_FAILED:
        case STEP_ARRIVED:
            return result;
        }
    }
}

static long find_copied(struct place *place, int directory, const char *name, unsigned wanted) {
    const struct process *process = current_process();
    bool must_walk = (wanted & WANT_WALK) || !has_capability(&process->identity, CAP_DAC_OVERRIDE);
    place->is_walked = false;
    place->has_trailing_slash = false;
    if (!*name)
        return -ENOENT;
    if (*name == '/') {
        if (!must_walk && find_absolute_directly(place, process, name, wanted))
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
