// From the configuration to the options of the parts.
#pragma once

#include <optional>
#include <string>

#include "blobs/blob_store.h"
#include "boxkeeper/config/v1/config.pb.h"
#include "config/load_config.h"
#include "daemon/core/options.h"
#include "daemon/service/tls.h"
#include "daemon/wiring/log_adapter.h"
#include "providers/provider.h"

namespace boxkeeper::daemon {

// Knows the provider types of this build.
config::LoadOptions MakeLoadOptions();

// `deployment_id` is for status only.
CoreOptions MakeCoreOptions(const config::v1::Config& config, const std::string& deployment_id);
providers::CallLimits MakeCallLimits(const config::v1::Provider& provider);
blobs::BlobLimits MakeBlobLimits(const config::v1::Config& config);
LogAdapterOptions MakeLogOptions(const config::v1::Config& config);
std::optional<TlsFiles> MakeTlsFiles(const config::v1::Config& config);

}  // namespace boxkeeper::daemon
