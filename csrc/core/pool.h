#pragma once

#include <cstdint>
#include <functional>

namespace mlcore {

// Threads that the machine's affinity mask, its cgroup quota and MLCORE_THREADS allow; at least 1.
int default_threads();

// Calls work(span, worker) once for each span in [0, spans), from at most `threads` threads, the caller among them;
// worker < threads tells whose scratch to use. Returns when all are done; the first exception is thrown again here.
// Threads are started at first use and anew after a fork; calls from several threads at once are safe.
void parallel_for(int64_t spans, int threads, const std::function<void(int64_t span, int worker)>& work);

}  // namespace mlcore
