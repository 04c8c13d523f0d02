#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "erasure/gf16.h"

namespace flyweight {

/// A systematic Reed-Solomon code over GF(2^16): `data_count` rows of bytes get `parity_count` more, and any
/// `data_count` of all of them give the others back. Columns of the rows (of kGfPieceBytes) are independent, so long
/// rows can be worked on slice by slice.
///
/// Parity rows are positions [0, parity_count) of a codeword, data rows positions [group_rows, group_rows +
/// data_count), where group_rows is parity_count rounded up to a power of two. The codeword is the sequence of values,
/// at GfPoint(position), of a polynomial with group_rows fewer coefficients than the points of the field. Positions
/// that are not stored hold 0, but those between parity_count and group_rows hold parity that is not kept.
///
/// Source: Lin, Chung and Han, "Novel polynomial basis and its application to Reed-Solomon erasure codes" (FOCS 2014):
/// in their basis the transform of the whole codeword is, for the group_rows coefficients that must be 0, the sum of
/// the transforms of its groups of group_rows rows. So encoding and syndromes take O(log group_rows) a row and memory
/// for one group. Erasures are solved as in Forney's algorithm, with the key equation in the same basis.
class ReedSolomon {
 public:
  /// True where a code of this shape exists.
  static bool Exists(uint64_t data_count, uint64_t parity_count);

  /// Precondition: Exists(data_count, parity_count).
  ReedSolomon(size_t data_count, size_t parity_count);

  size_t data_count() const { return data_count_; }
  size_t parity_count() const { return parity_count_; }
  size_t group_rows() const { return group_rows_; }
  /// Groups of a codeword: group 0 is parity, data row r is row r % group_rows of group 1 + r / group_rows.
  size_t group_count() const { return 1 + (data_count_ + group_rows_ - 1) / group_rows_; }
  size_t DataPosition(size_t row) const { return group_rows_ + row; }

  /// Adds a group's part to the sum that encoding and repair start from. `rows` holds group_rows() rows, with zeros for
  /// those that do not exist or are lost; it is used up. `sum` has the same size and starts as zeros.
  void Absorb(size_t group, std::byte* rows, size_t row_bytes, std::byte* sum) const;

  /// Turns the sum of all data groups into group 0, whose first parity_count() rows are the parity.
  void FinishParity(std::byte* sum, size_t row_bytes) const;

  void Forward(size_t group, std::byte* rows, size_t row_bytes) const;
  void Inverse(size_t group, std::byte* rows, size_t row_bytes) const;

 private:
  size_t data_count_;
  size_t parity_count_;
  size_t group_rows_;
};

/// The lost rows of a codeword, ready to be computed.
class ErasureSolver {
 public:
  /// `lost` are positions in ascending order. Precondition: at most code.parity_count() of them. The code must outlive
  /// the solver.
  ErasureSolver(const ReedSolomon& code, const std::vector<size_t>& lost);

  /// Turns the sum over all groups of what is left (parity included) into what Recover needs. `scratch` has the size of
  /// `sum`.
  void Solve(std::byte* sum, size_t row_bytes, std::byte* scratch) const;

  /// Computes a group's lost rows from a solved sum: afterwards row r of `rows` (group_rows() rows, contents do not
  /// matter before) is right where position group * group_rows + r is lost, and undefined elsewhere.
  void Recover(size_t group, const std::byte* solved, size_t row_bytes, std::byte* rows) const;

  /// The lost positions of a group.
  std::span<const size_t> LostIn(size_t group) const;

 private:
  const ReedSolomon& code_;
  std::vector<size_t> lost_;
  std::vector<uint16_t> locator_;  ///< the locator polynomial's values at the first 2 * group_rows points
  std::vector<uint16_t> scale_;    ///< for each of lost_: 1 / the locator's derivative there
};

}  // namespace flyweight
