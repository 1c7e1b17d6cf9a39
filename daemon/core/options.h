// What the core is configured with. Made from the configuration by daemon/wiring; reloadable as a
// whole.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

namespace boxkeeper::daemon {

struct ProviderLimits {
  int64_t max_running = 0;  // sandboxes that are not gone; 0 = only the daemon's max_running
  int create_concurrency = 32;
  int status_concurrency = 128;
  int cleanup_concurrency = 32;
  std::chrono::milliseconds call_timeout{30'000};  // of every verb but Create and Start
};

// Defaults are those of docs/configuration.md.
struct CoreOptions {
  size_t creation_batch_size = 8;
  std::chrono::milliseconds creation_batch_wait{5};
  std::chrono::milliseconds poll_interval{5'000};
  std::chrono::milliseconds create_timeout{120'000};
  std::chrono::milliseconds start_timeout{60'000};
  std::chrono::milliseconds cancel_grace{10'000};
  std::chrono::milliseconds final_drain{10'000};
  int64_t max_running = 1'000;
  int64_t max_queued = 100'000;
  int max_attempts = 3;
  std::chrono::milliseconds retry_initial{1'000};
  std::chrono::milliseconds retry_max{60'000};
  std::chrono::milliseconds orphan_grace{60'000};
  std::chrono::milliseconds handover_grace{20'000};
  std::chrono::milliseconds retention{24 * 3'600'000LL};
  std::chrono::milliseconds unacked_retention{168 * 3'600'000LL};
  std::chrono::milliseconds dedupe_retention{168 * 3'600'000LL};
  std::chrono::milliseconds outputs_timeout{60'000};  // of collecting; see ArmRunTimeout
  std::map<std::string, ProviderLimits> providers;
  std::string default_provider;
  // For status only.
  std::string version;
  std::string deployment_id;
  std::string state_dir;
  std::string logs_url;
};

}  // namespace boxkeeper::daemon
