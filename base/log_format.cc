#include "base/log_format.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>
#include <vector>

#include "base/utf8.h"

namespace boxkeeper::base {
namespace {

constexpr std::string_view kFirst[] = {"task_id", "attempt", "provider", "sandbox",
                                       "state",   "dur_ms",  "code"};

size_t Rank(std::string_view name) {
  return std::find(std::begin(kFirst), std::end(kFirst), name) - std::begin(kFirst);
}

bool IsEmpty(const LogField& field) {
  const auto* text = std::get_if<std::string_view>(&field.value);
  return text != nullptr && text->empty();
}

std::vector<const LogField*> Ordered(LogFields fields) {
  std::vector<const LogField*> out;
  out.reserve(fields.size());
  for (const LogField& field : fields) {
    if (!IsEmpty(field)) out.push_back(&field);
  }
  // Not std::stable_sort: libstdc++ 12's does not compile without warnings under clang. All point
  // into one array, so their addresses are the order as given.
  std::sort(out.begin(), out.end(), [](const LogField* a, const LogField* b) {
    return std::pair(Rank(a->name), a) < std::pair(Rank(b->name), b);
  });
  return out;
}

void AppendEscaped(std::string& out, std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  while (!text.empty()) {
    char c = text.front();
    size_t length = Utf8Length(text);
    if (length == 0) {
      out += "\xEF\xBF\xBD";
      length = 1;
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += "\\u00";
      out += kHex[(c >> 4) & 15];
      out += kHex[c & 15];
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
}

void AppendQuoted(std::string& out, std::string_view text) {
  out += '"';
  AppendEscaped(out, text);
  out += '"';
}

void AppendNumber(std::string& out, auto number) {
  char buffer[32];
  auto [end, error] = std::to_chars(buffer, buffer + sizeof(buffer), number);
  out.append(buffer, end);
}

bool NeedsQuotes(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](unsigned char c) {
    return c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '=';
  });
}

void AppendValue(std::string& out, const LogField::Value& value, bool json) {
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    if (json || NeedsQuotes(*text)) {
      AppendQuoted(out, *text);
    } else {
      out += *text;
    }
  } else if (const auto* boolean = std::get_if<bool>(&value)) {
    out += *boolean ? "true" : "false";
  } else if (const auto* number = std::get_if<double>(&value)) {
    if (json && !std::isfinite(*number)) {
      out += "null";
    } else {
      AppendNumber(out, *number);
    }
  } else if (const auto* integer = std::get_if<int64_t>(&value)) {
    AppendNumber(out, *integer);
  } else {
    AppendNumber(out, std::get<uint64_t>(value));
  }
}

}  // namespace

std::string FormatLogText(std::string_view message, LogFields fields, uint64_t suppressed) {
  std::string out;
  AppendEscaped(out, message);
  for (const LogField* field : Ordered(fields)) {
    out += ' ';
    out += field->name;
    out += '=';
    AppendValue(out, field->value, false);
  }
  if (suppressed > 0) {
    out += " suppressed=";
    AppendNumber(out, suppressed);
  }
  return out;
}

std::string FormatLogJson(std::string_view message, LogFields fields, uint64_t suppressed) {
  std::string out = "\"message\":";
  AppendQuoted(out, message);
  for (const LogField* field : Ordered(fields)) {
    out += ',';
    AppendQuoted(out, field->name);
    out += ':';
    AppendValue(out, field->value, true);
  }
  if (suppressed > 0) {
    out += ",\"suppressed\":";
    AppendNumber(out, suppressed);
  }
  return out;
}

}  // namespace boxkeeper::base
