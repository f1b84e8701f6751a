kp_fuzz(fuzz_zip SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_zip.c LIBS kp_keras)
kp_fuzz(fuzz_config SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_config.c LIBS kp_keras)
kp_fuzz(fuzz_keras SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_keras.c LIBS kp_keras)
kp_fuzz(fuzz_pickle SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_pickle.c LIBS kp_keras)
