#include "logs/testing/spool_writer.h"

#include "base/check.h"
#include "base/core/spool_format.h"

namespace boxkeeper::logs {

SpoolWriter::SpoolWriter(base::FileSystem& files, const std::string& directory)
    : files_(files), spool_(SpoolFiles(directory)) {
  CHECK(files_.MakeDirectories(directory, 0700).ok());
}

uint64_t SpoolWriter::size(Stream stream) const { return sizes_[static_cast<size_t>(stream)]; }

void SpoolWriter::AppendTo(const std::string& path, std::string_view bytes) {
  auto file = files_.Open(path, {.write = true, .create = true});
  CHECK(file.ok() && (*file)->Append(bytes).ok());
}

void SpoolWriter::WriteWithoutIndex(Stream stream, std::string_view bytes) {
  AppendTo(spool_.path(stream), bytes);
  sizes_[static_cast<size_t>(stream)] += bytes.size();
}

void SpoolWriter::Write(Stream stream, std::string_view bytes, int64_t arrival_ms) {
  base::IndexRecord record;
  record.stream =
      stream == Stream::kStdout ? base::SpoolStream::kStdout : base::SpoolStream::kStderr;
  record.offset = size(stream);
  record.length = static_cast<uint32_t>(bytes.size());
  record.arrival_unix_ms = static_cast<uint64_t>(arrival_ms);
  WriteWithoutIndex(stream, bytes);
  std::string encoded;
  base::AppendIndexRecord(encoded, record);
  AppendTo(spool_.index_path(), encoded);
}

void SpoolWriter::Drop(Stream stream, uint64_t from, uint64_t to) {
  const std::string record = base::EncodeDropRecord({.from = from, .to = to});
  const std::string path = spool_.path(stream) + std::string(base::kDropSuffix);
  CHECK(base::WriteFileAtomically(files_, path, record, 0600).ok());
  auto file = files_.Open(spool_.path(stream), {.write = true});
  CHECK(file.ok() && (*file)->WriteAt(from, std::string(to - from, '\0')).ok());
}

}  // namespace boxkeeper::logs
