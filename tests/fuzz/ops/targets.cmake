kp_fuzz(fuzz_text SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_text.c LIBS kp_ops kp_graph kp_base)
