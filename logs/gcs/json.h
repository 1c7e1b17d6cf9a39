// Google's JSON answers: bounded, and read without exceptions.
#pragma once

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace boxkeeper::logs::gcs {

// kUnavailable for what is no JSON object: something between may have answered.
inline absl::StatusOr<boost::json::object> ParseJson(std::string_view text) {
  namespace json = boost::json;
  json::error_code error;
  json::value value = json::parse(json::string_view(text.data(), text.size()), error);
  if (error || !value.is_object()) return absl::UnavailableError("the answer is no JSON object");
  return std::move(value.as_object());
}

// The text, or the number as text, of a member; "" if there is none.
inline std::string TextAt(const boost::json::object& object, std::string_view key) {
  const auto* value = object.if_contains(boost::json::string_view(key.data(), key.size()));
  if (value == nullptr) return "";
  if (value->is_string()) return std::string(value->as_string().data(), value->as_string().size());
  if (value->is_int64()) return std::to_string(value->as_int64());
  if (value->is_uint64()) return std::to_string(value->as_uint64());
  return "";
}

}  // namespace boxkeeper::logs::gcs
