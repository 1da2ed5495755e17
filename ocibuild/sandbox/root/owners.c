/*
 * Open addressing with linear probing in a file that all processes map. Reading takes no lock; what changes the table holds
 * one, and writes an entry's inode last, so that a process that is killed at any point leaves the table whole.
 */
#include "owners.h"

#include "access.h"
#include "state.h"

enum { FREE = 0 };
#define GONE UINT64_MAX

static struct owner_entry *owner_table(void) {
    return (struct owner_entry *)((char *)state + state->owners_at);
}

static struct attribute_entry *attribute_table(void) {
    return (struct attribute_entry *)((char *)state + state->attributes_at);
}

/* state_file.py fills the table with the same function: Fibonacci hashing, the upper bits being the good ones. */
static uint64_t first_place(uint64_t inode) {
    return ((inode * 0x9e3779b97f4a7c15UL) >> 32) & (state->owner_capacity - 1);
}

static uint64_t packed(struct owner owner) {
    return owner.uid | (uint64_t)owner.gid << 32;
}

static bool is_same(const struct owner_entry *entry, struct file_key key) {
    return entry->inode == key.inode && entry->birth_ns == key.birth_ns;
}

bool owners_are_empty(void) {
    return __atomic_load_n(&state->owner_count, __ATOMIC_RELAXED) == 0;
}

bool owners_may_know(uint64_t inode) {
    if (owners_are_empty())
        return false;
    struct owner_entry *table = owner_table();
    for (uint64_t at = first_place(inode);; at = (at + 1) & (state->owner_capacity - 1)) {
        uint64_t seen = __atomic_load_n(&table[at].inode, __ATOMIC_ACQUIRE);
        if (seen == FREE || seen == inode)
            return seen == inode;
    }
}

/* The file's entry, else NULL and in `free_place` the first that could hold it. */
static struct owner_entry *find_entry(struct file_key key, struct owner_entry **free_place) {
    struct owner_entry *table = owner_table();
    if (free_place)
        *free_place = NULL;
    for (uint64_t at = first_place(key.inode);; at = (at + 1) & (state->owner_capacity - 1)) {
        struct owner_entry *entry = &table[at];
        uint64_t seen = __atomic_load_n(&entry->inode, __ATOMIC_ACQUIRE);
        if (seen == key.inode && is_same(entry, key))
            return entry;
        if ((seen == FREE || seen == GONE) && free_place && !*free_place)
            *free_place = entry;
        if (seen == FREE)
            return NULL;
    }
}

bool find_owner(struct file_key key, struct owner *owner) {
    struct owner_entry *entry = find_entry(key, NULL);
    if (!entry)
        return false;
    uint64_t value = __atomic_load_n(&entry->owner, __ATOMIC_RELAXED);
    *owner = (struct owner){.uid = (uint32_t)value, .gid = (uint32_t)(value >> 32)};
    return true;
}

long record_owner(struct file_key key, struct owner owner) {
    long result = 0;
    lock(&state->table_lock);
    struct owner_entry *place;
    struct owner_entry *entry = find_entry(key, &place);
    if (entry) {
        entry->flags |= OWNER_DECIDED;
        __atomic_store_n(&entry->owner, packed(owner), __ATOMIC_RELAXED);
    } else if (place->inode == FREE && state->owner_count >= state->owner_capacity / 8 * 7) {
        /* A full table would make every search endless. */
        result = -ENOSPC;
    } else {
        /* Counted before it is seen: a process killed in between leaves one place less, nothing worse. */
        if (place->inode == FREE)
            __atomic_store_n(&state->owner_count, state->owner_count + 1, __ATOMIC_RELAXED);
        place->birth_ns = key.birth_ns;
        place->owner = packed(owner);
        place->flags = OWNER_DECIDED;
        __atomic_store_n(&place->inode, key.inode, __ATOMIC_RELEASE);
    }
    unlock(&state->table_lock);
    if (result && tell_once(TOLD_TABLE_FULL))
        complain("more files change their owner than this run can record", NULL);
    return result;
}

void forget_file(struct file_key key) {
    if (!owners_are_empty()) {
        lock(&state->table_lock);
        struct owner_entry *entry = find_entry(key, NULL);
        if (entry)
            __atomic_store_n(&entry->inode, GONE, __ATOMIC_RELEASE);
        unlock(&state->table_lock);
    }
    if (!attributes_are_empty()) {
        struct attribute_entry *table = attribute_table();
        lock(&state->table_lock);
        for (uint32_t at = 0; at < state->attribute_count; at++)
            if (table[at].inode == key.inode && table[at].birth_ns == key.birth_ns)
                table[at].is_used = false;
        unlock(&state->table_lock);
    }
}

