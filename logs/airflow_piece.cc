#include "logs/airflow_piece.h"

#include <utility>

#include "base/sha256.h"
#include "base/status_macros.h"

namespace boxkeeper::logs {
namespace {

// Above it a piece is rendered twice rather than kept.
constexpr size_t kKeepBytes = 2 * 1024 * 1024;

class TextSource final : public PieceSource {
 public:
  explicit TextSource(std::shared_ptr<const std::string> content) : content_(std::move(content)) {}
  absl::StatusOr<std::string> Next() override {
    return std::exchange(done_, true) ? std::string() : *content_;
  }

 private:
  std::shared_ptr<const std::string> content_;
  bool done_ = false;
};

class RenderedSource final : public PieceSource {
 public:
  RenderedSource(SpoolReader reader, store::v1::LogCursor from, AirflowRenderer::Input input)
      : reader_(std::move(reader)), renderer_(reader_, std::move(from), input) {}

  absl::StatusOr<std::string> Next() override {
    std::string out;
    for (bool more = true; more && out.empty();) {
      ASSIGN_OR_RETURN(more, renderer_.Step(out));
    }
    return out;
  }

 private:
  SpoolReader reader_;
  AirflowRenderer renderer_;
};

}  // namespace

absl::StatusOr<AirflowCut> CutPiece(SpoolReader& reader, const store::v1::LogCursor& from,
                                    const AirflowRenderer::Input& input, ResumableSha256* whole) {
  AirflowRenderer renderer(reader, from, input);
  base::Sha256Stream hash;
  std::string kept;
  bool keep = true;
  std::string out;
  for (bool more = true; more;) {
    out.clear();
    ASSIGN_OR_RETURN(more, renderer.Step(out));
    hash.Add(out);
    if (whole != nullptr) whole->Update(out);
    keep = keep && kept.size() + out.size() <= kKeepBytes;
    if (keep) {
      kept += out;
    } else {
      kept = std::string();
    }
  }
  AirflowCut cut{.to = renderer.cursor(),
                 .size = renderer.bytes(),
                 .sha256 = hash.Finish(),
                 .all_rendered = !renderer.piece_full(),
                 .redacted = renderer.redacted()};
  if (keep) cut.content = std::make_shared<const std::string>(std::move(kept));
  return cut;
}

std::function<absl::StatusOr<std::unique_ptr<PieceSource>>()> PieceOpener(
    SpoolReader reader, store::v1::LogCursor from, AirflowRenderer::Input input,
    std::shared_ptr<const std::string> content) {
  if (content) return TextOpener(std::move(content));
  return [reader = std::move(reader), from = std::move(from),
          input]() -> absl::StatusOr<std::unique_ptr<PieceSource>> {
    return std::make_unique<RenderedSource>(reader, from, input);
  };
}

std::function<absl::StatusOr<std::unique_ptr<PieceSource>>()> TextOpener(
    std::shared_ptr<const std::string> content) {
  return [content = std::move(content)]() -> absl::StatusOr<std::unique_ptr<PieceSource>> {
    return std::make_unique<TextSource>(content);
  };
}

}  // namespace boxkeeper::logs
