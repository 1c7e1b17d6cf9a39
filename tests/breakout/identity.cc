// What a sandboxed process is and has.
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/breakout/probe.h"

extern char** environ;  // NOLINT(readability-redundant-declaration)

namespace boxkeeper::breakout {
namespace {

std::string Joined(std::vector<std::string> words) {
  std::sort(words.begin(), words.end());
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

std::vector<std::string> NamesIn(const char* path) {
  std::vector<std::string> names;
  DIR* folder = opendir(path);
  while (const dirent* entry = folder == nullptr ? nullptr : readdir(folder)) {
    if (entry->d_name[0] != '.') names.push_back(entry->d_name);
  }
  if (folder != nullptr) closedir(folder);
  return names;
}

// Value of a line of a /proc status file.
std::string Field(const std::string& status, const std::string& name) {
  const size_t at = status.find("\n" + name + ":\t");
  if (at == std::string::npos) return "";
  const size_t from = at + name.size() + 3;
  return status.substr(from, status.find('\n', from) - from);
}

// Open descriptors that the probe did not open itself.
std::string Descriptors() {
  std::vector<std::string> open;
  for (const std::string& name : NamesIn("/proc/self/fd")) {
    struct stat status;
    if (fstat(atoi(name.c_str()), &status) == 0) open.push_back(name);  // not the listing's own
  }
  return Joined(open);
}

std::string Processes() {
  std::vector<std::string> pids;
  for (const std::string& name : NamesIn("/proc")) {
    if (name.find_first_not_of("0123456789") == std::string::npos) pids.push_back(name);
  }
  return std::to_string(pids.size());
}

// Places of mounts on which set-user-ID programs would gain something; /proc's line format is
// "id parent device root PLACE OPTIONS ...".
std::string PlacesWithSetuid() {
  std::vector<std::string> places;
  const std::string table = ReadAll("/proc/self/mountinfo");
  for (size_t from = 0; from < table.size();) {
    const size_t to = std::min(table.find('\n', from), table.size());
    std::vector<std::string> fields;
    for (size_t at = from; at < to && fields.size() < 6;) {
      const size_t end = std::min(table.find(' ', at), to);
      fields.push_back(table.substr(at, end - at));
      at = end + 1;
    }
    if (fields.size() == 6 && fields[5].find("nosuid") == std::string::npos) {
      places.push_back(fields[4]);
    }
    from = to + 1;
  }
  return Joined(places);
}

}  // namespace

void TellIdentity() {
  const std::string status = ReadAll("/proc/self/status");
  for (const char* name :
       {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"}) {
    Tell(name, Field(status, name));
  }
  std::vector<std::string> names;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    names.push_back(std::string(*variable, strcspn(*variable, "=")));
  }
  Tell("environment", Joined(names));
  Tell("descriptors", Descriptors());
  Tell("devices", Joined(NamesIn("/dev")));
  Tell("processes", Processes());
  Tell("parent_of_init", Field(ReadAll("/proc/1/status"), "PPid"));
  Tell("session_leader", getsid(0) == getpid() ? "self" : std::to_string(getsid(0)));
  Tell("mounts_with_setuid", PlacesWithSetuid());
}

}  // namespace boxkeeper::breakout
