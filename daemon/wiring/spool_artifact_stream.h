// One reader's place in one of a task's outputs.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>

#include "absl/status/statusor.h"
#include "artifacts/artifact_reader.h"
#include "boxkeeper/v1/executor.pb.h"
#include "daemon/api/task_api.h"

namespace boxkeeper::daemon {

// Finds the artifact with its first piece; holds one piece at a time. `reader` outlives it.
class SpoolArtifactStream final : public ArtifactStream {
 public:
  SpoolArtifactStream(artifacts::ArtifactReader& reader, artifacts::ArtifactSource source,
                      v1::ReadArtifactRequest request);

  boost::asio::awaitable<absl::StatusOr<v1::ReadArtifactResponse>> Next() override;

 private:
  boost::asio::awaitable<absl::Status> Begin();

  artifacts::ArtifactReader& reader_;
  const artifacts::ArtifactSource source_;
  const v1::ReadArtifactRequest request_;
  v1::Artifact artifact_;
  uint64_t offset_ = 0;
  bool begun_ = false;
};

}  // namespace boxkeeper::daemon
