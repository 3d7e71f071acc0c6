#include "core/pool.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <exception>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace mlcore {

namespace {

int affinity() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

// The CPU quota of cgroup v2, or v1, rounded up; 0 when there is none.
int cgroup_quota() {
  std::ifstream v2("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(v2 >> quota >> period)) {
    std::ifstream q("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), p("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
    if (!(q >> quota) || !(p >> period)) return 0;
  }
  const double allowed = std::atof(quota.c_str());
  return allowed > 0 && period > 0 ? static_cast<int>((allowed + period - 1) / period) : 0;
}

struct Job {
  int64_t spans;
  const std::function<void(int64_t, int)>* work;
  std::atomic<int64_t> next{0};
  std::atomic<int> running{0};
  std::mutex mutex;
  std::condition_variable done;
  std::exception_ptr error;

  void run(int worker) {
    try {
      for (int64_t span; (span = next.fetch_add(1)) < spans;) (*work)(span, worker);
    } catch (...) {
      next.store(spans);
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
    }
  }
};

// Helper threads that take (job, worker) pairs from a queue.
class Pool {
 public:
  void submit(const std::shared_ptr<Job>& job, int helpers) {
    const std::lock_guard lock(mutex_);
    for (; started_ < helpers; ++started_) std::thread([this] { loop(); }).detach();
    for (int i = 0; i < helpers; ++i) queue_.emplace_back(job, i + 1);
    wake_.notify_all();
  }

 private:
  void loop() {
    while (true) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return !queue_.empty(); });
      const auto [job, worker] = queue_.front();
      queue_.pop_front();
      lock.unlock();
      job->run(worker);
      const std::lock_guard finish(job->mutex);
      if (job->running.fetch_sub(1) == 1) job->done.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::pair<std::shared_ptr<Job>, int>> queue_;
  int started_ = 0;
};

// Never destroyed: its threads may outlive static destruction. A forked child has none of them and starts anew.
std::atomic<Pool*> pool{nullptr};
std::once_flag fork_handler;

Pool& the_pool() {
  std::call_once(fork_handler, [] { pthread_atfork(nullptr, nullptr, [] { pool.store(nullptr); }); });
  Pool* found = pool.load();
  if (found == nullptr) {
    auto fresh = std::make_unique<Pool>();
    if (pool.compare_exchange_strong(found, fresh.get())) found = fresh.release();
  }
  return *found;
}

}  // namespace

int default_threads() {
  const char* wanted = std::getenv("MLCORE_THREADS");
  if (wanted != nullptr && std::atoi(wanted) > 0) return std::atoi(wanted);
  const int quota = cgroup_quota();
  return std::max(1, quota > 0 ? std::min(quota, affinity()) : affinity());
}

void parallel_for(int64_t spans, int threads, const std::function<void(int64_t, int)>& work) {
  const int helpers = static_cast<int>(std::min<int64_t>(threads, spans)) - 1;
  auto job = std::make_shared<Job>();
  job->spans = spans;
  job->work = &work;
  if (helpers > 0) {
    job->running.store(helpers);
    the_pool().submit(job, helpers);
  }
  job->run(0);
  std::unique_lock lock(job->mutex);
  job->done.wait(lock, [&] { return job->running.load() == 0; });
  if (job->error) std::rethrow_exception(job->error);
}

}  // namespace mlcore
