#include "launcher/isolation/isolated_command.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "launcher/isolation/bubblewrap.h"
#include "launcher/isolation/init.h"
#include "launcher/spawn.h"

namespace boxkeeper::launcher {
namespace {

constexpr size_t kComplaintBytesMax = 512;

bool MakePipe(base::UniqueFd* read_end, base::UniqueFd* write_end) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return false;
  read_end->Reset(ends[0]);
  write_end->Reset(ends[1]);
  return true;
}

}  // namespace

bool IsolatedCommand::Spawn(const IsolatedRequest& request, std::string* error) {
  base::UniqueFd report_end;
  base::UniqueFd complaint_end;
  BubblewrapRequest bubblewrap;
  const base::UniqueFd filter = request.host->OpenFilter();
  if (!filter.valid() || !MakePipe(&reports_, &report_end) ||
      !MakePipe(&complaints_, &complaint_end)) {
    *error = std::string("isolation: ") + std::strerror(errno);
    return false;
  }
  bubblewrap.host = request.host;
  bubblewrap.isolation = &request.spec->isolation;
  bubblewrap.account = request.account;
  bubblewrap.work_path = request.work_path;
  bubblewrap.disk_bytes = request.spec->limits.disk_bytes;
  bubblewrap.filter = filter.get();
  std::vector<std::string> argv;
  if (!OpenVolumes(request.spec->isolation, &bubblewrap.volumes, error) ||
      !BubblewrapArguments(bubblewrap, &argv, error)) {
    return false;
  }
  InitArguments init{.spec = request.memfd,
                     .report = report_end.get(),
                     .output = request.stderr_fd,
                     .outputs = request.outputs_fd,
                     .account = request.account,
                     .sandbox_id = request.sandbox_id,
                     .address_space = request.address_space};
  for (const base::UniqueFd& blob : request.blobs) init.blobs.push_back(blob.get());
  for (std::string& argument : InitCommandLine(init)) argv.push_back(std::move(argument));
  const std::vector<std::string> no_environment;
  const base::UniqueFd root(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  SpawnRequest spawn;
  spawn.candidates = {argv[0]};
  spawn.argv = &argv;
  spawn.environment = &no_environment;
  spawn.stdin_fd = request.stdin_fd;
  spawn.stdout_fd = request.stdout_fd;
  spawn.stderr_fd = complaint_end.get();
  spawn.workdir = root.get();
  // As who we are: bwrap needs our rights to set up, and the init drops them.
  spawn.account.uid = geteuid();
  spawn.account.gid = getegid();
  spawn.open_files = request.open_files;
  spawn.group_entries = request.group_entries;
  spawn.set_oom_score_adj = request.set_oom_score_adj;
  spawn.inherited = {request.memfd, report_end.get(), request.stderr_fd, filter.get()};
  if (request.outputs_fd >= 0) spawn.inherited.push_back(request.outputs_fd);
  spawn.inherited.insert(spawn.inherited.end(), init.blobs.begin(), init.blobs.end());
  if (request.host->user_namespace() >= 0) {
    spawn.inherited.push_back(request.host->user_namespace());
  }
  for (const base::UniqueFd& volume : bubblewrap.volumes) spawn.inherited.push_back(volume.get());
  SpawnResult result = launcher::Spawn(spawn);
  if (result.error != 0) {
    *error = result.stage + ": " + std::strerror(result.error);
    return false;
  }
  pid_ = result.pid;
  pidfd_ = std::move(result.pidfd);
  return true;
}

std::optional<InitReport> IsolatedCommand::AwaitStart() {
  std::optional<InitReport> first = Read();
  fcntl(reports_.get(), F_SETFL, O_NONBLOCK);
  return first;
}

std::optional<InitReport> IsolatedCommand::Next() { return Read(); }

std::optional<InitReport> IsolatedCommand::Read() {
  for (;;) {
    if (std::optional<InitReport> report = TakeReport(&buffer_)) return report;
    char bytes[2048];
    const ssize_t got = read(reports_.get(), bytes, sizeof(bytes));
    if (got < 0 && errno == EINTR) continue;
    ended_ = ended_ || got == 0;
    if (got <= 0) return std::nullopt;
    buffer_.append(bytes, static_cast<size_t>(got));
  }
}

std::string IsolatedCommand::Complaint() const {
  fcntl(complaints_.get(), F_SETFL, O_NONBLOCK);
  char bytes[kComplaintBytesMax];
  const ssize_t got = read(complaints_.get(), bytes, sizeof(bytes));
  std::string text(bytes, got > 0 ? static_cast<size_t>(got) : 0);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  for (char& c : text) {
    if (c == '\n') c = ' ';
  }
  return text;
}

}  // namespace boxkeeper::launcher