static long ask_for_birth(int directory, const char *outside, int flags, struct statx *facts) {
    return kernel(__NR_statx, directory, outside, flags | AT_NO_AUTOMOUNT, STATX_INO | STATX_BTIME, facts);
}

long file_key_at(int directory, const char *outside, int flags, struct file_key *key) {
    struct statx facts;
    long result = ask_for_birth(directory, outside, flags, &facts);
    if (result == -EACCES) {
        struct place place = {.directory = directory};
        if (!copy_string(place.outside, sizeof place.outside, outside))
            result = WITH_ACCESS(&place, false, ask_for_birth(directory, outside, flags, &facts));
    }
    if (failed(result))
        return result;
    bool has_birth = facts.stx_mask & STATX_BTIME;
    key->inode = facts.stx_ino;
    key->birth_ns = has_birth ? (uint64_t)facts.stx_btime.tv_sec * 1000000000UL + facts.stx_btime.tv_nsec : 0;
    return 0;
}

bool attributes_are_empty(void) {
    return __atomic_load_n(&state->attribute_count, __ATOMIC_RELAXED) == 0;
}

static struct attribute_entry *find_attribute_entry(struct file_key key, const char *name) {
    struct attribute_entry *table = attribute_table();
    for (uint32_t at = 0; at < state->attribute_count; at++) {
        struct attribute_entry *entry = &table[at];
        if (entry->is_used && entry->inode == key.inode && entry->birth_ns == key.birth_ns &&
            strings_are_equal(entry->name, name))
            return entry;
    }
    return NULL;
}

/* A place that was given up, else a new one, else NULL. */
static struct attribute_entry *free_attribute_entry(void) {
    struct attribute_entry *table = attribute_table();
    for (uint32_t at = 0; at < state->attribute_count; at++)
        if (!table[at].is_used)
            return &table[at];
    if (state->attribute_count == ATTRIBUTE_LIMIT)
        return NULL;
    return &table[state->attribute_count++];
}

long record_attribute(struct file_key key, const char *name, const void *value, size_t size, int flags) {
    enum { CREATE = 1, REPLACE = 2 }; /* XATTR_CREATE, XATTR_REPLACE */
    if (size > ATTRIBUTE_VALUE_SIZE || string_length(name) >= ATTRIBUTE_NAME_SIZE)
        return -ENOSPC;
    long result = 0;
    lock(&state->table_lock);
    struct attribute_entry *entry = find_attribute_entry(key, name);
    if (entry && (flags & CREATE))
        result = -EEXIST;
    else if (!entry && (flags & REPLACE))
        result = -ENODATA;
    else if (!entry && !(entry = free_attribute_entry()))
        result = -ENOSPC;
    if (!result) {
        entry->is_used = false;
        entry->inode = key.inode;
        entry->birth_ns = key.birth_ns;
        entry->value_size = (uint32_t)size;
        copy_string(entry->name, sizeof entry->name, name);
        memcpy(entry->value, value, size);
        __atomic_store_n(&entry->is_used, true, __ATOMIC_RELEASE);
    }
    unlock(&state->table_lock);
    if (result == -ENOSPC && tell_once(TOLD_ATTRIBUTES_FULL))
        complain("more extended attributes of a real root than this run can record", NULL);
    return result;
}

long find_attribute(struct file_key key, const char *name, void *value, size_t size) {
    lock(&state->table_lock);
    struct attribute_entry *entry = find_attribute_entry(key, name);
    long result = entry ? (long)entry->value_size : -ENODATA;
    if (entry && size) {
        if (size < entry->value_size)
            result = -ERANGE;
        else
            memcpy(value, entry->value, entry->value_size);
    }
    unlock(&state->table_lock);
    return result;
}

long remove_attribute(struct file_key key, const char *name) {
    lock(&state->table_lock);
    struct attribute_entry *entry = find_attribute_entry(key, name);
    if (entry)
        entry->is_used = false;
    unlock(&state->table_lock);
    return entry ? 0 : -ENODATA;
}

long add_attribute_names(struct file_key key, char *list, size_t size, size_t used) {
    struct attribute_entry *table = attribute_table();
    for (uint32_t at = 0; at < state->attribute_count; at++) {
        struct attribute_entry *entry = &table[at];
        if (!entry->is_used || entry->inode != key.inode || entry->birth_ns != key.birth_ns)
            continue;
        size_t length = string_length(entry->name) + 1;
        if (size) {
            if (used + length > size)
                return -ERANGE;
            memcpy(list + used, entry->name, length);
        }
        used += length;
    }
    return (long)used;
}
