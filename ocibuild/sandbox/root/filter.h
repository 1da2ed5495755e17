/* The filter of system calls (seccomp(2)), made from the rules. */
#ifndef OCIBUILD_ROOT_FILTER_H
#define OCIBUILD_ROOT_FILTER_H

#include "base.h"

/* For this process and all that follow it; -errno where the kernel refuses it. */
long install_filter(void);

#endif
