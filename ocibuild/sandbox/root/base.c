/* Strings, numbers, messages, locks: the little of a C library that is needed. */
#include "base.h"

#include <asm/signal.h>
#include <linux/mman.h>

unsigned long page_size = 4096;

size_t string_length(const char *string) {
    size_t length = 0;
    while (string[length])
        length++;
    return length;
}

bool strings_are_equal(const char *one, const char *other) {
    while (*one && *one == *other)
        one++, other++;
    return *one == *other;
}

bool starts_with(const char *string, const char *start) {
    while (*start)
        if (*string++ != *start++)
            return false;
    return true;
}

bool is_below(const char *path, const char *folder) {
    size_t length = string_length(folder);
    return starts_with(path, folder) && (path[length] == '/' || path[length] == 0);
}

const char *last_component(const char *path) {
    const char *last = path;
    for (; *path; path++)
        if (*path == '/')
            last = path + 1;
    return last;
}

long copy_string(char *to, size_t size, const char *from) {
    size_t length = string_length(from);
    if (length >= size)
        return -ENAMETOOLONG;
    memcpy(to, from, length + 1);
    return 0;
}

/* The compiler may call these four for assignments of structures; -fno-tree-loop-distribute-patterns keeps it from
   turning their own loops into calls of themselves. */
void *memcpy(void *to, const void *from, size_t size) {
    return copy_memory(to, from, size);
}

void *memmove(void *to, const void *from, size_t size) {
    unsigned char *target = to;
    const unsigned char *source = from;
    if (target <= source || target >= source + size)
        return memcpy(to, from, size);
    while (size--)
        target[size] = source[size];
    return to;
}

void *memset(void *to, int byte, size_t size) {
    return fill_memory(to, byte, size);
}

int memcmp(const void *one, const void *other, size_t size) {
    const unsigned char *left = one, *right = other;
    for (; size--; left++, right++)
        if (*left != *right)
            return *left - *right;
    return 0;
}

struct text text_in(char *bytes, size_t size) {
    bytes[0] = 0;
    return (struct text){.bytes = bytes, .size = size};
}

void add_bytes(struct text *text, const char *bytes, size_t count) {
    if (count >= text->size - text->length) {
        text->is_cut = true;
        return;
    }
    memcpy(text->bytes + text->length, bytes, count);
    text->length += count;
    text->bytes[text->length] = 0;
}

void add(struct text *text, const char *string) {
    add_bytes(text, string, string_length(string));
}

static void add_number(struct text *text, unsigned long number, unsigned base) {
    char digits[24];
    size_t start = sizeof digits;
    do {
        digits[--start] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number);
    add_bytes(text, digits + start, sizeof digits - start);
}

void add_decimal(struct text *text, unsigned long number) {
    add_number(text, number, 10);
}

void add_hexadecimal(struct text *text, unsigned long number) {
    add_number(text, number, 16);
}

unsigned long read_decimal(const char **cursor) {
    unsigned long number = 0;
    for (; **cursor >= '0' && **cursor <= '9'; (*cursor)++)
        number = number * 10 + (unsigned)(**cursor - '0');
    return number;
}

unsigned long read_hexadecimal(const char **cursor) {
    unsigned long number = 0;
    for (;; (*cursor)++) {
        char digit = **cursor;
        if (digit >= '0' && digit <= '9')
            number = number * 16 + (unsigned)(digit - '0');
        else if (digit >= 'a' && digit <= 'f')
            number = number * 16 + (unsigned)(digit - 'a' + 10);
        else
            return number;
    }
}

void descriptor_path(char *to, int descriptor) {
    struct text text = text_in(to, DESCRIPTOR_PATH_SIZE);
    add(&text, "/proc/self/fd/");
    add_decimal(&text, (unsigned)descriptor);
}

static void complain_of(const char *first, va_list rest) {
    char line[2 * PATH_SIZE];
    struct text text = text_in(line, sizeof line - 1);
    add(&text, "ocibuild: ");
    for (const char *part = first; part; part = va_arg(rest, const char *))
        add(&text, part);
    line[text.length++] = '\n';
    kernel(__NR_write, 2, line, text.length);
}

void complain(const char *first, ...) {
    va_list rest;
    va_start(rest, first);
    complain_of(first, rest);
    va_end(rest);
}

void give_up(int exit_code, const char *first, ...) {
    va_list rest;
    va_start(rest, first);
    complain_of(first, rest);
    va_end(rest);
    for (;;)
        kernel(__NR_exit_group, exit_code);
}

/*
 * rt_sigprocmask copies the set before it looks at what to do with it: with a "how" that does not exist it answers EFAULT
 * where the eight bytes cannot be read, else EINVAL, and changes nothing.
 */
static bool can_read_page_of(uintptr_t address) {
    enum { NO_SUCH_HOW = -1, SET_SIZE = 8 };
    return kernel(__NR_rt_sigprocmask, NO_SUCH_HOW, address & ~7UL, 0, SET_SIZE) == -EINVAL;
}

bool is_readable(const void *address, size_t size) {
    uintptr_t first = (uintptr_t)address, end = first + size;
    if (end < first)
        return false;
    for (uintptr_t at = first; at < end; at = (at | (page_size - 1)) + 1)
        if (!can_read_page_of(at))
            return false;
    return true;
}

long fetch_string(char *to, size_t size, const char *from) {
    for (size_t length = 0; length < size; length++) {
        bool enters_page = length == 0 || ((uintptr_t)(from + length) & (page_size - 1)) == 0;
        if (enters_page && !can_read_page_of((uintptr_t)(from + length)))
            return -EFAULT;
        to[length] = from[length];
        if (!to[length])
            return (long)length;
    }
    return -ENAMETOOLONG;
}

int own_thread(void) {
    return (int)kernel(__NR_gettid);
}

void lock(uint32_t *word) {
    uint32_t self = (uint32_t)own_thread();
    for (unsigned tries = 1;; tries++) {
        uint32_t holder = 0;
        if (__atomic_compare_exchange_n(word, &holder, self, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return;
        if (tries % 64 == 0 && kernel(__NR_kill, holder, 0) == -ESRCH)
            if (__atomic_compare_exchange_n(word, &holder, self, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
                return;
        kernel(__NR_sched_yield);
    }
}

void unlock(uint32_t *word) {
    __atomic_store_n(word, 0, __ATOMIC_RELEASE);
}
