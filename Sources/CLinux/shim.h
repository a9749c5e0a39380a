#pragma once
// No _GNU_SOURCE: it changes the members of fd_set, and the compiler then refuses to load this module
// beside Swift's own Glibc module. What only _GNU_SOURCE shows is declared here.
#include <fcntl.h>
// Not linux/tcp.h: it defines glibc's tcp_info anew, which Swift's own Glibc module has already.
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <linux/sock_diag.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/// Linux's `struct ucred`, under a name that does not depend on which headers set _GNU_SOURCE first.
struct drover_peer {
  pid_t pid;
  uid_t uid;
  gid_t gid;
};

/// prctl is variadic, which Swift cannot call.
static inline int drover_set_parent_death_signal(int signal) {
  return prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0);
}

/// Keeps what is freed from staying with the process: large blocks are given back at once, whatever glibc has learnt of
/// their sizes, and all threads share two heaps.
static inline void drover_limit_heap(int large) {
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_MMAP_THRESHOLD, large);
  mallopt(M_TRIM_THRESHOLD, 2 * large);
}

int accept4(int, struct sockaddr *, socklen_t *, int);

/// Takes a connection that is closed in children and never blocks.
static inline int drover_accept(int listener) {
  return accept4(listener, 0, 0, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *, int);

static inline int drover_spawn_close_from(posix_spawn_file_actions_t *actions, int lowest) {
  return posix_spawn_file_actions_addclosefrom_np(actions, lowest);
}

int pthread_setname_np(pthread_t, const char *);

static inline int drover_name_thread(pthread_t thread, const char *name) {
  return pthread_setname_np(thread, name);
}

int setns(int, int);

/// Moves the calling thread, and no other, into a network namespace.
static inline int drover_enter_network_namespace(int descriptor) { return setns(descriptor, CLONE_NEWNET); }

int unshare(int);

/// Gives the calling thread, and no other, a network namespace of its own.
static inline int drover_make_network_namespace(void) { return unshare(CLONE_NEWNET); }
