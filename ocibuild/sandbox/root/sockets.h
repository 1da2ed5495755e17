/* What the calls on sockets have in common. */
#ifndef OCIBUILD_ROOT_SOCKETS_H
#define OCIBUILD_ROOT_SOCKETS_H

#include "base.h"
#include "trap.h"

#include <linux/un.h>

enum {
    SOCKET_LEVEL = 1, /* SOL_SOCKET */
    PATH_OFFSET = offsetof(struct sockaddr_un, sun_path),
};

/* Who is at the other end of a socket, or sent a message (struct ucred). */
struct credentials {
    int process;
    uint32_t uid;
    uint32_t gid;
};
/* This user's ids become the program's own. */
void show_credentials(struct credentials *credentials);

/* Whether it is an address of AF_UNIX with a path. */
bool is_path_address(const struct sockaddr_un *address, long size);
/* Whether the run has no network, and the address is not one of this machine's own. */
bool is_unreachable(const void *address, long size);

/*
 * The outside address for one that is connected or sent to, which needs the socket's file to be writable. `descriptor` must
 * stay open while the address is used, if it is not -1.
 */
long translate_peer(const struct sockaddr_un *given, long given_size, struct sockaddr_un *address, long *size,
                    int *descriptor);

/*
 * The kernel wrote an outside address of the size that is at `size`; what the program gave room for is `room`. It becomes
 * the inside one.
 */
void show_address(struct sockaddr_un *address, int *size, int room);
/* The room that the program gave for an address, kept in the gate until the address is there. */
int *kept_room(struct gate *gate);

#endif
