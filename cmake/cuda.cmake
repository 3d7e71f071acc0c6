# The CUDA module is built where nvcc is. It links the static runtime and imports without a driver.
set(MLCORE_CUDA_MODULES "")
