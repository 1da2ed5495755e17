/* Walking a path component by component, as the kernel would do it after chroot(2) (path_resolution(7)). */
#include "walk.h"

#include "access.h"
#include "proc.h"
#include "process.h"
#include "state.h"

enum { LINK_LIMIT = 40 };

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
    long result; /* what the walk ended with */
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

enum step { STEP_ON, STEP_ENDED };

/* What the walk ends with, where it ends. */
static enum step end_with(struct walk *walk, long result) {
    walk->result = result;
    return STEP_ENDED;
}

/* The symbolic link that was just reached is replaced by its target, or left to the kernel. */
static enum step step_through_link(struct walk *walk, bool is_last, unsigned wanted) {
    struct place *place = walk->place;
    char target[PATH_SIZE];
    if (wanted & REFUSE_LINKS)
        return end_with(walk, -ELOOP);
    if (place->zone == IN_PROC) {
        if (!read_proc_link(place->outside, is_last, target)) {
            place->parent = walk->folder;
            return end_with(walk, leave_to_kernel(walk, is_last));
        }
    } else {
        long length = WITH_ACCESS(place, false,
                                  kernel(__NR_readlinkat, AT_FDCWD, place->outside, target, sizeof target - 1));
        if (failed(length))
            return end_with(walk, length);
        target[length] = 0;
    }
    /* A slash at the end of the path stays at its end. */
    if (is_last && place->has_trailing_slash) {
        struct text text = {target, sizeof target, string_length(target), false};
        add(&text, "/");
    }
    long result = follow_link(walk, target);
    return result ? end_with(walk, result) : STEP_ON;
}

/* Into what the component names, in the folder that was reached. */
static enum step step_down(struct walk *walk, const char *component, size_t length, bool is_last, unsigned wanted) {
    struct place *place = walk->place;
    long result = (wanted & WANT_WALK) && is_last ? know_folder(walk) : 0;
    if (result || (result = go_down(walk, component, length)))
        return end_with(walk, result);
    locate(place);
    result = look_at(place, &place->object);
    place->exists = !result;
    if (result && (result != -ENOENT || !is_last))
        return end_with(walk, result);
    bool is_link = place->exists && S_ISLNK(place->object.st_mode);
    if (is_link && (!is_last || (wanted & FOLLOW_LAST) || place->has_trailing_slash))
        return step_through_link(walk, is_last, wanted);
    if (is_last) {
        place->parent = walk->folder;
        return end_with(walk, arrive(walk));
    }
    if (!S_ISDIR(place->object.st_mode))
        return end_with(walk, -ENOTDIR);
    walk->folder = place->object;
    walk->is_folder_known = true;
    return STEP_ON;
}

/* One component of the path. */
static enum step take_step(struct walk *walk, unsigned wanted) {
    const char *component = walk->cursor, *end = component;
    while (*end && *end != '/')
        end++;
    walk->cursor = end;
    while (*walk->cursor == '/')
        walk->cursor++;
    bool is_last = !*walk->cursor;
    size_t length = (size_t)(end - component);
    long result = check_search(walk);
    if (result)
        return end_with(walk, result);
    if (length == 1 && component[0] == '.')
        return STEP_ON;
    if (length == 2 && component[0] == '.' && component[1] == '.') {
        go_up(walk);
        return STEP_ON;
    }
    walk->place->has_trailing_slash = is_last && *end == '/';
    return step_down(walk, component, length, is_last, wanted);
}

/* What is behind a link has mostly no other link in it: then nothing more is to be walked. */
static bool arrive_directly(struct walk *walk, unsigned wanted) {
    char folder[PATH_SIZE], rest[PATH_SIZE];
    if (walk->is_checked || (wanted & (WANT_WALK | REFUSE_LINKS)))
        return false;
    struct text text = text_in(rest, sizeof rest);
    add(&text, "/");
    add(&text, walk->cursor[0] == '/' ? walk->cursor + 1 : walk->cursor);
    copy_string(folder, sizeof folder, walk->place->inside);
    if (!text.is_cut && text.length > 1 && find_directly(walk->place, folder, rest, wanted))
        return true;
    copy_string(walk->place->inside, sizeof walk->place->inside, folder);
    return false;
}

long walk_to(struct place *place, const struct process *process, const char *start, const char *name,
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
        unsigned links = walk.links;
        if (take_step(&walk, wanted) == STEP_ENDED)
            return walk.result;
        if (walk.links > links && arrive_directly(&walk, wanted))
            return 0;
    }
}
