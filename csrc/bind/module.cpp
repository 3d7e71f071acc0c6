#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bind/register.h"
#include "core/isa.h"
#include "core/pool.h"

PYBIND11_MODULE(_native, module) {
  module.doc() = "mlcore's CPU kernels; mlcore.ops has their signatures and documentation.";
  mlcore::current_isa();  // an impossible MLCORE_ISA fails here, at import
  module.def("isa", [] { return mlcore::name_of(mlcore::current_isa()); });
  module.def("isas", [] {
    std::vector<std::string> names;
    for (const auto isa : mlcore::supported_isas()) names.emplace_back(mlcore::name_of(isa));
    return names;
  });
  module.def("default_threads", &mlcore::default_threads);
  mlcore::bind::register_columns(module);
  mlcore::bind::register_tally(module);
  mlcore::bind::register_forest(module);
  mlcore::bind::register_rows(module);
  mlcore::bind::register_explain(module);
  mlcore::bind::register_elementwise(module);
}
