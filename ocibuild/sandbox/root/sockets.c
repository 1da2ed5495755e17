/*
 * Sockets: the paths of AF_UNIX addresses, who is at the other end, and the network where the run has none.
 *
 * An address has room for 107 bytes, and an outside path is longer than an inside one. So it is written through the run's
 * short link to the root; where that is too long as well, through an open descriptor, which works but is what
 * getsockname(2) then shows.
 */
#include "access.h"
#include "calls.h"
#include "creation.h"
#include "path.h"
#include "process.h"
#include "state.h"
#include "sockets.h"
#include "trap.h"

#include <linux/fs.h>
#include <linux/in.h>
#include <linux/in6.h>

enum {
    FAMILY_UNIX = 1,
    FAMILY_INET = 2,
    FAMILY_INET6 = 10,
    PEER_CREDENTIALS = 17, /* SO_PEERCRED */
    ADDRESS_SIZE = sizeof(struct sockaddr_un) + 1, /* the kernel adds an ending zero where none was */
};

bool is_path_address(const struct sockaddr_un *address, long size) {
    return size > PATH_OFFSET && size <= (long)sizeof *address && is_readable(address, (size_t)size) &&
           address->sun_family == FAMILY_UNIX && address->sun_path[0];
}

static bool is_loopback(const void *address, long size) {
    const struct sockaddr_in *inet = address;
    const struct sockaddr_in6 *inet6 = address;
    if (inet->sin_family == FAMILY_INET && size >= (long)sizeof *inet) {
        uint8_t first = *(const uint8_t *)&inet->sin_addr;
        return first == 127 || first == 0;
    }
    if (inet->sin_family == FAMILY_INET6 && size >= (long)sizeof *inet6 - 4) {
        const uint8_t *bytes = inet6->sin6_addr.s6_addr;
        for (unsigned at = 0; at < 15; at++)
            if (bytes[at])
                return false;
        return bytes[15] <= 1; /* "::" and "::1" */
    }
    return true;
}

/* There is this machine's own loopback, as in a network name space. */
bool is_unreachable(const void *address, long size) {
    return !(state->flags & RUN_HAS_NETWORK) && size >= 2 && is_readable(address, (size_t)(size < 28 ? size : 28)) &&
           !is_loopback(address, size);
}

static bool write_address(struct sockaddr_un *address, const char *start, const char *rest, long *size) {
    struct text text = text_in(address->sun_path, sizeof address->sun_path);
    address->sun_family = FAMILY_UNIX;
    add(&text, start);
    add(&text, rest);
    *size = (long)(PATH_OFFSET + text.length + 1);
    return !text.is_cut;
}

/* The outside address of a place; false where it is too long for one. */
static bool address_of(const struct place *place, struct sockaddr_un *address, long *size) {
    bool is_in_root = place->zone == IN_ROOT && is_below(place->outside, state->root);
    if (is_in_root && state->short_root[0] &&
        write_address(address, state->short_root, place->outside + string_length(state->root), size))
        return true;
    return write_address(address, place->outside, "", size);
}

static long find_socket(const struct sockaddr_un *given, long given_size, unsigned wanted, struct place *place) {
    char path[sizeof given->sun_path + 1];
    size_t length = (size_t)given_size - PATH_OFFSET;
    memcpy(path, given->sun_path, length);
    path[length] = 0;
    return find_place(place, AT_FDCWD, path, wanted | WANT_OBJECT | WANT_WALK);
}

long translate_peer(const struct sockaddr_un *given, long given_size, struct sockaddr_un *address, long *size,
                    int *descriptor) {
    struct place place;
    long result = find_socket(given, given_size, FOLLOW_LAST, &place);
    if (!result)
        result = place.exists ? check_object(&place, ACCESS_WRITE) : -ENOENT;
    if (result || address_of(&place, address, size))
        return result;
    long file = kernel(__NR_openat, AT_FDCWD, place.outside, O_PATH | O_CLOEXEC);
    if (failed(file))
        return file;
    *descriptor = (int)file;
    char path[DESCRIPTOR_PATH_SIZE];
    descriptor_path(path, *descriptor);
    write_address(address, path, "", size);
    return 0;
}

