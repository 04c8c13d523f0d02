#include "cli/table.h"

#include <algorithm>

#include "cli/text.h"

namespace flyweight::cli {

void Table::Print(Console& console) const {
  std::vector<size_t> widths(alignment_.size());
  for (const std::vector<std::string>& row : rows_) {
    for (size_t column = 0; column < widths.size(); ++column) {
      widths[column] = std::max(widths[column], DisplayWidth(row[column]));
    }
  }
  for (const std::vector<std::string>& row : rows_) {
    std::string line;
    for (size_t column = 0; column < widths.size(); ++column) {
      bool is_left = alignment_[column] == 'l';
      bool is_last = column + 1 == widths.size();
      std::string padding(is_left && is_last ? 0 : widths[column] - DisplayWidth(row[column]), ' ');
      line += (column == 0 ? "" : "  ") + (is_left ? row[column] + padding : padding + row[column]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    console.Print(line);
  }
}

}  // namespace flyweight::cli
