# Plug-ins with user layers: shared objects that the engine opens; they need only the headers.
add_library(swish MODULE ${PROJECT_SOURCE_DIR}/examples/layers/swish.c)
set_target_properties(swish PROPERTIES PREFIX "" SUFFIX ".so"
  LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/examples)
target_link_libraries(swish PRIVATE kp_flags)
