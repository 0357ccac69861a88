{
  # What `npm install` and prebuildify build; needs no CMake. File lists and flags are those of
  # native/sources.gypi, which CMakeLists.txt reads too.
  "includes": ["native/sources.gypi"],
  "variables": {
    "cuda_home%": "<!(node scripts/find-cuda.js)",
    "version": "<!(node -p \"require('./package.json').version\")"
  },
  "targets": [{
    "target_name": "papo_kernels",
    "sources": ["<@(core_files)", "<@(binding_files)"],
    "include_dirs": ["<@(header_dirs)", "<!(node -p \"require('node-addon-api').include_dir\")"],
    "defines": ["<@(binding_defines)", "PAPO_VERSION=\"<(version)\""],
    "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=gnu++20"],
    "cflags_cc": ["<@(cxx_flags)"],
    "ldflags": ["<@(link_flags)"],
    "configurations": { "Release": { "defines": ["NDEBUG"] } },
    "conditions": [
      ["OS == 'linux'", { "libraries": ["-ldl"] }],
      ["cuda_home != ''", {
        "sources": ["<@(cuda_files)"],
        "defines": ["PAPO_WITH_CUDA=1"],
        "include_dirs": ["<(cuda_home)/include"],
        "libraries": ["<(cuda_home)/lib64/libcudart_static.a", "-ldl", "-lrt", "-lpthread"],
        "rules": [{
          "rule_name": "nvcc",
          "extension": "cu",
          "outputs": ["<(INTERMEDIATE_DIR)/<(RULE_INPUT_ROOT).cu.o"],
          "process_outputs_as_sources": 1,
          "message": "NVCC <(RULE_INPUT_PATH)",
          "action": [
            "<(cuda_home)/bin/nvcc", "<@(nvcc_flags)", "-DNDEBUG", "-DPAPO_WITH_CUDA=1",
            # one -I for each directory; a plain -I<@(header_dirs) would join them
            "<!@(printf -- '-I%s\\n' <@(header_dirs))",
            "-c", "<(RULE_INPUT_PATH)", "-o", "<@(_outputs)"
          ]
        }]
      }]
    ]
  }]
}
