// Users and groups from /etc/passwd and /etc/group.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace boxkeeper::launcher {

// Whom a command runs as.
struct Account {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  // supplementary
  std::string name;           // the uid in digits when it has no entry
  std::string home;           // "" when it has no entry
};

// `user` is a name, or uid[:gid] in digits; "" is the calling process's own. Reads the files
// itself: a static binary must not load name service modules, so users of LDAP and the like are
// named by number. False with `error` for an unknown name or a damaged number.
bool FindAccount(const std::string& user, Account* account, std::string* error);
// The same from the two files' text, for uid `self`, gid `self_gid`.
bool FindAccountIn(const std::string& passwd, const std::string& group, const std::string& user,
                   uid_t self, gid_t self_gid, Account* account, std::string* error);

}  // namespace boxkeeper::launcher
