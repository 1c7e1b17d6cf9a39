// The supervisor's spool: a script of a command's writes to both pipes, pumped now and then, under
// a limit that drops or blocks. What logs/ reads back is what was written, but for one announced
// hole between the first and the last quarter of the limit (I8); without a drop nothing is missing.
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>

#include "base/core/spool_format.h"
#include "base/file_system.h"
#include "launcher/spool.h"
#include "logs/spool_reader.h"
#include "tests/fuzz/property.h"

namespace boxkeeper::fuzz {
namespace {

using launcher::Spool;

constexpr int kWritesMax = 60;
constexpr size_t kStepBytesMax = 1 << 20;  // of one pump, without a limit

// In memory where there is such a place. Removed when the process ends; emptied for each input.
struct Place {
  Place()
      : path((std::filesystem::exists("/dev/shm") ? "/dev/shm/bk-fuzz-" : "/tmp/bk-fuzz-spool-") +
             std::to_string(getpid())) {}
  ~Place() { std::filesystem::remove_all(path); }
  void Empty() const {
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path);
  }
  const std::string path;
};

const std::string& EmptyPlace() {
  static const Place place;
  place.Empty();
  return place.path;
}

class Run {
 public:
  explicit Run(Input& input) : spool_(/*spare_bytes=*/0) {
    const std::string& place = EmptyPlace();
    const uint8_t flags = input.Byte();
    spec_.stdout_path = place + "/stdout";
    spec_.stderr_path = place + "/stderr";
    spec_.index_path = place + "/index";
    spec_.log_bytes_max = (flags & 1) != 0 ? input.Number<uint16_t>() : 0;
    blocks_ = (flags & 2) != 0;
    spec_.overflow =
        blocks_ ? launcher::OverflowPolicy::kBlock : launcher::OverflowPolicy::kDropMiddle;
    std::string error;
    Require(spool_.Open(spec_, &error), "a spool opens", error);
    for (const size_t stream : {0, 1}) fcntl(spool_.write_end(stream), F_SETFL, O_NONBLOCK);
    for (int i = 0; i < kWritesMax && !input.empty(); ++i) {
      const uint8_t what = input.Byte();
      Write(what & 1, input.Number<uint16_t>());
      if ((what & 2) != 0) spool_.Pump(what & 1);
      if ((what & 4) != 0) spool_.Pump(1 - (what & 1));
    }
    End();
  }

  void Check() {
    const auto files = base::MakeRealFileSystem();
    logs::SpoolReader reader(*files, logs::SpoolFiles(Folder()), nullptr);
    CheckStream(reader, logs::Stream::kStdout, 0);
    CheckStream(reader, logs::Stream::kStderr, 1);
    CheckIndex(reader);
  }

 private:
  std::string Folder() const { return spec_.index_path.substr(0, spec_.index_path.rfind('/')); }

  // As much as the pipe takes; what it does not take, the command has not written.
  void Write(size_t stream, size_t bytes) {
    std::string data(bytes, '\0');
    for (char& c : data) c = static_cast<char>(1 + next_++ % 251);
    const ssize_t taken = write(spool_.write_end(stream), data.data(), data.size());
    if (taken > 0) written_[stream] += data.substr(0, static_cast<size_t>(taken));
  }

  // The command is gone: the rest is taken, whatever the limit.
  void End() {
    spool_.CloseWriteEnds();
    for (const size_t stream : {0, 1}) {
      int pumps = 0;
      while (spool_.Pump(stream, /*past_limit=*/true) != Spool::PumpResult::kEnd) {
        Require(++pumps < 10'000, "a pipe that is closed ends");
      }
    }
  }

  void CheckStream(logs::SpoolReader& reader, logs::Stream stream, size_t index) {
    const std::string& written = written_[index];
    Require(spool_.bytes(index) == written.size(), "every byte that was written is counted");
    const auto size = reader.Size(stream);
    Require(size.ok() && *size == written.size(), "the file is as long as the stream");
    const auto hole = reader.ReadHole(stream);
    Require(hole.ok(), "a hole can be read", hole.status().ToString());
    Require(hole->to - hole->from == spool_.dropped_bytes(index), "the hole is what was dropped");
    const uint64_t limit = spec_.log_bytes_max;
    if (limit == 0 || blocks_ || written.size() <= 2 * (limit / 4)) {
      Require(hole->empty(), "nothing is dropped below the limit, or where the limit blocks");
    }
    if (!hole->empty()) {
      Require(hole->from >= limit / 4 && hole->to + limit / 4 <= written.size(),
              "the first and the last quarter are kept");
    }
    uint64_t at = 0;
    while (at < written.size()) {
      const auto slice = reader.ReadAt(stream, at, 10'000, written.size());
      Require(slice.ok(), "a stream can be read", slice.status().ToString());
      if (slice->in_hole) {
        at = slice->hole.to;
        continue;
      }
      Require(!slice->data.empty() && written.compare(at, slice->data.size(), slice->data) == 0,
              "what is read is what was written");
      at += slice->data.size();
    }
    const uint64_t step = std::max<uint64_t>(limit / 4, 4096);
    if (limit > 0 && !blocks_) {
      Require(written.size() - spool_.dropped_bytes(index) <= limit + 2 * step + 65536,
              "what is kept is bounded");
    }
  }

  void CheckIndex(logs::SpoolReader& reader) {
    const auto index = reader.ReadIndex(0, 1 << 16);
    Require(index.ok(), "an index can be read");
    uint64_t covered[2] = {0, 0};
    for (size_t at = 0; at < index->size(); at += base::kIndexRecordBytes) {
      const auto record = base::ParseIndexRecord(std::string_view(*index).substr(at));
      Require(record.has_value(), "index records are whole");
      uint64_t& end = covered[record->stream == base::SpoolStream::kStdout ? 0 : 1];
      Require(record->offset == end && record->length > 0 && record->length <= kStepBytesMax,
              "index records follow each other");
      end += record->length;
    }
    Require(covered[0] == written_[0].size() && covered[1] == written_[1].size(),
            "the index covers every byte");
  }

  Spool spool_;
  launcher::LaunchSpec spec_;
  std::string written_[2];
  uint32_t next_ = 0;
  bool blocks_ = false;
};

}  // namespace
}  // namespace boxkeeper::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  boxkeeper::fuzz::Input input(data, size);
  boxkeeper::fuzz::Run(input).Check();
  return 0;
}
