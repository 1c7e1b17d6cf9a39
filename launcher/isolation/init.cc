#include "launcher/isolation/init.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/core/bytes.h"
#include "base/core/proc.h"
#include "launcher/isolation/bubblewrap.h"
#include "launcher/isolation/init_link.h"
#include "launcher/launch_spec.h"
#include "launcher/outputs/collector.h"
#include "launcher/prepare.h"
#include "launcher/spawn.h"

namespace boxkeeper::launcher {
namespace {

constexpr uint64_t kMillisecond = 1'000'000;
// What the command leaves behind gets TERM, and KILL this much later at the latest.
constexpr uint64_t kLeftoverGraceMs = 2'000;
constexpr int kExitFailed = 1;

template <typename Number>
bool ParseNumber(std::string_view text, Number* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size();
}

// "1,2,3"; "" = none.
template <typename Number>
bool ParseNumbers(std::string_view text, std::vector<Number>* numbers) {
  while (!text.empty()) {
    const size_t comma = text.find(',');
    if (!ParseNumber(text.substr(0, comma), &numbers->emplace_back())) return false;
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
  }
  return true;
}

template <typename Number>
std::string Joined(const std::vector<Number>& numbers) {
  std::string text;
  for (const Number number : numbers) text += (text.empty() ? "" : ",") + std::to_string(number);
  return text;
}

// --init SPEC REPORT OUTPUT UID GID GROUPS NAME ID ADDRESS_SPACE OUTPUTS BLOBS
bool ParseInit(int argc, char** argv, InitArguments* arguments) {
  if (argc != 13) return false;
  const bool good =
      ParseNumber(argv[2], &arguments->spec) && ParseNumber(argv[3], &arguments->report) &&
      ParseNumber(argv[4], &arguments->output) && ParseNumber(argv[5], &arguments->account.uid) &&
      ParseNumber(argv[6], &arguments->account.gid) &&
      ParseNumbers(argv[7], &arguments->account.groups);
  arguments->account.name = argv[8];
  arguments->account.home = kInsideWork;
  arguments->sandbox_id = argv[9];
  return good && ParseNumber(argv[10], &arguments->address_space) &&
         ParseNumber(argv[11], &arguments->outputs) && ParseNumbers(argv[12], &arguments->blobs);
}

class Init {
 public:
  explicit Init(InitArguments arguments) : arguments_(std::move(arguments)) {}

  [[noreturn]] void Run() {
    std::string error;
    if (!Begin(&error)) Fail(errno, error);
    const int status = AwaitCommand();
    const bool leftovers = HasChildren();
    WriteReport(arguments_.report,
                {InitWord::kEnded, status, leftovers ? std::string("leftovers") : std::string()});
    if (leftovers) EndLeftovers();
    if (arguments_.outputs >= 0) Collect();
    // The kernel kills what may still be in the namespace.
    _exit(0);
  }

 private:
  [[noreturn]] void Fail(int error, const std::string& what) {
    WriteReport(arguments_.report, {InitWord::kFailed, error, what});
    _exit(kExitFailed);
  }

  bool Begin(std::string* error);
  bool BecomeUser(std::string* error);
  bool MakeStdio();
  bool Start(LaunchSpec& spec, std::string* error);
  int AwaitCommand();
  static bool HasChildren();
  void EndLeftovers();
  void Collect();

