// Takes in what a collector sends and stores it durably: base/core/outputs_format.h.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "base/core/outputs_format.h"
#include "base/core/sha256.h"
#include "base/core/unique_fd.h"
#include "launcher/outputs/output_stream.h"

namespace boxkeeper::launcher {

// Belongs to the supervisor's one thread. Keeps every limit itself, and believes nothing of the
// collector but that these are the bytes.
class OutputsReceiver {
 public:
  struct Options {
    std::string path;  // of the manifest, absolute
    uint64_t files_max = 0;
    uint64_t bytes_max = 0;
    uint64_t spare_bytes = 0;  // what is left free on the disk
  };

  // Begins anew; what an earlier beginning has stored is removed.
  void Begin(Options options);
  void Receive(std::string_view bytes);
  // The collector has said its last word, or nothing sensible any more.
  bool done() const { return done_; }
  // No more will come, though more was to: what is whole stays. `why` becomes a note.
  void CutOff(const std::string& why);
  // Puts data and manifest on the disk. 0 or errno; the manifest stands only after a success.
  int Store();

  const base::OutputsManifest& manifest() const { return manifest_; }
  uint64_t bytes() const { return end_; }

 private:
  void Take(const OutputFrame& frame);
  void BeginFile(std::string_view payload);
  void TakeData(std::string_view bytes);
  void EndFile();
  void DropFile();
  void Note(std::string text);
  bool DiskHasRoom(size_t bytes) const;
  int OpenData();

  Options options_;
  OutputFrameParser parser_;
  base::OutputsManifest manifest_;
  std::set<std::string> paths_;
  base::UniqueFd data_;
  uint64_t end_ = 0;  // of the whole files
  bool in_file_ = false;
  base::CollectedFile file_;
  base::CoreSha256 hash_;
  bool done_ = false;
};

}  // namespace boxkeeper::launcher
