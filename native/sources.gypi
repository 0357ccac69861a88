{
  "variables": {
    "core_files": [
      "engine/status.cpp",
      "engine/engine.cpp",
      "engine/tensors.cpp",
      "engine/cuda_driver.cpp",
      "engine/job_queue.cpp",
      "loss/objective.cpp",
      "loss/batch.cpp",
      "loss/selection.cpp",
      "loss/reduction.cpp",
      "loss/loss_checks.cpp",
      "loss/log_probs_checks.cpp",
      "loss/token_rows.cpp",
      "loss/loss.cpp",
      "loss/token_log_probs.cpp",
      "loss/reference.cpp",
      "advantages/group_index.cpp",
      "advantages/advantages.cpp",
      "masking/fill.cpp",
      "masking/mask_patches.cpp",
      "masking/mask_patch_rows.cpp",
      "masking/random_patch_mask.cpp",
      "masking/saliency_patch_mask.cpp",
      "cpu/thread_pool.cpp",
      "cpu/instruction_sets.cpp",
      "cpu/rows_portable.cpp",
      "cpu/rows_avx2.cpp",
      "cpu/rows_avx512.cpp",
      "cpu/rows_neon.cpp"
    ],
    "cuda_files": [
      "cuda/loss.cpp",
      "cuda/token_log_probs.cpp",
      "cuda/batch.cu",
      "cuda/token_sort.cu",
      "cuda/selection.cu",
      "cuda/tokens.cu",
      "cuda/sequence.cu",
      "cuda/reduction.cu",
      "cuda/scored_tokens.cu"
    ],
    "binding_files": [
      "../bindings/node/addon.cpp",
      "../bindings/node/descriptor.cpp",
      "../bindings/node/engine.cpp",
      "../bindings/node/lane.cpp",
      "../bindings/node/jobs.cpp",
      "../bindings/node/loss.cpp",
      "../bindings/node/advantages.cpp",
      "../bindings/node/masking.cpp",
      "../bindings/node/memory.cpp",
      "../bindings/node/diagnosis.cpp"
    ],
    "header_dirs": [
      "include",
      "."
    ],
    "binding_defines": [
      "NAPI_VERSION=8",
      "NAPI_CPP_EXCEPTIONS",
      "NODE_ADDON_API_CPP_EXCEPTIONS_ALL",
      "NODE_ADDON_API_DISABLE_DEPRECATED",
      "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"
    ],
    "cxx_flags": [
      "-std=c++17",
      "-O3",
      "-ffp-contract=off",
      "-fvisibility=hidden",
      "-fvisibility-inlines-hidden",
      "-ffunction-sections",
      "-fdata-sections",
      "-Wall",
      "-Wextra"
    ],
    "nvcc_flags": [
      "-std=c++17",
      "-O3",
      "-Xcompiler=-fPIC,-fvisibility=hidden,-ffp-contract=off",
      "-gencode=arch=compute_80,code=sm_80",
      "-gencode=arch=compute_90,code=sm_90",
      "-gencode=arch=compute_90,code=compute_90",
      "-Xfatbin=-compress-all"
    ],
    "link_flags": [
      "-static-libstdc++",
      "-Wl,--exclude-libs,ALL",
      "-Wl,--gc-sections",
      "-Wl,-Bsymbolic",
      "-Wl,-z,nodelete",
      "-Wl,-z,relro,-z,now"
    ]
  }
}
