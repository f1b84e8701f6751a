# Cases as text, for the tests of every backend.
add_library(kp_op_text STATIC op_text.c op_body.c op_wild.c)
target_link_libraries(kp_op_text PUBLIC kp_flags kp_graph kp_base)
target_include_directories(kp_op_text PUBLIC ${PROJECT_SOURCE_DIR}/tests)
target_compile_options(kp_op_text PRIVATE -Wno-conversion)

kp_test(test_ref SOURCES test_ref.c LIBS kp_op_text kp_backend kp_graph)

add_library(ref_probe SHARED ref_probe.c)
set_target_properties(ref_probe PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_link_libraries(ref_probe PRIVATE kp_flags kp_op_text kp_backend kp_graph)
