# The mutator is libFuzzer's only: the replay of the corpus does not need it.
set(sources ${CMAKE_CURRENT_LIST_DIR}/fuzz_model.c)
if(KP_FUZZ)
  foreach(file mutate mutate_h5 mutate_json mutate_layers)
    list(APPEND sources ${CMAKE_CURRENT_LIST_DIR}/${file}.c)
  endforeach()
  list(APPEND sources ${PROJECT_SOURCE_DIR}/tests/keras/archive.c)
endif()
kp_fuzz(fuzz_model SOURCES ${sources} LIBS kp_runtime kp_lower kp_keras kp_graph)
foreach(target fuzz_model fuzz_model_replay)
  if(TARGET ${target})
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests/keras)
    target_compile_definitions(${target} PRIVATE KP_BUILD_DIR="${CMAKE_BINARY_DIR}")
    target_link_options(${target} PRIVATE
      -Wl,--wrap=kp_keras_weight -Wl,--wrap=kp_keras_weight_count
      -Wl,--wrap=kp_keras_check_unused)
  endif()
endforeach()
