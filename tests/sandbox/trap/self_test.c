/*
 * Takes the place of start.c, and shows what the program's parts do when no trap is there (qemu-user has none):
 *
 *     self-test filter                            the filter's instructions, as bytes
 *     self-test rules                             number, H or the errno, condition, argument and bits of each rule
 *     self-test find STATE UID GROUP FOLLOW PATH...   what each path means: result, exists, zone, outside path
 */
#include "access.h"
#include "calls.h"
#include "filter.h"
#include "path.h"
#include "process.h"
#include "state.h"

ARCH_CODE;
__attribute__((noreturn, used)) void start(unsigned long *stack);

static char output[1 << 20];
static struct text text;

static void add_signed(long number) {
    if (number < 0)
        add(&text, "-");
    add_decimal(&text, (unsigned long)(number < 0 ? -number : number));
    add(&text, " ");
}

static void show_rules(void) {
    for (unsigned number = 0; number < RULE_LIMIT; number++) {
        const struct rule *rule = &rules[number];
        if (!rule->handler && !rule->refusal)
            continue;
        add_signed(number);
        add_signed(rule->handler ? -1 : rule->refusal);
        add_signed(rule->condition);
        add_signed(rule->argument);
        add_signed(rule->bits);
        add(&text, "\n");
    }
}

static void show_places(char **words) {
    const char *uid = words[3], *group = words[4];
    uint32_t groups[1] = {(uint32_t)read_decimal(&group)};
    open_state(words[2]);
    make_first_process((uint32_t)read_decimal(&uid), groups[0], groups, 1);
    unsigned wanted = WANT_OBJECT | (words[5][0] == '1' ? FOLLOW_LAST : 0);
    for (char **path = words + 6; *path; path++) {
        struct place place = {.zone = IN_ROOT};
        add_signed(find_own_path(&place, *path, wanted));
        add_signed(place.exists);
        add_signed(place.zone);
        add(&text, place.outside);
        add(&text, "\n");
    }
}

void start(unsigned long *stack) {
    char **words = (char **)(stack + 1);
    outside_uid = (uint32_t)kernel(__NR_getuid);
    outside_gid = (uint32_t)kernel(__NR_getgid);
    text = text_in(output, sizeof output);
    if (strings_are_equal(words[1], "filter")) {
        struct sock_fprog program = make_filter();
        kernel(__NR_write, 1, program.filter, program.len * sizeof *program.filter);
    } else if (strings_are_equal(words[1], "rules")) {
        show_rules();
    } else {
        show_places(words);
    }
    kernel(__NR_write, 1, text.bytes, text.length);
    for (;;)
        kernel(__NR_exit_group, text.is_cut);
}
