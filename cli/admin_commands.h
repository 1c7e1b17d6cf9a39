// Commands for operators: status providers sandboxes drain reload.
#pragma once

#include <string>

#include "cli/session.h"

namespace boxkeeper::cli {

int Status(Session& session);
int Providers(Session& session);
// As the providers see them. 1 if a provider could not be asked.
int Sandboxes(Session& session, const std::string& provider);
int Orphans(Session& session, const std::string& provider);
struct ReapOptions {
  std::string provider;  // "" = all
  bool dry_run = false;
  int64_t accept_epoch = 0;
};
int Reap(Session& session, const ReapOptions& options);
int Drain(Session& session, bool off);
int Reload(Session& session);

}  // namespace boxkeeper::cli
