#define _GNU_SOURCE
#include "processor.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>

int bench_own_processor(int processor) {
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(processor, &only);
  if (sched_setaffinity(0, sizeof only, &only) != 0) return errno;
  struct sched_param first = {.sched_priority = sched_get_priority_max(SCHED_FIFO)};
  return pthread_setschedparam(pthread_self(), SCHED_FIFO, &first);
}
