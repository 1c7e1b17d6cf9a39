// Cuts pieces of the `airflow` layout and produces their bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "boxkeeper/store/v1/records.pb.h"
#include "logs/layout_airflow.h"
#include "logs/object_store.h"
#include "logs/resumable_sha256.h"
#include "logs/spool_reader.h"

namespace boxkeeper::logs {

// A piece that could be stored now.
struct AirflowCut {
  store::v1::LogCursor to;  // where the next one begins
  uint64_t size = 0;        // 0: there is no complete line (but `to` may have moved on)
  std::string sha256;
  bool all_rendered = false;  // nothing is left behind it, as of this look
  uint64_t redacted = 0;
  // The bytes, if there are few: they need not be rendered again for the upload.
  std::shared_ptr<const std::string> content = {};
};

// Renders the next piece from `from` on and forgets it, but for its size and hash. `whole`, if not
// null, takes its bytes too. Blocking, flat memory.
absl::StatusOr<AirflowCut> CutPiece(SpoolReader& reader, const store::v1::LogCursor& from,
                                    const AirflowRenderer::Input& input,
                                    ResumableSha256* whole = nullptr);

// What Piece::open needs: a source that gives `content`, or renders the piece again
// (`input.exact_bytes` is set).
std::function<absl::StatusOr<std::unique_ptr<PieceSource>>()> PieceOpener(
    SpoolReader reader, store::v1::LogCursor from, AirflowRenderer::Input input,
    std::shared_ptr<const std::string> content);

// A source of one string.
std::function<absl::StatusOr<std::unique_ptr<PieceSource>>()> TextOpener(
    std::shared_ptr<const std::string> content);

}  // namespace boxkeeper::logs
