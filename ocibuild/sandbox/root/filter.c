#include "filter.h"

#include "calls.h"
#include "trap.h"

#include <linux/prctl.h>
#include <linux/seccomp.h>

enum { INSTRUCTION_LIMIT = 2048 };

extern const char kernel_call_return[], gate_call_return[];

struct filter {
    struct sock_filter code[INSTRUCTION_LIMIT];
    unsigned length;
    unsigned to_check[RULE_LIMIT]; /* jumps that lead to the check of the instruction's address */
    unsigned to_check_count;
};

static unsigned emit(struct filter *filter, uint16_t code, uint32_t value, uint8_t if_true, uint8_t if_false) {
    if (filter->length == INSTRUCTION_LIMIT)
        give_up(126, "the filter does not fit", NULL);
    filter->code[filter->length] = (struct sock_filter){code, if_true, if_false, value};
    return filter->length++;
}

static void emit_load(struct filter *filter, size_t offset) {
    emit(filter, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void emit_result(struct filter *filter, uint32_t result) {
    emit(filter, BPF_RET | BPF_K, result, 0, 0);
}

static size_t argument_offset(unsigned number) {
    return offsetof(struct seccomp_data, args) + number * sizeof(uint64_t);
}

static bool is_listed(const struct rule *rule) {
    return rule->handler || rule->refusal;
}

static void emit_rule(struct filter *filter, const struct rule *rule) {
    size_t low = argument_offset(rule->argument);
    switch (rule->condition) {
    case ALWAYS:
        break;
    case IF_ARGUMENT: /* both halves 0: allowed */
        emit_load(filter, low);
        emit(filter, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3);
        emit_load(filter, low + sizeof(uint32_t));
        emit(filter, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1);
        emit_result(filter, SECCOMP_RET_ALLOW);
        break;
    case IF_BITS:
        emit_load(filter, low);
        emit(filter, BPF_JMP | BPF_JSET | BPF_K, rule->bits, 1, 0);
        emit_result(filter, SECCOMP_RET_ALLOW);
        break;
    }
    if (rule->handler)
        filter->to_check[filter->to_check_count++] = emit(filter, BPF_JMP | BPF_JA, 0, 0, 0);
    else
        emit_result(filter, SECCOMP_RET_ERRNO | (uint32_t)rule->refusal);
}

/*
 * A search tree over the numbers from `first` to `last`. A call that is not listed is decided by its number alone: the
 * kernel notices that when the filter is installed, and never runs the filter for it (seccomp_cache_prepare).
 */
static void emit_tree(struct filter *filter, unsigned first, unsigned last) {
    unsigned at = first;
    while (at <= last && !is_listed(&rules[at]))
        at++;
    if (at > last) {
        emit_result(filter, SECCOMP_RET_ALLOW);
        return;
    }
    if (first == last) {
        emit_rule(filter, &rules[first]);
        return;
    }
    unsigned middle = first + (last - first) / 2 + 1;
    emit(filter, BPF_JMP | BPF_JGE | BPF_K, middle, 0, 1);
    unsigned to_upper = emit(filter, BPF_JMP | BPF_JA, 0, 0, 0);
    emit_tree(filter, first, middle - 1);
    filter->code[to_upper].k = filter->length - to_upper - 1;
    emit_tree(filter, middle, last);
}

/* What is called from our own two places passes, all else is trapped. Both lie in one range of 4 GiB. */
static void emit_check(struct filter *filter) {
    uintptr_t kernel_call_address = (uintptr_t)kernel_call_return, gate_address = (uintptr_t)gate_call_return;
    size_t low = offsetof(struct seccomp_data, instruction_pointer);
    for (unsigned at = 0; at < filter->to_check_count; at++)
        filter->code[filter->to_check[at]].k = filter->length - filter->to_check[at] - 1;
    emit_load(filter, low + sizeof(uint32_t));
    emit(filter, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(kernel_call_address >> 32), 0, 3);
    emit_load(filter, low);
    emit(filter, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)kernel_call_address, 2, 0);
    emit(filter, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)gate_address, 1, 0);
    emit_result(filter, SECCOMP_RET_TRAP | TRAP_MARK);
    emit_result(filter, SECCOMP_RET_ALLOW);
}

struct sock_fprog make_filter(void) {
    static struct filter made;
    struct filter *filter = &made;
    filter->length = filter->to_check_count = 0;
    /* int 0x80, and anything else that is not of this architecture */
    emit_load(filter, offsetof(struct seccomp_data, arch));
    emit(filter, BPF_JMP | BPF_JEQ | BPF_K, ARCH_AUDIT, 1, 0);
    emit_result(filter, SECCOMP_RET_ERRNO | ENOSYS);
    emit_load(filter, offsetof(struct seccomp_data, nr));
    emit(filter, BPF_JMP | BPF_JEQ | BPF_K, GATE_COMPLETION, 0, 1);
    emit_result(filter, SECCOMP_RET_TRAP | TRAP_MARK);
    /* x32's numbers, and calls that nobody knew when this was written */
    emit(filter, BPF_JMP | BPF_JGT | BPF_K, ARCH_LAST_KNOWN_CALL, 0, 1);
    emit_result(filter, SECCOMP_RET_ERRNO | ENOSYS);
    emit_tree(filter, 0, ARCH_LAST_KNOWN_CALL);
    emit_check(filter);
    return (struct sock_fprog){.len = (unsigned short)filter->length, .filter = filter->code};
}

long install_filter(void) {
    struct sock_fprog program = make_filter();
    long result = kernel(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1);
    return failed(result) ? result : kernel(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}
