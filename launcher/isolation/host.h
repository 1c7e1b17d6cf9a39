// What isolation needs of the host: found out, and made, once per launcher.
#pragma once

#include <string>
#include <vector>

#include "base/core/unique_fd.h"
#include "launcher/abilities.h"
#include "launcher/account.h"

namespace boxkeeper::launcher {

// Made by Prepare when the launcher starts; its descriptors pass to supervisors by fork.
class IsolationHost {
 public:
  // Looks for bwrap, makes `<launch_path>/isolation/init` and `files.<n>` beside it, and runs a
  // whole sandbox once to see that it works. Afterwards ability() says so, or why not. Blocks for
  // some 100 ms.
  void Prepare(const std::string& launch_path, int launch_directory);
  // The `files.<n>` of earlier launchers. Only while no sandbox of theirs runs: it has them
  // mounted.
  void RemoveOldFiles() const;

  const Ability& ability() const { return ability_; }
  // Its descriptors, for who closes all others.
  std::vector<int> descriptors() const;

  // Whom a command runs as that names no user: the launcher's own, but never root, because a
  // process of root's may do much without any capability.
  Account DefaultAccount(const Account& self) const;

  // bwrap's arguments for everything but volumes, image and work directory; what follows them runs
  // as the sandbox's first process. `seccomp` is a descriptor to be passed on.
  const std::string& bwrap() const { return bwrap_; }
  std::string init_path() const { return directory_ + "/init"; }
  std::string etc_path() const { return directory_ + "/" + files_ + "/etc"; }
  // Of root's launcher: a user namespace in which every user is itself. -1: bwrap makes one.
  int user_namespace() const { return user_namespace_.get(); }
  // A descriptor of the system call filter at its beginning; each bwrap reads one of its own.
  base::UniqueFd OpenFilter() const;

 private:
  bool Find(std::string* error);
  bool MakeFiles(const std::string& launch_path, int launch_directory, std::string* error);
  bool MakeUserNamespace(std::string* error);
  bool MakeFilter(std::string* error);
  bool Try(std::string* error) const;

  Ability ability_{.how = "", .why_not = "not looked for"};
  std::string bwrap_;
  std::string directory_;
  base::UniqueFd directory_fd_;
  std::string files_;
  base::UniqueFd filter_;
  base::UniqueFd user_namespace_;
};

}  // namespace boxkeeper::launcher
