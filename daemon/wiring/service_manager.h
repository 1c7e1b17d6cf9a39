// Tells systemd how far we are (sd_notify's protocol, without its library).
#pragma once

#include <string>

namespace boxkeeper::daemon {

// Sends `state`, e.g. "READY=1", to the socket that $NOTIFY_SOCKET names; nothing if that is unset.
// Never blocks, never fails: it is a courtesy.
void NotifyServiceManager(const std::string& state);

}  // namespace boxkeeper::daemon
