/*
 * Who may do what. Root of the root file system may do everything, although the process is an ordinary user's; everybody
 * else is held to the modes and the *recorded* owners, although all files belong to the process.
 */
#ifndef OCIBUILD_ROOT_ACCESS_H
#define OCIBUILD_ROOT_ACCESS_H

#include "base.h"
#include "owners.h"
#include "path.h"
#include "process.h"

enum {
    ACCESS_READ = 4,
    ACCESS_WRITE = 2,
    ACCESS_SEARCH = 1,
    ACCESS_EXECUTE = 1,
};

/* The owner that programs see of a file; `flags` are newfstatat(2)'s for the path. */
struct owner owner_seen(enum zone zone, int directory, const char *outside, int flags, const struct stat *object);

/* Where a file lies that is only known by a descriptor. */
enum zone zone_of_descriptor(const struct stat *object);

/* 0 or -EACCES: the identity and the mode bits of a file at the place. */
long check_modes(const struct identity *identity, const struct place *place, const struct stat *object, unsigned access);

/* 0, -EACCES, -EPERM or -EROFS, for the calling process. The place was found with WANT_OBJECT. */
long check_object(const struct place *place, unsigned access);  /* may it be read, written, executed? */
long check_entry_change(const struct place *place);             /* may a name in its folder be made? */
long check_removal(const struct place *place);                  /* may the name be removed? */
long check_owner(const struct place *place);                    /* may mode and times be changed? */

/*
 * Modes that keep this process out, although root may enter: they are changed for the moment of one call, and changed
 * back. One process at a time does that; the run's state tells what is changed, for the case that it is killed.
 */
struct borrowed {
    unsigned count;
    int descriptors[64];
    unsigned modes[64];
};

/* False where there is nothing to change: the refusal stands. `other` may be NULL. */
bool borrow_modes(struct borrowed *borrowed, const struct place *place, const struct place *other, bool needs_object);
void give_modes_back(struct borrowed *borrowed);

/* The call, and once more with the modes on the way borrowed where it is refused for them. `needs_object` tells whether
   the file itself must be readable and writable too. */
#define WITH_ACCESS_TO(place, other, needs_object, call) \
    ({ \
        long result_ = (call); \
        if (result_ == -EACCES) { \
            struct borrowed borrowed_; \
            if (borrow_modes(&borrowed_, (place), (other), (needs_object))) { \
                result_ = (call); \
                give_modes_back(&borrowed_); \
            } \
        } \
        result_; \
    })
#define WITH_ACCESS(place, needs_object, call) WITH_ACCESS_TO(place, NULL, needs_object, call)

#endif
