#include "logs/stores/open_store.h"

#include <utility>

#include "logs/azure/azure_store.h"
#include "logs/file_store.h"
#include "logs/gcs/gcs_store.h"

namespace boxkeeper::logs {

absl::StatusOr<std::unique_ptr<ObjectStore>> OpenStore(StoreDeps deps, StoreOptions options) {
  const std::string scheme = options.url.substr(0, options.url.find("://"));
  if (scheme == "s3") {
    options.s3.url = std::move(options.url);
    return s3::S3Store::Create({deps.clock, deps.rng, deps.files, deps.loop, deps.pool},
                               std::move(options.s3));
  }
  if (scheme == "gs") {
    return GcsStore::Create({deps.clock, deps.rng, deps.files, deps.loop, deps.pool}, options.url,
                            {.settings = std::move(options.gcs)});
  }
  if (scheme == "azure") {
    return AzureStore::Create({deps.clock, deps.rng, deps.files, deps.loop, deps.pool}, options.url,
                              {.settings = std::move(options.azure)});
  }
  return FileStore::Create({deps.files, deps.pool}, options.url);
}

}  // namespace boxkeeper::logs
