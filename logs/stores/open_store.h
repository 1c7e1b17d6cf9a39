// The store that a URL names: the one place that knows all of them.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/rng.h"
#include "logs/azure/credentials.h"
#include "logs/gcs/credentials.h"
#include "logs/object_store.h"
#include "logs/s3/s3_store.h"

namespace boxkeeper::logs {

struct StoreOptions {
  std::string url;  // file://, s3://, gs:// or azure://
  // What belongs to the URL's kind of store; its own `url` is not looked at.
  s3::S3StoreOptions s3 = {};
  gcs::Settings gcs = {};
  azure::Settings azure = {};
};

struct StoreDeps {
  base::Clock& clock;
  base::Rng& rng;
  base::FileSystem& files;
  boost::asio::any_io_executor loop;
  boost::asio::any_io_executor pool;
};

// Connects to nothing. kInvalidArgument says which option is wrong.
absl::StatusOr<std::unique_ptr<ObjectStore>> OpenStore(StoreDeps deps, StoreOptions options);

}  // namespace boxkeeper::logs
