/* Where inside paths lie, and what outside paths are called inside: no file is looked at here. */
#include "path.h"
#include "process.h"
#include "state.h"

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
