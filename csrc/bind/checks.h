#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>
#include <vector>

#include "core/views.h"

// Arguments are checked here, before any kernel touches memory: wrong types are refused, never cast.
namespace mlcore::bind {

namespace py = pybind11;

// Names the op and the argument in every message; std::invalid_argument becomes ValueError.
struct Where {
  const char* op;
  std::string argument;

  [[noreturn]] void refuse(const std::string& what) const {
    throw py::value_error(std::string(op) + ": " + argument + " " + what);
  }
};

inline py::array as_array(const py::handle& object, const Where& where) {
  if (!py::isinstance<py::array>(object)) where.refuse("must be a NumPy array");
  return py::reinterpret_borrow<py::array>(object);
}

// A contiguous array of exactly this type; `length` < 0 takes any.
template <typename T>
py::array contiguous(const py::handle& object, const Where& where, int64_t length = -1) {
  py::array array = as_array(object, where);
  if (!py::isinstance<py::array_t<T>>(array))
    where.refuse("must have dtype " + std::string(py::str(py::dtype::of<T>())));
  if (array.ndim() != 1) where.refuse("must have one dimension");
  if (array.shape(0) > 1 && array.strides(0) != static_cast<py::ssize_t>(sizeof(T))) where.refuse("must be contiguous");
  if (length >= 0 && array.shape(0) != length)
    where.refuse("must have length " + std::to_string(length) + ", not " + std::to_string(array.shape(0)));
  return array;
}

template <typename T>
const T* input(const py::handle& object, const Where& where, int64_t length = -1) {
  return static_cast<const T*>(contiguous<T>(object, where, length).data());
}

template <typename T>
T* output(const py::handle& object, const Where& where, int64_t length = -1) {
  py::array array = contiguous<T>(object, where, length);
  if (!array.writeable()) where.refuse("must be writeable");
  return static_cast<T*>(array.mutable_data());
}

template <typename T>
bool is(const py::array& array) {
  return py::isinstance<py::array_t<T>>(array);
}

inline Type type_of(const py::array& array, const Where& where) {
  if (is<float>(array)) return Type::f4;
  if (is<double>(array)) return Type::f8;
  if (is<int32_t>(array)) return Type::i4;
  if (is<int64_t>(array)) return Type::i8;
  where.refuse("must have dtype float32, float64, int32 or int64");
}

// Whether `bytes` do not hold the bits [offset, offset + rows); no sum of the caller's numbers, which may overflow.
inline bool too_few_bits(int64_t bytes, int64_t offset, int64_t rows) {
  return rows > 0 && (offset > 8 * bytes || rows > 8 * bytes - offset);
}

inline Validity validity(const py::handle& object, int64_t offset, int64_t rows, const Where& where) {
  if (object.is_none()) return {};
  const py::array bits = contiguous<uint8_t>(object, where);
  if (offset < 0) where.refuse("has a negative bit offset");
  if (too_few_bits(bits.shape(0), offset, rows))
    where.refuse("has " + std::to_string(bits.shape(0)) + " bytes, too few for " + std::to_string(rows) +
                 " rows from bit " + std::to_string(offset));
  return {static_cast<const uint8_t*>(bits.data()), offset};
}

inline ColumnView column(const py::array& values, const py::handle& bitmap, int64_t offset, const char* op,
                         const std::string& prefix = "") {
  const Where where{op, prefix + "values"};
  if (values.ndim() != 1) where.refuse("must have one dimension");
  const Type type = type_of(values, where);
  const int64_t rows = values.shape(0);
  return {type, static_cast<const char*>(values.data()), rows > 1 ? values.strides(0) : size_of(type), rows,
          validity(bitmap, offset, rows, {op, prefix + "validity"})};
}

// Ascending and free of NaN, as the search needs.
template <typename T>
void check_ascending(const T* edges, int64_t n, const Where& where) {
  if (n > 65535) where.refuse("must hold at most 65535 values");
  if (n > 0 && edges[0] != edges[0]) where.refuse("must not hold NaN");
  for (int64_t i = 1; i < n; ++i)
    if (!(edges[i - 1] < edges[i])) where.refuse("must ascend strictly, without NaN");
}

// A copy of the edges, checked: the caller may overwrite its own while the GIL is released.
inline std::vector<char> edges_of(Type type, const py::array& edges, const Where& where) {
  if (edges.ndim() != 1 || type_of(edges, where) != type)
    where.refuse("must have one dimension and the dtype of values");
  if (edges.shape(0) > 1 && edges.strides(0) != size_of(type)) where.refuse("must be contiguous");
  const int64_t n = edges.shape(0);
  const char* first = static_cast<const char*>(edges.data());
  std::vector<char> copy(first, first + n * size_of(type));
  switch (type) {
    case Type::f4:
      check_ascending(reinterpret_cast<const float*>(copy.data()), n, where);
      break;
    case Type::f8:
      check_ascending(reinterpret_cast<const double*>(copy.data()), n, where);
      break;
    case Type::i4:
      check_ascending(reinterpret_cast<const int32_t*>(copy.data()), n, where);
      break;
    case Type::i8:
      check_ascending(reinterpret_cast<const int64_t*>(copy.data()), n, where);
      break;
  }
  return copy;
}

// A copy of a dictionary's codes, each known to be at most `most`.
inline std::vector<uint16_t> code_table(const py::handle& object, int64_t most, const Where& table, const Where& blamed,
                                        const std::string& refusal) {
  const py::array array = contiguous<uint16_t>(object, table);
  const auto* first = static_cast<const uint16_t*>(array.data());
  std::vector<uint16_t> copy(first, first + array.shape(0));
  for (const uint16_t code : copy)
    if (code > most) blamed.refuse(refusal);
  return copy;
}

inline void* codes_output(const py::handle& object, bool wide, int64_t rows, const Where& where) {
  return wide ? static_cast<void*>(output<uint16_t>(object, where, rows)) : output<uint8_t>(object, where, rows);
}

inline int threads_of(int threads, const Where& where) {
  if (threads < 1) where.refuse("must be at least 1");
  return threads;
}

}  // namespace mlcore::bind
