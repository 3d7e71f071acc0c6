#pragma once

#include <cuda_runtime.h>

#include "bind/checks.h"

// Device arrays, by the CUDA Array Interface; checked before any launch, as NumPy arrays are in checks.h.
namespace mlcore::bind {

struct DeviceArray {
  char* data;
  int64_t rows;
  int64_t stride;  // bytes
  bool writeable;
  std::string type;  // "<f4"
};

inline DeviceArray device_array(const py::handle& object, const Where& where) {
  if (!py::hasattr(object, "__cuda_array_interface__"))
    where.refuse("must be an array on the device, as CuPy makes them");
  const auto interface = object.attr("__cuda_array_interface__").cast<py::dict>();
  const auto shape = interface["shape"].cast<std::vector<int64_t>>();
  if (shape.size() != 1) where.refuse("must have one dimension");
  const auto data = interface["data"].cast<std::pair<uintptr_t, bool>>();
  DeviceArray array{reinterpret_cast<char*>(data.first), shape[0], 0, !data.second,
                    interface["typestr"].cast<std::string>()};
  const int64_t size = array.type.size() == 3 ? array.type[2] - '0' : 0;
  array.stride = size;
  if (interface.contains("strides") && !interface["strides"].is_none())
    array.stride = interface["strides"].cast<std::vector<int64_t>>().at(0);
  if (array.rows > 0) {
    cudaPointerAttributes found{};
    const cudaError_t error = cudaPointerGetAttributes(&found, array.data);
    if (error != cudaSuccess) {
      cudaGetLastError();
      where.refuse(std::string("cannot be looked up: ") + cudaGetErrorString(error));
    }
    if (found.type != cudaMemoryTypeDevice && found.type != cudaMemoryTypeManaged) where.refuse("is not on the device");
  }
  return array;
}

template <typename T>
constexpr const char* type_name();
template <>
constexpr const char* type_name<float>() {
  return "<f4";
}
template <>
constexpr const char* type_name<double>() {
  return "<f8";
}
template <>
constexpr const char* type_name<uint8_t>() {
  return "|u1";
}
template <>
constexpr const char* type_name<uint16_t>() {
  return "<u2";
}
template <>
constexpr const char* type_name<int32_t>() {
  return "<i4";
}
template <>
constexpr const char* type_name<int64_t>() {
  return "<i8";
}
template <>
constexpr const char* type_name<uint64_t>() {
  return "<u8";
}

// A contiguous device array of exactly this type; `length` < 0 takes any.
template <typename T>
T* on_device(const py::handle& object, const Where& where, int64_t length, bool write = false) {
  const DeviceArray array = device_array(object, where);
  if (array.type != type_name<T>())
    where.refuse("must have type " + std::string(type_name<T>()) + ", not " + array.type);
  if (array.rows > 1 && array.stride != static_cast<int64_t>(sizeof(T))) where.refuse("must be contiguous");
  if (length >= 0 && array.rows != length)
    where.refuse("must have length " + std::to_string(length) + ", not " + std::to_string(array.rows));
  if (write && !array.writeable) where.refuse("must be writeable");
  return reinterpret_cast<T*>(array.data);
}

inline Type device_type(const DeviceArray& array, const Where& where) {
  if (array.type == "<f4") return Type::f4;
  if (array.type == "<f8") return Type::f8;
  if (array.type == "<i4") return Type::i4;
  if (array.type == "<i8") return Type::i8;
  where.refuse("must have dtype float32, float64, int32 or int64");
}

}  // namespace mlcore::bind
