// The clock that measuring programs, measured commands and the driver share.
#ifndef BOXKEEPER_BENCH_CLOCK_H_
#define BOXKEEPER_BENCH_CLOCK_H_

#include <time.h>

#include <cstdint>

namespace boxkeeper::bench {

// Nanoseconds since boot: one number line for all processes of the machine, never stepped.
inline int64_t NowNs() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace boxkeeper::bench

#endif  // BOXKEEPER_BENCH_CLOCK_H_
