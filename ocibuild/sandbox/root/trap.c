/*
 * The handler of SIGSYS. It runs with all signals blocked, so no other handler of the program runs inside it, nothing jumps
 * out of it, and nothing that it does is interrupted half-way. Its work is done on a stack of its own: children of
 * posix_spawn(3) have 32 KiB, goroutines a few hundred bytes.
 */
#include "trap.h"

#include "process.h"
#include "signals.h"

#include <linux/mman.h>

enum {
    STACK_COUNT = 64,
    STACK_SIZE = 160 * 1024,
    GATE_COUNT = 1024,
};

struct stack {
    uint32_t owner; /* the thread that works on it; 0 where it is free */
    void *left_memory; /* see leave_stack_to_kernel */
    size_t left_size;
};

/* Pages that nobody touches cost nothing. */
static unsigned char stack_memory[STACK_COUNT][STACK_SIZE] __attribute__((aligned(64)));
static struct stack stacks[STACK_COUNT];
static struct gate gates[GATE_COUNT];

/* A page that reads as zero in a forked child (madvise(2), MADV_WIPEONFORK). */
static uint32_t *memory_is_own;

extern void call_on_stack(void *top, void (*function)(void *), void *argument);
extern char gate_call[];

struct trap {
    const struct trap_information *information;
    struct ucontext *context;
};

static bool claim(uint32_t *owner, uint32_t thread) {
    uint32_t nobody = 0;
    return __atomic_compare_exchange_n(owner, &nobody, thread, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

/* Killed while it worked in memory that others share. */
static bool is_dead(uint32_t thread) {
    return thread && kernel(__NR_kill, thread, 0) == -ESRCH;
}

static unsigned claim_stack(void) {
    uint32_t thread = (uint32_t)own_thread();
    for (;;) {
        for (unsigned at = 0; at < STACK_COUNT; at++)
            if (claim(&stacks[at].owner, thread))
                return at;
        for (unsigned at = 0; at < STACK_COUNT; at++)
            if (is_dead(__atomic_load_n(&stacks[at].owner, __ATOMIC_RELAXED)))
                __atomic_store_n(&stacks[at].owner, 0, __ATOMIC_RELEASE);
        kernel(__NR_sched_yield);
    }
}

static struct stack *own_stack(void) {
    return &stacks[((unsigned char *)__builtin_frame_address(0) - stack_memory[0]) / STACK_SIZE];
}

void leave_stack_to_kernel(void *memory, size_t size) {
    struct stack *stack = own_stack();
    stack->left_memory = memory;
    stack->left_size = size;
    kernel(__NR_set_tid_address, &stack->owner);
}

void keep_stack(void) {
    own_stack()->left_memory = NULL;
    kernel(__NR_set_tid_address, 0);
}

static void notice_fork(void) {
    if (*memory_is_own)
        return;
    *memory_is_own = true;
    process_was_forked();
    for (unsigned at = 0; at < STACK_COUNT; at++)
        stacks[at].owner = 0;
}

struct gate *take_gate(const struct call *call) {
    uint32_t thread = (uint32_t)own_thread();
    for (unsigned tries = 0;; tries++) {
        struct gate *gate = &gates[(thread + tries) % GATE_COUNT];
        bool is_second_round = tries >= GATE_COUNT;
        if (is_second_round && is_dead(__atomic_load_n(&gate->owner, __ATOMIC_RELAXED)))
            __atomic_store_n(&gate->owner, 0, __ATOMIC_RELEASE);
        if (!claim(&gate->owner, thread))
            continue;
        gate->descriptor = -1;
        gate->finish = NULL;
        memcpy(gate->arguments, call->arguments, sizeof gate->arguments);
        return gate;
    }
}

void give_up_gate(struct gate *gate) {
    __atomic_store_n(&gate->owner, 0, __ATOMIC_RELEASE);
}

long go_through(struct call *call, struct gate *gate, const unsigned long arguments[6]) {
    gate->return_address = context_instruction(call->context);
    gate->kept_register = context_kept_register(call->context);
    context_set_number(call->context, call->number);
    context_set_arguments(call->context, arguments);
    context_set_kept_register(call->context, (unsigned long)gate);
    context_set_instruction(call->context, (unsigned long)gate_call);
    call->is_resumed = true;
    return 0;
}

/* The gate's second trap: the call has ended, and the program goes on behind its own instruction. */
static void complete(struct ucontext *context) {
    struct gate *gate = (struct gate *)context_kept_register(context);
    if (gate < gates || gate >= gates + GATE_COUNT)
        give_up(126, "a program jumped into the sandbox's own code", NULL);
    long result = gate->finish ? gate->finish(gate, gate->result) : gate->result;
    if (gate->descriptor >= 0)
        kernel(__NR_close, gate->descriptor);
    context_set_arguments(context, gate->arguments);
    context_set_kept_register(context, gate->kept_register);
    context_set_instruction(context, gate->return_address);
    context_set_result(context, result);
    give_up_gate(gate);
}

static void answer(void *argument) {
    struct trap *trap = argument;
    if (trap->information->number == GATE_COMPLETION) {
        complete(trap->context);
        return;
    }
    struct call call = {.number = trap->information->number, .context = trap->context};
    context_get_arguments(trap->context, call.arguments);
    long result = rules[call.number].handler(&call);
    if (!call.is_resumed)
        context_set_result(trap->context, result);
}

static void on_sigsys(int signal, struct trap_information *information, struct ucontext *context) {
    /* A program can send itself a signal that says anything. */
    unsigned number = (unsigned)information->number;
    bool is_known = number == GATE_COMPLETION || (number < RULE_LIMIT && rules[number].handler);
    if (information->code != TRAP_BY_FILTER || information->error != TRAP_MARK || !is_known) {
        deliver_sigsys(signal, information, context);
        return;
    }
    notice_fork();
    struct trap trap = {information, context};
    unsigned at = claim_stack();
    if (stacks[at].left_memory) {
        kernel(__NR_munmap, stacks[at].left_memory, stacks[at].left_size);
        stacks[at].left_memory = NULL;
    }
    call_on_stack(stack_memory[at] + STACK_SIZE, answer, &trap);
    __atomic_store_n(&stacks[at].owner, 0, __ATOMIC_RELEASE);
}

void install_trap_handler(void) {
    long page = kernel(__NR_mmap, 0, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (failed(page) || failed(kernel(__NR_madvise, page, page_size, MADV_WIPEONFORK)))
        give_up(126, "this kernel is older than Linux 4.14", NULL);
    memory_is_own = (uint32_t *)page;
    *memory_is_own = true;
    set_kernel_handler((void *)on_sigsys);
}

long make_call(const struct call *call) {
    const unsigned long *arguments = call->arguments;
    return kernel(call->number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}
