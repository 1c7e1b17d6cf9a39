// Fills a message of config.proto from a map of values by the table of config/schema.h.
#pragma once

#include <string>
#include <vector>

#include "config/value.h"
#include "google/protobuf/message.h"

namespace boxkeeper::config {

// Keys of kSpecMap and kProviders are left to the caller; so are checks that need more than one
// key. Every key that `map` does not have gets its default; a section that has none of its own
// (`optional`: server.tls) stays absent. `schema_path` is the section's path in the table, `path`
// the one for messages ("providers.*" and "providers.local"). With `ignore_unknown`, keys that the
// table does not know are left alone.
void DecodeSection(const Value& map, const std::string& schema_path, const std::string& path,
                   bool ignore_unknown, google::protobuf::Message* message,
                   std::vector<Problem>* problems);

}  // namespace boxkeeper::config
