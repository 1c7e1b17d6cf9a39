#include "launcher/journal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <string>

#include "base/core/file_io.h"

namespace boxkeeper::launcher {
namespace {

constexpr char kFile[] = "launcher.log";
constexpr off_t kBytesMax = 1 << 20;

}  // namespace

void Journal::Open(int directory) {
  fd_.Reset(openat(directory, kFile, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  struct stat status{};
  if (fd_.valid() && fstat(fd_.get(), &status) == 0 && status.st_size > kBytesMax) {
    (void)!ftruncate(fd_.get(), 0);
  }
}

void Journal::Line(std::string_view event, std::string_view fields) {
  if (!fd_.valid()) return;
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm utc{};
  gmtime_r(&now.tv_sec, &utc);
  char time[40];
  const size_t length = strftime(time, sizeof(time), "%Y-%m-%dT%H:%M:%S", &utc);
  snprintf(time + length, sizeof(time) - length, ".%03ldZ ", now.tv_nsec / 1'000'000);
  std::string line(time);
  line.append("pid=").append(std::to_string(getpid())).append(" ").append(event);
  if (!fields.empty()) line.append(" ").append(fields);
  line += '\n';
  base::WriteAll(fd_.get(), line);
}

}  // namespace boxkeeper::launcher
