/*
 * Extended attributes. Those that only a real root may set (security.*, trusted.*) are recorded; all others are the file
 * system's. Each call exists for a path, for a link and for a descriptor, with the same arguments otherwise.
 */
#include "access.h"
#include "calls.h"
#include "owners.h"
#include "path.h"
#include "process.h"

enum { NAME_SIZE = 256 /* XATTR_NAME_MAX, and its zero */, VALUE_SIZE = 4096 };

/* Finds the file of the call's first argument. `flags` are for file_key_at. */
static long find_file(const struct call *call, long of_path, long of_link, struct place *place, int *flags) {
    if (call->number == of_path || call->number == of_link) {
        *flags = AT_SYMLINK_NOFOLLOW;
        unsigned follow = call->number == of_path ? FOLLOW_LAST : 0;
        return find_place(place, AT_FDCWD, (const char *)call->arguments[0], follow | WANT_OBJECT);
    }
    *flags = AT_EMPTY_PATH;
    return find_descriptor(place, (int)call->arguments[0]);
}

/* The call with the outside path in place of the program's own. */
static long make_call_at(struct call *call, const struct place *place, int flags) {
    if (!(flags & AT_EMPTY_PATH))
        call->arguments[0] = (unsigned long)place->outside;
    return WITH_ACCESS(place, true, make_call(call));
}

static bool is_of_root(const char *name) {
    return starts_with(name, "security.") || starts_with(name, "trusted.");
}

static long check_change(const struct place *place, const char *name) {
    const struct identity *identity = &current_process()->identity;
    if (place->is_read_only)
        return -EROFS;
    if (is_of_root(name))
        return has_capability(identity, CAP_SETFCAP) ? 0 : -EPERM;
    return check_object(place, ACCESS_WRITE);
}

long call_set_attribute(struct call *call) {
    struct place place;
    struct file_key key;
    char name[NAME_SIZE], value[VALUE_SIZE];
    int flags;
    size_t size = call->arguments[3];
    long result = find_file(call, __NR_setxattr, __NR_lsetxattr, &place, &flags);
    if (result || (result = fetch_string(name, sizeof name, (const char *)call->arguments[1])) < 0)
        return result == -ENAMETOOLONG ? -ERANGE : result;
    if (place.exists && (result = check_change(&place, name)))
        return result;
    if (!place.exists || place.zone != IN_ROOT || !is_of_root(name))
        return make_call_at(call, &place, flags);
    if (size > sizeof value)
        return -ENOSPC;
    if (size && !is_readable((void *)call->arguments[2], size))
        return -EFAULT;
    memcpy(value, (void *)call->arguments[2], size);
    result = file_key_at(place.directory, place.outside, flags, &key);
    return result ? result : record_attribute(key, name, value, size, (int)call->arguments[4]);
}

long call_get_attribute(struct call *call) {
    struct place place;
    struct file_key key;
    char name[NAME_SIZE], value[VALUE_SIZE];
    int flags;
    size_t size = call->arguments[3];
    long result = find_file(call, __NR_getxattr, __NR_lgetxattr, &place, &flags);
    if (result || (result = fetch_string(name, sizeof name, (const char *)call->arguments[1])) < 0)
        return result == -ENAMETOOLONG ? -ERANGE : result;
    bool may_be_recorded = place.exists && is_of_root(name) && !attributes_are_empty();
    if (may_be_recorded && !file_key_at(place.directory, place.outside, flags, &key)) {
        result = find_attribute(key, name, value, size < sizeof value ? size : sizeof value);
        if (result > 0 && size) {
            if (!is_readable((void *)call->arguments[2], (size_t)result))
                return -EFAULT;
            memcpy((void *)call->arguments[2], value, (size_t)result);
        }
        if (result != -ENODATA)
            return result;
    }
    return make_call_at(call, &place, flags);
}

long call_list_attributes(struct call *call) {
    struct place place;
    struct file_key key;
    int flags;
    char *list = (char *)call->arguments[1];
    size_t size = call->arguments[2];
    long result = find_file(call, __NR_listxattr, __NR_llistxattr, &place, &flags);
    if (result)
        return result;
    result = make_call_at(call, &place, flags);
    if (failed(result) || attributes_are_empty() || file_key_at(place.directory, place.outside, flags, &key))
        return result;
    if (size && !is_readable(list, size))
        return -EFAULT;
    return add_attribute_names(key, list, size, (size_t)result);
}

long call_remove_attribute(struct call *call) {
    struct place place;
    struct file_key key;
    char name[NAME_SIZE];
    int flags;
    long result = find_file(call, __NR_removexattr, __NR_lremovexattr, &place, &flags);
    if (result || (result = fetch_string(name, sizeof name, (const char *)call->arguments[1])) < 0)
        return result == -ENAMETOOLONG ? -ERANGE : result;
    if (place.exists && (result = check_change(&place, name)))
        return result;
    if (is_of_root(name) && place.exists && !file_key_at(place.directory, place.outside, flags, &key))
        return remove_attribute(key, name);
    return make_call_at(call, &place, flags);
}
