// The measured command of the latency rows: takes the time as its first act and again as its last
// but one, and prints both (nanoseconds of CLOCK_BOOTTIME). Without libc, so that its own start-up
// (0.5 ms with glibc's loader) is not part of what is measured, and so small that it can be sent
// along with a task into any sandbox.
#include <linux/time.h>
#include <sys/syscall.h>

namespace {

long Call(long number, long a, long b, long c) {
  long result = 0;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c)
               : "rcx", "r11", "memory");
  return result;
}

struct Timespec {
  long seconds;
  long nanoseconds;
};

long NowNs() {
  Timespec now{};
  Call(SYS_clock_gettime, CLOCK_BOOTTIME, reinterpret_cast<long>(&now), 0);
  return now.seconds * 1'000'000'000 + now.nanoseconds;
}

// Writes 20 digits, zero-padded: no loop over lengths, no division by a variable.
char* Put(char* at, long value) {
  for (int i = 19; i >= 0; --i) {
    at[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
  return at + 20;
}

[[noreturn]] void PrintStamps() {
  const long started = NowNs();
  char line[42];
  char* end = Put(line, started);
  *end++ = ' ';
  end = Put(end, NowNs());
  *end++ = '\n';
  Call(SYS_write, 1, reinterpret_cast<long>(line), end - line);
  for (;;) Call(SYS_exit_group, 0, 0, 0);
}

}  // namespace

#ifdef BOXKEEPER_STAMP_WITH_LIBC
int main() { PrintStamps(); }
#else
extern "C" [[noreturn, gnu::force_align_arg_pointer]] void _start() { PrintStamps(); }
#endif
