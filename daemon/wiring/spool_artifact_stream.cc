#include "daemon/wiring/spool_artifact_stream.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "daemon/api/api_error.h"

namespace boxkeeper::daemon {

using boost::asio::awaitable;

namespace {

constexpr size_t kPieceBytes = 256 * 1024;

}  // namespace

SpoolArtifactStream::SpoolArtifactStream(artifacts::ArtifactReader& reader,
                                         artifacts::ArtifactSource source,
                                         v1::ReadArtifactRequest request)
    : reader_(reader), source_(std::move(source)), request_(std::move(request)) {}

awaitable<absl::Status> SpoolArtifactStream::Begin() {
  absl::StatusOr<v1::OutputsStatus> outputs = co_await reader_.List(source_);
  if (!outputs.ok() && !absl::IsNotFound(outputs.status())) co_return outputs.status();
  const v1::Artifact* found = nullptr;
  if (outputs.ok()) {
    for (const v1::Artifact& artifact : outputs->artifacts()) {
      if (artifact.path() == request_.path()) found = &artifact;
    }
  }
  if (found == nullptr) {
    co_return ApiError(absl::StatusCode::kNotFound, "ARTIFACT_NOT_FOUND",
                       absl::StrCat("the task has no output '", request_.path(),
                                    "'; ListArtifacts tells which it has"));
  }
  if (request_.offset() > found->size()) {
    co_return ApiError(absl::StatusCode::kOutOfRange, "OFFSET_BEYOND_END",
                       absl::StrCat("offset ", request_.offset(), " is beyond the artifact's ",
                                    found->size(), " bytes"));
  }
  artifact_ = *found;
  offset_ = static_cast<uint64_t>(request_.offset());
  co_return absl::OkStatus();
}

awaitable<absl::StatusOr<v1::ReadArtifactResponse>> SpoolArtifactStream::Next() {
  v1::ReadArtifactResponse response;
  if (!begun_) {
    absl::Status begun = co_await Begin();
    if (!begun.ok()) co_return begun;
    begun_ = true;
    *response.mutable_artifact() = artifact_;
  }
  absl::StatusOr<std::string> bytes =
      co_await reader_.Read(source_, artifact_, offset_, kPieceBytes);
  if (!bytes.ok()) co_return bytes.status();
  response.set_offset(static_cast<int64_t>(offset_));
  offset_ += bytes->size();
  response.set_end(offset_ >= static_cast<uint64_t>(artifact_.size()));
  response.set_data(*std::move(bytes));
  co_return response;
}

}  // namespace boxkeeper::daemon
