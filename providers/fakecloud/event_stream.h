// Follows FakeCloud's stream of events; each becomes a hint.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/http/client.h"
#include "base/rng.h"
#include "providers/provider.h"

namespace boxkeeper::providers::fakecloud {

// The server says something at least every 5 s; what is silent for longer than this is dead.
inline constexpr std::chrono::seconds kEventSilenceMax{20};

struct EventStream {
  base::Clock& clock;
  std::shared_ptr<base::Rng> rng;
  std::shared_ptr<base::http::Client> client;
  std::function<void(ProviderHint)> hint;
};

// Until it is cancelled: connects, says "look at everything" (an empty hint) each time it is
// connected anew, and hints at what ends. Failures are waited out with back-off.
boost::asio::awaitable<void> FollowEvents(EventStream stream);

// One line of the stream; nullopt for a blank one, or one that makes no sense.
std::optional<ProviderHint> HintOfLine(std::string_view line);

}  // namespace boxkeeper::providers::fakecloud
