// Commands for operators: status providers sandboxes drain reload.
#pragma once

#include <string>

#include "cli/session.h"

namespace boxkeeper::cli {

int Status(Session& session);
int Providers(Session& session);
// As the providers see them. 1 if a provider could not be asked.
int Sandboxes(Session& session, const std::string& provider);
int Drain(Session& session, bool off);
int Reload(Session& session);

}  // namespace boxkeeper::cli
