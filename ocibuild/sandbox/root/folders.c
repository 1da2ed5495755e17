/* System calls about where the process is: its working folder and its root. */
#include "access.h"
#include "arguments.h"
#include "process.h"

static long check_folder(const struct place *place) {
    if (!place->exists)
        return -ENOENT;
    if (!S_ISDIR(place->object.st_mode))
        return -ENOTDIR;
    return check_object(place, ACCESS_SEARCH);
}

long call_chdir(struct call *call) {
    struct place place;
    long result = find_place(&place, AT_FDCWD, PATH_ARGUMENT(call, 0), FOLLOW_LAST | WANT_OBJECT);
    if (result || (result = check_folder(&place)))
        return result;
    return WITH_ACCESS(&place, true, kernel(__NR_chdir, place.outside));
}

long call_fchdir(struct call *call) {
    struct place place;
    long result = make_call(call);
    if (result != -EACCES)
        return result;
    place = (struct place){.directory = AT_FDCWD};
    if (descriptor_outside((int)call->arguments[0], place.outside))
        return result;
    return WITH_ACCESS(&place, true, kernel(__NR_fchdir, call->arguments[0]));
}

long call_getcwd(struct call *call) {
    char outside[PATH_SIZE], inside[PATH_SIZE];
    char *to = (char *)call->arguments[0];
    size_t size = call->arguments[1];
    long result = kernel(__NR_getcwd, outside, sizeof outside);
    if (failed(result))
        return result;
    if (!inside_of(outside, inside)) {
        struct text text = text_in(inside, sizeof inside);
        add(&text, "(unreachable)");
        add(&text, outside);
    }
    size_t length = string_length(inside) + 1;
    if (length > size)
        return -ERANGE;
    if (!is_readable(to, length))
        return -EFAULT;
    memcpy(to, inside, length);
    return (long)length;
}

long call_chroot(struct call *call) {
    struct place place;
    long result = find_place(&place, AT_FDCWD, PATH_ARGUMENT(call, 0), FOLLOW_LAST | WANT_OBJECT | WANT_WALK);
    if (result || (result = check_folder(&place)))
        return result;
    struct process *process = process_to_change();
    if (!has_capability(&process->identity, CAP_SYS_CHROOT))
        return -EPERM;
    return copy_string(process->root, sizeof process->root, place.inside);
}
