#include "creation.h"

#include "access.h"
#include "process.h"
#include "state.h"

/* The group that new files of the folder get instead of their maker's: the folder's, where its mode says so. */
static bool find_inherited_group(const struct place *place, uint32_t *gid) {
    char folder[PATH_SIZE];
    struct stat object;
    if (owners_are_empty() || absolute_outside(place, folder))
        return false;
    size_t length = string_length(folder);
    while (length > 1 && folder[length - 1] == '/')
        folder[--length] = 0;
    keep_folder(folder);
    if (WITH_ACCESS(place, false, kernel(__NR_newfstatat, AT_FDCWD, folder, &object, 0)) || !(object.st_mode & S_ISGID))
        return false;
    *gid = owner_seen(IN_ROOT, AT_FDCWD, folder, 0, &object).gid;
    return true;
}

bool is_default_owner(struct owner owner) {
    return !owner.uid && !owner.gid && !state->start_uid && !state->start_gid;
}

void record_creation(const struct place *place, int directory, const char *outside, int flags) {
    if (place->zone != IN_ROOT)
        return;
    const struct identity *identity = &current_process()->identity;
    struct owner owner = {identity->file_uid, identity->file_gid};
    find_inherited_group(place, &owner.gid);
    struct file_key key;
    if (!is_default_owner(owner) && !file_key_at(directory, outside, flags, &key))
        record_owner(key, owner);
}