  const InitArguments arguments_;
  uint64_t grace_ms_ = 0;
  OutputsSpec outputs_;
  base::UniqueFd workdir_;
  std::vector<std::string> secret_paths_;
  pid_t command_ = -1;
};

// All rights that a process can have besides its user's: none may be left, in no set.
bool Init::BecomeUser(std::string* error) {
  const Account& account = arguments_.account;
  *error = "user";
  if (geteuid() != account.uid || getegid() != account.gid) {
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; ++capability) {
      if (prctl(PR_CAPBSET_DROP, capability) != 0) return false;
    }
    if (setgroups(account.groups.size(), account.groups.data()) != 0 ||
        setresgid(account.gid, account.gid, account.gid) != 0 ||
        setresuid(account.uid, account.uid, account.uid) != 0) {
      return false;
    }
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct none[2] = {};
  if (syscall(SYS_capset, &header, none) != 0) return false;
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

bool Init::MakeStdio() {
  if (dup2(arguments_.output, 2) != 2) return false;
  // Only these, and the pipe; what bwrap was given is nothing for the command, not even by way of
  // our /proc/1/fd.
  unsigned next = 3;
  std::vector<int> wanted = arguments_.blobs;  // until the files are written
  wanted.insert(wanted.end(), {arguments_.report, arguments_.outputs});
  std::sort(wanted.begin(), wanted.end());
  for (const int fd : wanted) {
    if (fd < 0) continue;
    const auto kept = static_cast<unsigned>(fd);
    if (kept > next && syscall(SYS_close_range, next, kept - 1, 0) != 0) return false;
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return false;
    next = kept + 1;
  }
  return syscall(SYS_close_range, next, ~0u, 0) == 0;
}

bool Init::Begin(std::string* error) {
  std::string bytes;
  LaunchSpec spec;
  const bool read =
      ReadSealedMemfd(arguments_.spec, &bytes, error) && DecodeLaunchSpec(bytes, &spec, error);
  base::WipeString(bytes);
  if (!read) return false;
  *error = "stdio";
  if (!MakeStdio()) return false;
  if (!BecomeUser(error)) return false;
  // After the change of user, which sets it anew: neither our memory nor our descriptors are the
  // command's, though it is of the same user.
  prctl(PR_SET_DUMPABLE, 0);
  umask(022);
  const bool started = Start(spec, error);
  const int why = errno;
  spec.Wipe();
  errno = why;
  return started;
}

bool Init::Start(LaunchSpec& spec, std::string* error) {
  grace_ms_ = spec.grace_ms;
  const std::string work = spec.workdir.empty() ? kInsideWork : spec.workdir;
  // /work is a link into /tmp where the disk is limited.
  mkdir("/tmp/work", 0755);
  const base::UniqueFd run(open(kInsideRun, O_PATH | O_DIRECTORY | O_CLOEXEC));
  const SandboxPlace place{arguments_.sandbox_id, run.get(), kInsideRun};
  spec.workdir = work;
  base::UniqueFd workdir(open(work.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!workdir.valid()) {
    *error = "workdir '" + work + "'";
    return false;
  }
  std::vector<std::string> argv;
  // These say themselves why, with errno's words.
  base::UniqueFd input;
  {
    std::vector<base::UniqueFd> blobs;
    for (const int fd : arguments_.blobs) blobs.emplace_back(fd);
    if (WriteFiles(spec, blobs, arguments_.account, workdir.get(), error) &&
        MakeArguments(place, spec, arguments_.account, &argv, error)) {
      input = OpenStdin(spec, arguments_.account, workdir.get(), STDIN_FILENO, error);
    }
  }
  if (!input.valid()) {
    errno = 0;
    return false;
  }
  std::vector<std::string> environment = MakeEnvironment(place, spec, arguments_.account);
  SpawnRequest request;
  request.candidates = ProgramCandidates(argv[0], environment);
  request.argv = &argv;
  request.environment = &environment;
  request.stdin_fd = input.get();
  request.stdout_fd = 1;
  request.stderr_fd = 2;
  request.workdir = workdir.get();
  request.account = arguments_.account;
  request.forbid_core = HasSecrets(spec);
  getrlimit(RLIMIT_NOFILE, &request.open_files);
  request.address_space = arguments_.address_space;
  const SpawnResult result = Spawn(request);
  for (std::string& entry : environment) base::WipeString(entry);
  for (std::string& argument : argv) base::WipeString(argument);
  if (result.error != 0) {
    *error = result.stage;
    errno = result.error;
    return false;
  }
  command_ = result.pid;
  outputs_ = std::move(spec.outputs);
  workdir_ = std::move(workdir);
  for (const LaunchFile& file : spec.files) {
    if (file.secret) secret_paths_.push_back(file.path);
  }
  WriteReport(arguments_.report, {InitWord::kStarted, 0, ""});
  // Ours are copies of the command's pipes: their end of file is the command's business.
  for (const int fd : {0, 1, 2}) close(fd);
  return true;
}

// A supervisor that dies closes its end of the pipe, and all in here ends with us: bwrap's own
// --die-with-parent does not hold, because the change of user takes the signal away.
int Init::AwaitCommand() {
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  const base::UniqueFd children(signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!children.valid()) _exit(kExitFailed);
  for (;;) {
    signalfd_siginfo ignored;
    while (read(children.get(), &ignored, sizeof(ignored)) > 0) {
    }
    int status = 0;
    for (pid_t pid = 1; pid > 0;) {
      pid = waitpid(-1, &status, WNOHANG);
      if (pid == command_) return status;
    }
    pollfd watched[2] = {{arguments_.report, 0, 0}, {children.get(), POLLIN, 0}};
    if (poll(watched, 2, -1) > 0 && (watched[0].revents & (POLLERR | POLLNVAL)) != 0) {
      _exit(kExitFailed);
    }
  }
}

bool Init::HasChildren() {
  // What has ended by now is no leftover.
  for (;;) {
    const pid_t pid = waitpid(-1, nullptr, WNOHANG);
    if (pid == 0) return true;
    if (pid < 0) return false;
  }
}

void Init::EndLeftovers() {
  kill(-1, SIGTERM);
  kill(-1, SIGCONT);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  const uint64_t until = base::BootNs() + std::min(grace_ms_, kLeftoverGraceMs) * kMillisecond;
  while (HasChildren()) {
    const uint64_t now = base::BootNs();
    if (now >= until) return;
    const timespec left{static_cast<time_t>((until - now) / 1'000'000'000),
                        static_cast<long>((until - now) % 1'000'000'000)};
    sigtimedwait(&child, nullptr, &left);
  }
}

// Nothing but us is left in here then, so nothing changes under our hands. We are the task's user
// and see what the task saw: whatever its links and names lead to, it could have read itself.
void Init::Collect() {
  kill(-1, SIGKILL);
  while (waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {
  }
  RemoveSecretFiles(secret_paths_, arguments_.account, workdir_.get());
  CollectRequest request;
  request.patterns = std::move(outputs_.patterns);
  request.workdir = workdir_.get();
  request.files_max = outputs_.files_max;
  request.bytes_max = outputs_.bytes_max;
  request.deadline_boot_ns = base::BootNs() + outputs_.timeout_ms * kMillisecond;
  CollectOutputs(request, arguments_.outputs);
}

}  // namespace

std::vector<std::string> InitCommandLine(const InitArguments& arguments) {
  return {"--init",
          std::to_string(arguments.spec),
          std::to_string(arguments.report),
          std::to_string(arguments.output),
          std::to_string(arguments.account.uid),
          std::to_string(arguments.account.gid),
          Joined(arguments.account.groups),
          arguments.account.name,
          arguments.sandbox_id,
          std::to_string(arguments.address_space),
          std::to_string(arguments.outputs),
          Joined(arguments.blobs)};
}

void RunInit(int argc, char** argv) {
  // Whoever we are by now, nobody may look into what is read next.
  prctl(PR_SET_DUMPABLE, 0);
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  InitArguments arguments;
  if (!ParseInit(argc, argv, &arguments)) _exit(2);
  Init(std::move(arguments)).Run();
}

}  // namespace boxkeeper::launcher
