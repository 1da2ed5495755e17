/* Messages on sockets: their addresses, and ids that are passed with them. */
#include "calls.h"
#include "process.h"
#include "sockets.h"

enum { PASSED_CREDENTIALS = 2 /* SCM_CREDENTIALS */ };

/* sendmsg(2), recvmsg(2): the kernel's own forms. */
struct message {
    void *name;
    int name_size;
    void *parts;
    size_t part_count;
    void *control;
    size_t control_size;
    unsigned flags;
};

struct message_and_length {
    struct message message;
    unsigned length;
};

struct control_header {
    size_t size;
    int level;
    int type;
};

/* What a gate's space holds for sendmsg. */
struct sent_message {
    struct message message;
    struct sockaddr_un address;
    unsigned char control[64];
};

/*
 * A process may only pass on its own ids, and the kernel knows others for it than the program does. Only a control part
 * with nothing else in it is looked at; that is how everybody passes them.
 */
static void pass_outside_ids(struct sent_message *sent) {
    struct message *message = &sent->message;
    const struct control_header *given = message->control;
    size_t size = sizeof *given + sizeof(struct credentials);
    if (message->control_size < size || message->control_size > sizeof sent->control ||
        !is_readable(given, message->control_size) || given->level != SOCKET_LEVEL ||
        given->type != PASSED_CREDENTIALS)
        return;
    memcpy(sent->control, given, message->control_size);
    struct credentials *credentials = (void *)(sent->control + sizeof *given);
    credentials->uid = outside_uid;
    credentials->gid = outside_gid;
    message->control = sent->control;
}

/* 0, or why the message cannot be sent. The gate's space holds the message that is sent instead. */
static long translate_message(const struct message *given, struct gate *gate) {
    struct sent_message *sent = (struct sent_message *)gate->space;
    _Static_assert(sizeof *sent <= GATE_SPACE_SIZE, "a gate has room for a message");
    sent->message = *given;
    if (given->name && is_unreachable(given->name, given->name_size))
        return -ENETUNREACH;
    pass_outside_ids(sent);
    if (!given->name || !is_path_address(given->name, given->name_size))
        return 0;
    long size = 0;
    long result = translate_peer(given->name, given->name_size, &sent->address, &size, &gate->descriptor);
    sent->message.name = &sent->address;
    sent->message.name_size = (int)size;
    return result;
}

long call_sendmsg(struct call *call) {
    const struct message *given = (const void *)call->arguments[1];
    if (!is_readable(given, sizeof *given))
        return -EFAULT;
    struct gate *gate = take_gate(call);
    long result = translate_message(given, gate);
    if (result) {
        give_up_gate(gate);
        return result;
    }
    unsigned long arguments[6] = {call->arguments[0], (unsigned long)gate->space, call->arguments[2]};
    return go_through(call, gate, arguments);
}

static long finish_first_message(struct gate *gate, long result) {
    if (failed(result))
        return result;
    ((struct message_and_length *)gate->arguments[1])->length = (unsigned)result;
    return 1;
}

static bool needs_translating(const struct message *message) {
    return (message->name && (is_path_address(message->name, message->name_size) ||
                              is_unreachable(message->name, message->name_size))) ||
           message->control;
}

/* May send fewer messages than it was given: so the first alone is sent where it needs translating. */
long call_sendmmsg(struct call *call) {
    struct message_and_length *given = (void *)call->arguments[1];
    size_t count = (unsigned)call->arguments[2], plain = 0;
    unsigned long arguments[6];
    memcpy(arguments, call->arguments, sizeof arguments);
    if (count && !is_readable(given, sizeof *given))
        return -EFAULT;
    while (plain < count && is_readable(&given[plain], sizeof *given) && !needs_translating(&given[plain].message))
        plain++;
    struct gate *gate = take_gate(call);
    if (plain || !count) {
        arguments[2] = plain;
        return go_through(call, gate, arguments);
    }
    long result = translate_message(&given->message, gate);
    if (result) {
        give_up_gate(gate);
        return result;
    }
    call->number = __NR_sendmsg;
    gate->finish = finish_first_message;
    unsigned long alone[6] = {call->arguments[0], (unsigned long)gate->space, call->arguments[3]};
    return go_through(call, gate, alone);
}

/* Ids that came with a message: this user's are the program's own. */
static void show_passed_ids(const struct message *message) {
    struct control_header *header = message->control;
    if (!header || message->control_size < sizeof *header + sizeof(struct credentials) ||
        !is_readable(header, message->control_size) || header->level != SOCKET_LEVEL ||
        header->type != PASSED_CREDENTIALS)
        return;
    show_credentials((struct credentials *)(header + 1));
}

static long finish_recvmsg(struct gate *gate, long result) {
    struct message *message = (struct message *)gate->arguments[1];
    if (failed(result) || !is_readable(message, sizeof *message))
        return result;
    if (message->name && message->name_size > PATH_OFFSET)
        show_address(message->name, &message->name_size, *kept_room(gate));
    show_passed_ids(message);
    return result;
}

long call_recvmsg(struct call *call) {
    const struct message *message = (const void *)call->arguments[1];
    struct gate *gate = take_gate(call);
    if (is_readable(message, sizeof *message)) {
        *kept_room(gate) = message->name_size;
        gate->finish = finish_recvmsg;
    }
    return go_through(call, gate, call->arguments);
}
