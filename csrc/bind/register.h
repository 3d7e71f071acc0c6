#pragma once

#include <pybind11/pybind11.h>

namespace mlcore::bind {

void register_columns(pybind11::module_& module);
void register_tally(pybind11::module_& module);
void register_forest(pybind11::module_& module);
void register_rows(pybind11::module_& module);
void register_elementwise(pybind11::module_& module);
void register_explain(pybind11::module_& module);

}  // namespace mlcore::bind