/* A socket whose outside path is too long for an address gets a short name in its folder first, and then its own. */
static long bind_with_long_name(long socket, const struct place *place) {
    struct sockaddr_un address;
    char folder[PATH_SIZE], path[DESCRIPTOR_PATH_SIZE], name[32];
    long size;
    copy_string(folder, sizeof folder, place->outside);
    keep_folder(folder);
    long descriptor = kernel(__NR_openat, AT_FDCWD, folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (failed(descriptor))
        return descriptor;
    descriptor_path(path, (int)descriptor);
    struct text text = text_in(name, sizeof name);
    add(&text, "/.socket-");
    add_decimal(&text, (unsigned)own_thread());
    write_address(&address, path, name, &size);
    long result = kernel(__NR_bind, socket, &address, size);
    if (!result)
        result = kernel(__NR_renameat2, descriptor, name + 1, AT_FDCWD, place->outside, RENAME_NOREPLACE);
    kernel(__NR_close, descriptor);
    return result;
}

/* An audit record is refused by the kernel where this user is not root, but not by one that has no audit. */
long call_socket(struct call *call) {
    enum { FAMILY_NETLINK = 16, AUDIT = 9 };
    if ((int)call->arguments[0] == FAMILY_NETLINK && (int)call->arguments[2] == AUDIT)
        return -EPROTONOSUPPORT;
    return make_call(call);
}

long call_bind(struct call *call) {
    const struct sockaddr_un *given = (const void *)call->arguments[1];
    long given_size = (int)call->arguments[2], size;
    struct sockaddr_un address;
    struct place place;
    if (!is_path_address(given, given_size))
        return make_call(call);
    long result = find_socket(given, given_size, 0, &place);
    if (result)
        return result;
    if (place.exists)
        return -EADDRINUSE;
    if ((result = check_entry_change(&place)))
        return result;
    if (address_of(&place, &address, &size))
        result = WITH_ACCESS(&place, false, kernel(__NR_bind, call->arguments[0], &address, size));
    else
        result = WITH_ACCESS(&place, false, bind_with_long_name((long)call->arguments[0], &place));
    if (!result)
        record_creation(&place, place.directory, place.outside, AT_SYMLINK_NOFOLLOW);
    return result;
}

/* connect and sendto have the address at different arguments. */
static long go_with_address(struct call *call, unsigned argument) {
    const struct sockaddr_un *given = (const void *)call->arguments[argument];
    long given_size = (int)call->arguments[argument + 1], size;
    if (given && is_unreachable(given, given_size))
        return -ENETUNREACH;
    struct gate *gate = take_gate(call);
    unsigned long arguments[6];
    memcpy(arguments, call->arguments, sizeof arguments);
    if (given && is_path_address(given, given_size)) {
        struct sockaddr_un *address = (struct sockaddr_un *)gate->space;
        long result = translate_peer(given, given_size, address, &size, &gate->descriptor);
        if (result) {
            give_up_gate(gate);
            return result;
        }
        arguments[argument] = (unsigned long)address;
        arguments[argument + 1] = (unsigned long)size;
    }
    return go_through(call, gate, arguments);
}

long call_connect(struct call *call) {
    return go_with_address(call, 1);
}

long call_sendto(struct call *call) {
    return go_with_address(call, 4);
}

void show_address(struct sockaddr_un *address, int *size, int room) {
    char outside[ADDRESS_SIZE + 1], inside[PATH_SIZE];
    int length = *size - PATH_OFFSET;
    bool is_whole = *size <= room;
    if (length <= 0 || !is_whole || address->sun_family != FAMILY_UNIX || !address->sun_path[0] ||
        length > ADDRESS_SIZE)
        return;
    memcpy(outside, address->sun_path, (size_t)length);
    outside[length] = 0;
    if (!inside_of(outside, inside))
        return;
    size_t inside_length = string_length(inside) + 1;
    if (inside_length > (size_t)length)
        return; /* cannot be: an inside path is the shorter one */
    memcpy(address->sun_path, inside, inside_length);
    *size = (int)(PATH_OFFSET + inside_length);
}

/* getsockname, getpeername */
long call_get_address(struct call *call) {
    int *size = (int *)call->arguments[2];
    if (!is_readable(size, sizeof *size))
        return -EFAULT;
    int room = *size;
    long result = make_call(call);
    if (!result)
        show_address((struct sockaddr_un *)call->arguments[1], size, room);
    return result;
}

int *kept_room(struct gate *gate) {
    return (int *)gate->space;
}

static long finish_address(struct gate *gate, unsigned argument, long result) {
    int *size = (int *)gate->arguments[argument + 1];
    if (!failed(result) && is_readable(size, sizeof *size))
        show_address((struct sockaddr_un *)gate->arguments[argument], size, *kept_room(gate));
    return result;
}

static long finish_accept(struct gate *gate, long result) {
    return finish_address(gate, 1, result);
}

static long finish_recvfrom(struct gate *gate, long result) {
    return finish_address(gate, 4, result);
}

static long wait_for_address(struct call *call, unsigned argument, long (*finish)(struct gate *, long)) {
    int *size = (int *)call->arguments[argument + 1];
    struct gate *gate = take_gate(call);
    if (call->arguments[argument] && is_readable(size, sizeof *size)) {
        *kept_room(gate) = *size;
        gate->finish = finish;
    }
    return go_through(call, gate, call->arguments);
}

long call_accept(struct call *call) {
    return wait_for_address(call, 1, finish_accept);
}

long call_recvfrom(struct call *call) {
    return wait_for_address(call, 4, finish_recvfrom);
}

void show_credentials(struct credentials *credentials) {
    const struct identity *identity = &current_process()->identity;
    if (credentials->uid == outside_uid)
        credentials->uid = identity->effective_uid;
    if (credentials->gid == outside_gid)
        credentials->gid = identity->effective_gid;
}

/* SO_PEERCRED: who is at the other end is the same user of this machine; to the program it is one like itself. */
long call_getsockopt(struct call *call) {
    long result = make_call(call);
    bool is_asked = (int)call->arguments[1] == SOCKET_LEVEL && (int)call->arguments[2] == PEER_CREDENTIALS;
    if (result || !is_asked || *(int *)call->arguments[4] < (int)sizeof(struct credentials))
        return result;
    struct credentials *credentials = (struct credentials *)call->arguments[3];
    show_credentials(credentials);
    return 0;
}
