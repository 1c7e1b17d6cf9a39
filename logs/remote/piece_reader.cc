#include "logs/remote/piece_reader.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/run_on.h"
#include "base/sha256.h"
#include "base/status_macros.h"

namespace boxkeeper::logs::remote {

namespace asio = boost::asio;

// On the pool, by one thread at a time.
struct PieceReader::State {
  explicit State(const Piece& p) : piece(p) {}

  absl::StatusOr<std::string> Next(size_t size) {
    RETURN_IF_ERROR(failed);
    failed = Fill(size);
    RETURN_IF_ERROR(failed);
    std::string block = buffer.substr(0, size);
    buffer.erase(0, size);
    given += block.size();
    return block;
  }

  absl::Status Fill(size_t size) {
    if (source == nullptr) {
      ASSIGN_OR_RETURN(source, piece.open());
    }
    while (buffer.size() < size && !ended) RETURN_IF_ERROR(ReadMore());
    // The end is looked for before the last bytes are given away.
    while (buffer.size() == size && taken == piece.size && !ended) RETURN_IF_ERROR(ReadMore());
    return absl::OkStatus();
  }

  absl::Status ReadMore() {
    ASSIGN_OR_RETURN(const std::string data, source->Next());
    if (data.empty()) {
      ended = true;
      if (taken == piece.size && hash.Finish() == piece.sha256) return absl::OkStatus();
      return NotAnnounced();
    }
    hash.Add(data);
    taken += data.size();
    buffer += data;
    return taken > piece.size ? NotAnnounced() : absl::OkStatus();
  }

  absl::Status NotAnnounced() const {
    return absl::DataLossError(absl::StrCat(piece.name, ": the bytes are not those announced (",
                                            taken, " of ", piece.size, " bytes)"));
  }

  const Piece piece;
  std::unique_ptr<PieceSource> source;
  std::string buffer;
  uint64_t taken = 0;  // from the source
  uint64_t given = 0;
  bool ended = false;
  absl::Status failed;  // from then on
  base::Sha256Stream hash;
};

PieceReader::PieceReader(asio::any_io_executor pool, const Piece& piece)
    : pool_(std::move(pool)), state_(std::make_shared<State>(piece)) {}

asio::awaitable<absl::StatusOr<std::string>> PieceReader::Next(size_t size) {
  auto work = [state = state_, size] { return state->Next(size); };
  co_return co_await base::RunOn(pool_, std::move(work));
}

uint64_t PieceReader::position() const { return state_->given; }

}  // namespace boxkeeper::logs::remote
