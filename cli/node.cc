#include "cli/node.h"

#include <cstdint>
#include <cstdio>

#include "base/utf8.h"

namespace boxkeeper::cli {
namespace {

void AppendEscape(uint32_t code, std::string& out) {
  char buffer[8];
  std::snprintf(buffer, sizeof(buffer), "\\u%04x", code);
  out += buffer;
}

// A double-quoted text that is valid JSON and valid YAML. Bytes that are not UTF-8 become U+FFFD.
std::string Quoted(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    size_t length = base::Utf8Length(text);
    auto byte = static_cast<uint8_t>(text[0]);
    if (length == 0) {
      out += "\\ufffd";
      length = 1;
    } else if (byte == '"' || byte == '\\') {
      out += '\\';
      out += text[0];
    } else if (byte == '\n') {
      out += "\\n";
    } else if (byte == '\t') {
      out += "\\t";
    } else if (byte == '\r') {
      out += "\\r";
    } else if (byte < 0x20 || byte == 0x7F) {
      AppendEscape(byte, out);
    } else if (length == 2 && byte == 0xC2 && static_cast<uint8_t>(text[1]) < 0xA0) {
      AppendEscape(static_cast<uint8_t>(text[1]), out);  // C1 controls steer terminals too
    } else {
      out.append(text.substr(0, length));
    }
    text.remove_prefix(length);
  }
  return out + '"';
}

class JsonWriter {
 public:
  explicit JsonWriter(bool pretty) : pretty_(pretty) {}

  void Write(const Node& node) {
    if (const auto* literal = std::get_if<Literal>(&node.value)) {
      out_ += literal->text;
    } else if (const auto* text = std::get_if<std::string>(&node.value)) {
      out_ += Quoted(*text);
    } else if (const auto* list = std::get_if<List>(&node.value)) {
      Open('[');
      for (const Node& item : *list) {
        Next();
        Write(item);
      }
      Close(']', list->empty());
    } else {
      const auto& object = std::get<Object>(node.value);
      Open('{');
      for (const auto& [name, item] : object) {
        Next();
        out_ += Quoted(name);
        out_ += pretty_ ? ": " : ":";
        Write(item);
      }
      Close('}', object.empty());
    }
  }

  std::string Take() { return std::move(out_); }

 private:
  void Open(char c) {
    out_ += c;
    ++depth_;
    first_ = true;
  }
  void Next() {
    if (!first_) out_ += ',';
    first_ = false;
    NewLine();
  }
  void Close(char c, bool empty) {
    --depth_;
    if (!empty) NewLine();
    out_ += c;
    first_ = false;
  }
  void NewLine() {
    if (!pretty_) return;
    out_ += '\n';
    out_.append(2 * depth_, ' ');
  }

  const bool pretty_;
  size_t depth_ = 0;
  bool first_ = true;
  std::string out_;
};

// True if YAML reads the bare word back as this very text.
bool IsPlainYaml(std::string_view text) {
  if (text.empty() || text == "null" || text == "true" || text == "false" || text == "yes" ||
      text == "no" || text == "on" || text == "off" || text == "~") {
    return false;
  }
  bool letter = false;
  for (char c : text) {
    bool alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '/';
    letter = letter || alpha;
    if (!alpha && !(c >= '0' && c <= '9') && c != '-' && c != '.') return false;
  }
  // What starts with a digit, sign or dot may be a number or a date; a single letter may be an old
  // YAML boolean.
  char first = text[0];
  return letter && text.size() > 1 && first != '-' && first != '.' &&
         !(first >= '0' && first <= '9');
}

std::string YamlText(std::string_view text) {
  return IsPlainYaml(text) ? std::string(text) : Quoted(text);
}

void WriteYaml(const Node& node, size_t depth, std::string& out);

// The value after "name:" or "-": on the same line if it is short, else as a block below.
void WriteYamlValue(const Node& node, size_t depth, bool after_dash, std::string& out) {
  if (const auto* literal = std::get_if<Literal>(&node.value)) {
    out += " " + literal->text + "\n";
  } else if (const auto* text = std::get_if<std::string>(&node.value)) {
    out += " " + YamlText(*text) + "\n";
  } else if (const auto* list = std::get_if<List>(&node.value); list != nullptr && list->empty()) {
    out += " []\n";
  } else if (const auto* object = std::get_if<Object>(&node.value);
             object != nullptr && object->empty()) {
    out += " {}\n";
  } else if (after_dash) {
    // "- name: value": the block starts on the dash's own line.
    std::string block;
    WriteYaml(node, depth, block);
    out += " " + block.substr(2 * depth);
  } else {
    out += "\n";
    WriteYaml(node, depth, out);
  }
}

void WriteYaml(const Node& node, size_t depth, std::string& out) {
  const std::string indent(2 * depth, ' ');
  if (const auto* list = std::get_if<List>(&node.value)) {
    for (const Node& item : *list) {
      out += indent + "-";
      WriteYamlValue(item, depth + 1, true, out);
    }
  } else if (const auto* object = std::get_if<Object>(&node.value)) {
    for (const auto& [name, item] : *object) {
      out += indent + YamlText(name) + ":";
      WriteYamlValue(item, depth + 1, false, out);
    }
  }
}

}  // namespace

std::string CompactJson(const Node& node) {
  JsonWriter writer(false);
  writer.Write(node);
  return writer.Take();
}

std::string PrettyJson(const Node& node) {
  JsonWriter writer(true);
  writer.Write(node);
  return writer.Take() + "\n";
}

std::string Yaml(const Node& node) {
  std::string out;
  const auto* list = std::get_if<List>(&node.value);
  const auto* object = std::get_if<Object>(&node.value);
  if ((list != nullptr && !list->empty()) || (object != nullptr && !object->empty())) {
    WriteYaml(node, 0, out);
  } else {
    WriteYamlValue(node, 0, false, out);
    out.erase(0, 1);
  }
  return out;
}

}  // namespace boxkeeper::cli
