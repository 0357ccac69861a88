# The addon of bindings/node with the emulated CUDA engine, for the tests in Node: scripts/build-simt.mjs
# gives the two folders. Only once it is asked for: it is no part of `all`.
if(NOT PAPO_SIMT_NODE_INCLUDE)
  return()
endif()

add_library(papo_kernels_simt MODULE EXCLUDE_FROM_ALL ${binding_files})
target_include_directories(papo_kernels_simt SYSTEM PRIVATE
  "${PAPO_SIMT_NODE_INCLUDE}" "${PAPO_SIMT_NODE_ADDON_API}")
target_compile_definitions(papo_kernels_simt PRIVATE ${binding_defines}
  NODE_GYP_MODULE_NAME=papo_kernels)
target_compile_options(papo_kernels_simt PRIVATE ${_flags} -g)
target_link_libraries(papo_kernels_simt PRIVATE papo_simt)
target_link_options(papo_kernels_simt PRIVATE ${link_flags})
set_target_properties(papo_kernels_simt PROPERTIES PREFIX "" SUFFIX ".node"
  OUTPUT_NAME papo_kernels LINKER_LANGUAGE CXX LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}")
