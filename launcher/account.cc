#include "launcher/account.h"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <functional>
#include <string_view>

#include "base/core/file_io.h"

namespace boxkeeper::launcher {
namespace {

constexpr size_t kAccountFileBytesMax = 64 << 20;

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

bool ToNumber(std::string_view text, uint32_t* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  // 2^32 - 1 means "leave unchanged" to the kernel.
  return error == std::errc() && end == text.data() + text.size() && !text.empty() &&
         *number != UINT32_MAX;
}

// The first passwd entry that `matches` (name, uid).
bool FindEntry(std::string_view passwd, const std::function<bool(std::string_view, uid_t)>& matches,
               Account* account) {
  for (const std::string_view line : Split(passwd, '\n')) {
    const auto fields = Split(line, ':');
    uint32_t uid, gid;
    if (fields.size() < 7 || !ToNumber(fields[2], &uid) || !ToNumber(fields[3], &gid)) continue;
    if (!matches(fields[0], uid)) continue;
    *account = Account{uid, gid, {}, std::string(fields[0]), std::string(fields[5])};
    return true;
  }
  return false;
}

std::vector<gid_t> GroupsOf(std::string_view group, std::string_view name) {
  std::vector<gid_t> groups;
  for (const std::string_view line : Split(group, '\n')) {
    const auto fields = Split(line, ':');
    uint32_t gid;
    if (fields.size() < 4 || !ToNumber(fields[2], &gid)) continue;
    for (const std::string_view member : Split(fields[3], ',')) {
      if (member == name) groups.push_back(gid);
    }
  }
  return groups;
}

bool FindByNumber(std::string_view passwd, std::string_view user, Account* account) {
  const size_t colon = user.find(':');
  uint32_t uid, gid;
  if (!ToNumber(user.substr(0, colon), &uid)) return false;
  const bool has_entry =
      FindEntry(passwd, [&](std::string_view, uid_t entry) { return entry == uid; }, account);
  if (!has_entry) *account = Account{uid, uid, {}, std::to_string(uid), ""};
  if (colon == std::string_view::npos) return true;
  if (!ToNumber(user.substr(colon + 1), &gid)) return false;
  account->gid = gid;
  return true;
}

}  // namespace

bool FindAccountIn(const std::string& passwd, const std::string& group, const std::string& user,
                   uid_t self, gid_t self_gid, Account* account, std::string* error) {
  if (user.empty()) {
    FindByNumber(passwd, std::to_string(self) + ":" + std::to_string(self_gid), account);
  } else if (!FindEntry(
                 passwd, [&](std::string_view name, uid_t) { return name == user; }, account) &&
             !FindByNumber(passwd, user, account)) {
    *error = "user '" + user + "': no such name in /etc/passwd, nor uid[:gid]";
    return false;
  }
  account->groups = GroupsOf(group, account->name);
  return true;
}

bool FindAccount(const std::string& user, Account* account, std::string* error) {
  // A bare root file system may have neither file: then only numbers are known.
  std::string passwd, group;
  base::ReadFileAt(AT_FDCWD, "/etc/passwd", kAccountFileBytesMax, &passwd);
  base::ReadFileAt(AT_FDCWD, "/etc/group", kAccountFileBytesMax, &group);
  return FindAccountIn(passwd, group, user, geteuid(), getegid(), account, error);
}

}  // namespace boxkeeper::launcher
