#include "logs/exit_record.h"

#include <boost/json.hpp>
#include <utility>

#include "base/hex.h"
#include "logs/layout_plain.h"

namespace boxkeeper::logs {

namespace json = boost::json;

namespace {

void AddSum(json::object& object, uint64_t bytes, int64_t pieces, const StoredHash& hash) {
  object["stored_bytes"] = bytes;
  object["pieces"] = pieces;
  if (hash) object["sha256"] = base::HexEncode(hash->Digest());
}

json::object StreamFacts(const TrackedLog& log, Stream stream, bool one_object) {
  json::object facts;
  facts["raw_bytes"] = log.FinalSize(stream).value_or(0);
  if (log.airflow || !log.Wants(stream)) return facts;
  const PlainProgress& progress = log.plain_of(stream);
  if (!progress.gap.empty()) facts["dropped_bytes"] = progress.gap.to - progress.gap.from;
  int64_t pieces = progress.pieces;
  if (one_object) pieces = progress.position > 0 ? 1 : 0;
  AddSum(facts, PlainPlace(progress.gap, progress.position), pieces, progress.hash);
  return facts;
}

}  // namespace

std::string StoredFacts(const TrackedLog& log, bool can_append) {
  json::object facts;
  facts["layout"] = std::string(LayoutName(log.job.layout));
  facts["path"] = log.job.path;
  const bool one_object = can_append || log.job.layout == Layout::kMetaflow;
  for (const Stream stream : {Stream::kStdout, Stream::kStderr}) {
    facts[std::string(StreamName(stream))] = StreamFacts(log, stream, one_object);
  }
  if (log.airflow) {
    json::object merged;
    AddSum(merged, log.airflow->rendered, log.airflow->piece, log.airflow->hash);
    facts["merged"] = std::move(merged);
  }
  if (!log.lost.empty()) facts["lost"] = log.lost;
  return json::serialize(facts);
}

std::string CompleteExitRecord(std::string record, std::string_view facts) {
  const size_t brace = record.rfind('}');
  if (!record.starts_with('{') || brace == std::string::npos) return record;
  record.resize(record.find_last_not_of(" \n", brace - 1) + 1);
  record += record == "{" ? "\n" : ",\n";
  record += " \"stored\": ";
  record += facts;
  record += "\n}\n";
  return record;
}

}  // namespace boxkeeper::logs
