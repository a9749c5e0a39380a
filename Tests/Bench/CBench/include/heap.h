#pragma once
#include <stddef.h>

/// Calls of malloc and its kin since the start, on all threads.
size_t bench_allocations(void);

/// Bytes that are allocated now, in arenas and in mappings of their own.
size_t bench_heap_bytes(void);
