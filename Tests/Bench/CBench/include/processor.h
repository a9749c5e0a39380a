#pragma once

/// Has the calling thread run on one processor only, before all threads that are not real-time ones; 0, or what errno
/// then says.
int bench_own_processor(int processor);
