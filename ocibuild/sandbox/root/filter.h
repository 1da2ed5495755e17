/* The filter of system calls (seccomp(2)), made from the rules. */
#ifndef OCIBUILD_ROOT_FILTER_H
#define OCIBUILD_ROOT_FILTER_H

#include "base.h"

#include <linux/filter.h>

/* The filter itself, in memory that stays. */
struct sock_fprog make_filter(void);
/* Installs it, for this process and all that follow it; -errno where the kernel refuses it. */
long install_filter(void);

#endif
