#pragma once

#include <string>
#include <vector>

#include "cli/console.h"

namespace flyweight::cli {

/// Rows of cells, each column as wide as its widest cell. Cells are escaped already.
class Table {
 public:
  /// `alignment`: a letter a column, 'l' or 'r'. The last column is never padded.
  explicit Table(std::string alignment) : alignment_(std::move(alignment)) {}

  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  void Print(Console& console) const;

 private:
  std::string alignment_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace flyweight::cli
