#include "access.h"

#include "state.h"

struct owner owner_seen(enum zone zone, int directory, const char *outside, int flags, const struct stat *object) {
    struct owner owner = {.uid = object->st_uid, .gid = object->st_gid};
    struct file_key key;
    if (zone == IN_ROOT) {
        bool is_recorded = owners_may_know(object->st_ino) && !file_key_at(directory, outside, flags, &key) &&
                           find_owner(key, &owner);
        return is_recorded ? owner : (struct owner){0, 0};
    }
    /* Pipes, terminals, /proc: what is this user's on the machine is the program's own. */
    const struct identity *identity = &current_process()->identity;
    if (owner.uid == outside_uid)
        owner.uid = identity->file_uid;
    if (owner.gid == outside_gid)
        owner.gid = identity->file_gid;
    return owner;
}

enum zone zone_of_descriptor(const struct stat *object) {
    return object->st_dev == state->root_device || object->st_dev == state->root_file_device ? IN_ROOT : IN_BINDING;
}

static long check_bits(const struct identity *identity, struct owner owner, unsigned mode, unsigned access) {
    unsigned bits = mode & 7;
    if (identity->file_uid == owner.uid)
        bits = mode >> 6 & 7;
    else if (is_in_group(identity, owner.gid))
        bits = mode >> 3 & 7;
    return (bits & access) == access ? 0 : -EACCES;
}

long check_modes(const struct identity *identity, const struct place *place, const struct stat *object,
                 unsigned access) {
    if (place->zone != IN_ROOT)
        return 0; /* this machine's files are guarded by this machine */
    if (has_capability(identity, CAP_DAC_OVERRIDE)) {
        bool is_executed = (access & ACCESS_EXECUTE) && !S_ISDIR(object->st_mode);
        return is_executed && !(object->st_mode & 0111) ? -EACCES : 0;
    }
    struct owner owner = owner_seen(place->zone, place->directory, place->outside, AT_SYMLINK_NOFOLLOW, object);
    return check_bits(identity, owner, object->st_mode, access);
}

long check_object(const struct place *place, unsigned access) {
    if ((access & ACCESS_WRITE) && place->is_read_only)
        return -EROFS;
    return check_modes(&current_process()->identity, place, &place->object, access);
}

/* The folder that holds the place, as a place of its own. */
static void parent_place(const struct place *place, struct place *parent) {
    copy_string(parent->inside, PATH_SIZE, place->inside);
    keep_folder(parent->inside);
    if (strings_are_equal(parent->inside, "/"))
        parent->inside[0] = 0;
    locate(parent);
}

long check_entry_change(const struct place *place) {
    if (place->is_read_only)
        return -EROFS;
    const struct identity *identity = &current_process()->identity;
    if (has_capability(identity, CAP_DAC_OVERRIDE) || !place->is_walked || !place->inside[0])
        return 0;
    struct place parent;
    parent_place(place, &parent);
    return check_modes(identity, &parent, &place->parent, ACCESS_WRITE | ACCESS_SEARCH);
}

long check_removal(const struct place *place) {
    if (place->is_mount_point)
        return -EBUSY;
    long result = check_entry_change(place);
    if (result || place->zone != IN_ROOT || !place->exists)
        return result;
    const struct identity *identity = &current_process()->identity;
    if (has_capability(identity, CAP_FOWNER) || !(place->parent.st_mode & S_ISVTX))
        return 0;
    struct owner owner = owner_seen(IN_ROOT, place->directory, place->outside, AT_SYMLINK_NOFOLLOW, &place->object);
    struct place parent;
    parent_place(place, &parent);
    struct owner folder = owner_seen(IN_ROOT, AT_FDCWD, parent.outside, 0, &place->parent);
    return identity->file_uid == owner.uid || identity->file_uid == folder.uid ? 0 : -EPERM;
}

long check_owner(const struct place *place) {
    if (place->is_read_only)
        return -EROFS;
    const struct identity *identity = &current_process()->identity;
    if (has_capability(identity, CAP_FOWNER) || place->zone != IN_ROOT || !place->exists)
        return 0;
    struct owner owner =
        owner_seen(place->zone, place->directory, place->outside, AT_SYMLINK_NOFOLLOW, &place->object);
    return identity->file_uid == owner.uid ? 0 : -EPERM;
}

static void change_mode(int descriptor, unsigned mode) {
    char path[DESCRIPTOR_PATH_SIZE];
    descriptor_path(path, descriptor);
    kernel(__NR_fchmodat, AT_FDCWD, path, mode);
}

/* Makes one file or folder of this process accessible to it, if it is not. */
static void borrow_mode(struct borrowed *borrowed, const char *outside, bool is_last) {
    struct stat object;
    if (borrowed->count == LENGTH_OF(borrowed->modes) ||
        failed(kernel(__NR_newfstatat, AT_FDCWD, outside, &object, AT_SYMLINK_NOFOLLOW)))
        return;
    bool is_folder = S_ISDIR(object.st_mode);
    unsigned needed = is_folder ? 0700 : 0600;
    if (object.st_uid != outside_uid || (object.st_mode & needed) == needed || !(is_folder || is_last) ||
        !(is_folder || S_ISREG(object.st_mode) || S_ISSOCK(object.st_mode) || S_ISFIFO(object.st_mode)))
        return;
    long descriptor = kernel(__NR_openat, AT_FDCWD, outside, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (failed(descriptor))
        return;
    unsigned at = borrowed->count++;
    borrowed->descriptors[at] = (int)descriptor;
    borrowed->modes[at] = object.st_mode & 07777;
    struct borrowed_mode *told = &state->borrowed[at];
    copy_string(told->outside, sizeof told->outside, outside);
    told->mode = borrowed->modes[at];
    __atomic_store_n(&told->is_used, true, __ATOMIC_RELEASE);
    change_mode(borrowed->descriptors[at], borrowed->modes[at] | needed);
}

/* From the root down: a folder must be entered before what is in it can be looked at. */
static void borrow_way(struct borrowed *borrowed, const struct place *place, bool needs_object) {
    char way[PATH_SIZE];
    if (absolute_outside(place, way) || !is_below(way, state->root))
        return;
    for (size_t at = string_length(state->root); way[at]; at++) {
        if (way[at] != '/')
            continue;
        way[at] = 0;
        borrow_mode(borrowed, way, false);
        way[at] = '/';
    }
    if (needs_object)
        borrow_mode(borrowed, way, true);
}

bool borrow_modes(struct borrowed *borrowed, const struct place *place, const struct place *other, bool needs_object) {
    borrowed->count = 0;
    lock(&state->borrow_lock);
    borrow_way(borrowed, place, needs_object);
    if (other)
        borrow_way(borrowed, other, needs_object);
    if (!borrowed->count)
        unlock(&state->borrow_lock);
    return borrowed->count > 0;
}

void give_modes_back(struct borrowed *borrowed) {
    while (borrowed->count) {
        unsigned at = --borrowed->count;
        change_mode(borrowed->descriptors[at], borrowed->modes[at]);
        __atomic_store_n(&state->borrowed[at].is_used, false, __ATOMIC_RELEASE);
        kernel(__NR_close, borrowed->descriptors[at]);
    }
    unlock(&state->borrow_lock);
}
