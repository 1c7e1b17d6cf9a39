#include "cli/table.h"

#include <algorithm>

#include "cli/escape.h"

namespace boxkeeper::cli {
namespace {

const char* Code(Colour colour) {
  switch (colour) {
    case Colour::kGreen:
      return "\x1b[32m";
    case Colour::kRed:
      return "\x1b[31m";
    case Colour::kYellow:
      return "\x1b[33m";
    case Colour::kBlue:
      return "\x1b[34m";
    case Colour::kDim:
      return "\x1b[2m";
    case Colour::kNone:
      break;
  }
  return "";
}

}  // namespace

std::string Paint(const std::string& text, Colour colour, bool enabled) {
  if (!enabled || colour == Colour::kNone || text.empty()) return text;
  return Code(colour) + text + "\x1b[0m";
}

std::string Table::Render(bool colour) const {
  std::vector<std::vector<Cell>> lines;
  lines.emplace_back(heads_.begin(), heads_.end());
  for (const auto& row : rows_) {
    auto& line = lines.emplace_back();
    for (const Cell& cell : row) {
      line.emplace_back(cell.text.empty() ? "-" : EscapeLine(cell.text), cell.colour);
    }
  }
  std::vector<size_t> widths(heads_.size(), 0);
  for (const auto& line : lines) {
    for (size_t i = 0; i < line.size(); ++i) {
      widths[i] = std::max(widths[i], DisplayWidth(line[i].text));
    }
  }
  std::string out;
  for (const auto& line : lines) {
    for (size_t i = 0; i < line.size(); ++i) {
      out += Paint(line[i].text, line[i].colour, colour);
      if (i + 1 < line.size()) out.append(widths[i] - DisplayWidth(line[i].text) + 2, ' ');
    }
    out += '\n';
  }
  return out;
}

void Fields::Add(const std::string& name, const std::string& value, Colour colour) {
  fields_.emplace_back(name, Cell(value.empty() ? "-" : EscapeLine(value), colour));
}

void Fields::AddIfAny(const std::string& name, const std::string& value) {
  if (!value.empty()) Add(name, value);
}

std::string Fields::Render(bool colour) const {
  size_t width = 0;
  for (const auto& [name, cell] : fields_) width = std::max(width, name.size());
  std::string out;
  for (const auto& [name, cell] : fields_) {
    out += name + ":" + std::string(width - name.size() + 2, ' ') +
           Paint(cell.text, cell.colour, colour) + "\n";
  }
  return out;
}

}  // namespace boxkeeper::cli
