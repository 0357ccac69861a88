/* The C interface of papo-kernels, and the only one: Node, Python and C programs all enter here.
 *
 * Rules that hold for every function:
 * - Data is described by papo_tensor views; the library owns none of it and keeps no pointer after a call.
 * - Workspace is the caller's: ask papo_*_workspace for the bytes, hand in that many, aligned to 64,
 *   apart from every argument.
 * - Nothing is allocated, synchronised or communicated inside a computation.
 * - A function returns PAPO_OK or a status; papo_last_message() then names the argument, what was
 *   expected and what came. Outputs are untouched unless the function says otherwise.
 * - Same inputs, same bits: results depend neither on the number of threads nor on the other rows.
 * - An engine is used from one thread at a time; any number of engines may exist.
 * - On a CUDA engine all tensors and the workspace are memory of its device (fill and gridThw: of the
 *   host), and a function returns when its work is in the engine's stream: results, and errors that
 *   only the device can see, are there after papo_engine_synchronize.
 *
 * Formulas: docs/math.md. Option list: docs/options.md.
 */
#ifndef PAPO_H
#define PAPO_H

#include <stddef.h>
#include <stdint.h>

#include "papo_objective.h"

#if defined(_WIN32)
#define PAPO_API __declspec(dllexport)
#else
#define PAPO_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Grows whenever a function or a struct changes its meaning; structs may grow at their end without it. */
#define PAPO_ABI_VERSION 1
PAPO_API int32_t papo_abi_version(void);

/* Version of the package that this library was built from, e.g. "0.1.0". */
PAPO_API const char* papo_version(void);

typedef enum papo_status {
  PAPO_OK = 0,
  PAPO_INVALID_ARGUMENT = 1, /* null or misaligned pointer, unknown enum, wrong struct size */
  PAPO_INVALID_OPTION = 2,   /* an objective or engine option outside its range */
  PAPO_INVALID_DTYPE = 3,
  PAPO_INVALID_SHAPE = 4,
  PAPO_INVALID_VALUE = 5, /* token id outside the vocabulary, mask value other than 0 and 1, ... */
  PAPO_OVERLAP = 6,       /* an output or the workspace overlaps another argument other than exactly
                             in place */
  PAPO_WORKSPACE_TOO_SMALL = 7,
  PAPO_UNAVAILABLE = 8, /* device or instruction set that this machine or build does not have */
  PAPO_OUT_OF_MEMORY = 9,
  PAPO_INTERNAL = 10,
  PAPO_DEVICE_ERROR =
      11 /* the CUDA driver refused or lost something; the message names its error */
} papo_status;

/* What went wrong in the last call of this thread that did not return PAPO_OK. */
PAPO_API const char* papo_last_message(void);

typedef enum papo_dtype {
  PAPO_FLOAT32 = 0,
  PAPO_FLOAT16 = 1,
  PAPO_BFLOAT16 = 2,
  PAPO_FLOAT64 = 3, /* the reference engine only, but for metrics and rewards */
  PAPO_INT32 = 4,
  PAPO_UINT8 = 5
} papo_dtype;

typedef enum papo_device_kind { PAPO_CPU = 0, PAPO_CUDA = 1 } papo_device_kind;

/* A two-dimensional view: element (r, c) is at data + (r * rowStride + c) elements.
 * Per-token values are [N] = rows N, columns 1, rowStride 1. data == NULL: the tensor is absent. */
typedef struct papo_tensor {
  void* data;
  int64_t rows;
  int64_t columns;
  int64_t rowStride; /* in elements; at least columns */
  int32_t dtype;     /* papo_dtype */
  int32_t device;    /* papo_device_kind + 16 * index */
} papo_tensor;

/* --- engines ------------------------------------------------------------------------------------- */

typedef struct papo_engine papo_engine;

typedef struct papo_engine_options {
  size_t size;
  int32_t device;             /* papo_device_kind + 16 * index */
  int32_t threads;            /* 0: as many as the processor runs at once */
  const char* instructionSet; /* NULL: the fastest here; a name of papo_instruction_sets, or
                                 "reference": float64 throughout, in plain loops; the oracle.
                                 CUDA: NULL or "cuda" */
  void* stream; /* CUDA: the caller's cudaStream_t, which must outlive the engine (cudaStreamLegacy
                   for stream 0); NULL: a stream of the engine's own. CPU: NULL */
} papo_engine_options;

PAPO_API papo_status papo_engine_open(const papo_engine_options* options, papo_engine** engine);
PAPO_API void papo_engine_close(papo_engine* engine);
/* Waits for everything that was given to the engine, and reports what only the device could see:
 * values outside their range (PAPO_INVALID_VALUE; no output of that call or of one behind it was
 * written) and failures of the device (PAPO_DEVICE_ERROR). On the CPU there is nothing to wait for. */
PAPO_API papo_status papo_engine_synchronize(papo_engine* engine);
PAPO_API int32_t papo_engine_device(const papo_engine* engine);
PAPO_API void* papo_engine_stream(const papo_engine* engine); /* cudaStream_t; NULL on the CPU */
PAPO_API const char* papo_engine_instruction_set(const papo_engine* engine);
PAPO_API int32_t papo_engine_threads(const papo_engine* engine);

/* Instruction sets that this build has and this processor can run, fastest first, "reference" last.
 * Fills up to capacity names and returns how many there are. */
PAPO_API int32_t papo_instruction_sets(const char** names, int32_t capacity);

/* --- diagnosis ----------------------------------------------------------------------------------- */

/* An instruction set of this build, whether or not this processor can run it. */
typedef struct papo_instruction_set_info {
  size_t size;
  const char* name;
  const char* features; /* what the processor must have, with commas, in the names of compilers */
  int32_t usable;       /* 1: this processor has them */
} papo_instruction_set_info;

/* Fastest first; PAPO_INVALID_VALUE from the index behind the last on. */
PAPO_API papo_status papo_instruction_set_at(int32_t index, papo_instruction_set_info* info);

typedef enum papo_cuda_driver_state {
  PAPO_CUDA_DRIVER_READY = 0,
  PAPO_CUDA_DRIVER_ABSENT = 1,     /* no libcuda.so.1; message is the loader's */
  PAPO_CUDA_DRIVER_INCOMPLETE = 2, /* a library of that name that lacks `function` */
  PAPO_CUDA_DRIVER_FAILED = 3      /* `function` gave `result`, whose name is message, if any */
} papo_cuda_driver_state;

typedef struct papo_cuda_device {
  char name[128];
  int32_t major, minor; /* compute capability */
  int64_t memory;       /* bytes */
} papo_cuda_device;

#define PAPO_CUDA_DEVICE_CAPACITY 16

/* Versions are 1000 * major + 10 * minor of CUDA. Texts that do not fit are cut. */
typedef struct papo_cuda_driver {
  size_t size;
  int32_t runtimeVersion; /* of the CUDA runtime in this build; 0: built without */
  int32_t driverVersion;  /* newest CUDA that the driver supports; 0: it did not say */
  int32_t state;          /* papo_cuda_driver_state */
  int32_t result;         /* CUresult, 0 is success */
  char function[32];
  char message[256];
  int32_t deviceCount; /* may exceed the capacity; where reading one failed, those before it */
  papo_cuda_device devices[PAPO_CUDA_DEVICE_CAPACITY];
} papo_cuda_driver;

/* PAPO_OK with whatever there is, also without a driver. The only function that looks for one: it
 * loads libcuda.so.1, which stays loaded, and calls cuInit, which may take a second. */
PAPO_API papo_status papo_cuda_driver_info(papo_cuda_driver* driver);

/* --- objective ----------------------------------------------------------------------------------- */

/* Fill with a profile of docs/options.md by name. */
PAPO_API papo_status papo_objective_init(const char* profile, papo_objective* objective);
/* Check every range; names the first option that is outside. */
PAPO_API papo_status papo_objective_validate(const papo_objective* objective);

/* --- memory of a device -------------------------------------------------------------------------- */

/* All of these take a CUDA engine, and act on its device and in the order of its stream. */

/* Bytes from a stream-ordered pool, aligned to 256; PAPO_OUT_OF_MEMORY names the bytes asked for and
 * free. Freed in the order of the stream of the engine that frees, any of the device. */
PAPO_API papo_status papo_memory_allocate(papo_engine* engine, size_t bytes, void** data);
PAPO_API papo_status papo_memory_free(papo_engine* engine, void* data);
/* Host memory that every device copies from and to without a detour. No copy may be under way when it
 * is freed. */
PAPO_API papo_status papo_memory_allocate_pinned(papo_engine* engine, size_t bytes, void** data);
PAPO_API papo_status papo_memory_free_pinned(papo_engine* engine, void* data);
/* Between any two of device and host memory that do not overlap. Returns when it is queued; with
 * ordinary host memory, when that may be used again, which waits for all that was queued before. A copy
 * from the device to host memory is complete after papo_engine_synchronize. */
PAPO_API papo_status papo_memory_copy(papo_engine* engine, void* to, const void* from,
                                      size_t bytes);
PAPO_API papo_status papo_memory_set(papo_engine* engine, void* data, uint8_t value, size_t bytes);
PAPO_API papo_status papo_memory_info(papo_engine* engine, size_t* freeBytes, size_t* totalBytes);

/* What the driver says of [data, data + bytes): PAPO_OK only for memory of the engine's device that is
 * allocated and as long as that; PAPO_INVALID_ARGUMENT says what it is else. */
PAPO_API papo_status papo_memory_require(papo_engine* engine, const void* data, size_t bytes);

/* Memory shared with another process on the same machine, without a copy. The handle of an
 * allocation's start and the offset in it travel; memory of papo_memory_allocate cannot be shared,
 * that of papo_memory_allocate_shareable and of cudaMalloc (PyTorch's) can. The exporter keeps it
 * alive until every importer, which is another process, has closed it. Freeing it waits for the
 * device. */
typedef struct papo_ipc_memory {
  size_t size;
  uint8_t handle[64]; /* cudaIpcMemHandle_t */
  int64_t offset;     /* bytes from the start of the allocation */
} papo_ipc_memory;
PAPO_API papo_status papo_memory_allocate_shareable(papo_engine* engine, size_t bytes, void** data);
PAPO_API papo_status papo_memory_free_shareable(papo_engine* engine, void* data);
PAPO_API papo_status papo_ipc_export(papo_engine* engine, const void* data, papo_ipc_memory* out);
/* data is in the other process's allocation, at its offset; close with what open gave. */
PAPO_API papo_status papo_ipc_open(papo_engine* engine, const papo_ipc_memory* memory, void** data);
PAPO_API papo_status papo_ipc_close(papo_engine* engine, void* data);

/* A point in a stream, recorded by engines of the device that it was created on; any engine may wait
 * for it from then on. It may outlive its engines. elapsed gives milliseconds between two of one device
 * that have passed. */
typedef struct papo_event papo_event;
PAPO_API papo_status papo_event_create(papo_engine* engine, papo_event** event);
PAPO_API void papo_event_destroy(papo_event* event);
PAPO_API papo_status papo_event_record(papo_engine* engine, papo_event* event);
PAPO_API papo_status papo_event_wait(papo_engine* engine, papo_event* event); /* the stream does */
PAPO_API papo_status papo_event_synchronize(papo_event* event);               /* the caller does */
PAPO_API papo_status papo_event_elapsed(papo_event* from, papo_event* to, float* milliseconds);

/* --- log-probs of one branch --------------------------------------------------------------------- */

/* logProbs[i]    = z[r, tokens[i]] - logSumExp(z[r, :]),  z = logits / temperature
 * entropies[i]   = -sum_v p log p, exact;  logSumExps[i] = logSumExp(z[r, :])
 * with r = rowIndex[i], or i without it. For a token with responseMask 0 neither id nor row is looked
 * at and its outputs are 0; a row of no other token is not read. */
typedef struct papo_token_log_probs_args {
  size_t size;
  double temperature;
  papo_tensor logits;       /* [N, V] float32, float16 or bfloat16 (any float for reference) */
  papo_tensor tokens;       /* [N] int32, 0 <= id < V */
  papo_tensor rowIndex;     /* [N] int32, 0 <= row < R, optional; logits are [R, V] then */
  papo_tensor responseMask; /* [N] uint8, optional */
  papo_tensor logProbs;     /* out [N] float32 (float32 or float64 for reference) */
  papo_tensor entropies;    /* out [N], optional */
  papo_tensor logSumExps;   /* out [N], optional */
} papo_token_log_probs_args;

PAPO_API papo_status papo_token_log_probs_workspace(const papo_engine* engine,
                                                    const papo_token_log_probs_args* args,
                                                    size_t* bytes);
PAPO_API papo_status papo_token_log_probs(papo_engine* engine,
                                          const papo_token_log_probs_args* args, void* workspace,
                                          size_t workspaceBytes);

/* --- loss ---------------------------------------------------------------------------------------- */

/* One call computes loss, terms, metrics and, as asked for, slopes and gradients.
 *
 * Either logits are given (log-probs, entropies and the exact KL are then computed from them), or
 * logProbs. The masked branch may be given as logits or as maskedLogProbs (then it is a constant
 * unless its slope is asked for); it is optional when nothing weighs it.
 *
 * Responses: cuSeqlens[B + 1] holds the first row of each response and N at its end; without it
 * every response has N / responses rows. Values "per response or token" are [B] or [N].
 *
 * Rows: logits have one row for each token, or rowIndex names the row that predicts each. Logits and
 * maskedLogits then have R rows, in any order, and so have their gradients. Several tokens may share a
 * row, whose gradient is the sum of theirs; a row of no token that counts is not read.
 *
 * Gradients: logitsGrad of logits' dtype; its data may be logits' own (in place). Rows that do not
 * count are written as 0. Outputs are complete when the call returns PAPO_OK, and untouched else. */
typedef struct papo_loss_args {
  size_t size;
  const papo_objective* objective;
  const int64_t* cuSeqlens; /* [responses + 1] in host memory, optional */
  int64_t responses;        /* B >= 1 */

  /* inputs */
  papo_tensor logits;            /* [N, V], or [R, V] with rowIndex */
  papo_tensor maskedLogits;      /* as logits, dtype of logits */
  papo_tensor logProbs;          /* [N], instead of logits */
  papo_tensor maskedLogProbs;    /* [N], instead of maskedLogits */
  papo_tensor entropies;         /* [N], with logProbs, where the objective needs exact entropies */
  papo_tensor maskedEntropies;   /* [N], likewise */
  papo_tensor exactPerceptionKl; /* [N], with logProbs, where perceptionKlEstimator is exact */
  papo_tensor tokens;            /* [N] int32, with logits */
  papo_tensor rowIndex;          /* [N] int32, 0 <= row < R, optional, with logits */
  papo_tensor responseMask;      /* [N] uint8 0/1; absent: every token counts */
  papo_tensor oldLogProbs;       /* [N]; absent: on-policy, ratio 1 with its gradient */
  papo_tensor refLogProbs;       /* [N]; absent: no reference KL, whatever its coefficient */
  papo_tensor advantages;        /* [B] or [N] */
  papo_tensor tokenWeights;      /* [B] or [N], factor of the policy term; optional */
  papo_tensor perceptionWeights; /* [B] or [N], factor of the perception KL; optional */
  papo_tensor sftMask;           /* [B] or [N] uint8, for sftCoef; optional */

  /* outputs, all but metrics optional */
  papo_tensor metrics;               /* [PAPO_METRIC_COUNT] float64 */
  papo_tensor logitsGrad;            /* as logits */
  papo_tensor maskedLogitsGrad;      /* as logits */
  papo_tensor outLogProbs;           /* [N] */
  papo_tensor outMaskedLogProbs;     /* [N] */
  papo_tensor outEntropies;          /* [N] */
  papo_tensor outMaskedEntropies;    /* [N] */
  papo_tensor ratios;                /* [N] importance ratio, 0 for tokens that do not count */
  papo_tensor refKlPerToken;         /* [N] */
  papo_tensor perceptionKlPerToken;  /* [N] after weights, selection and cap */
  papo_tensor logProbsGrad;          /* [N] dloss/dlogProbs: the slope g of docs/math.md */
  papo_tensor maskedLogProbsGrad;    /* [N] g' */
  papo_tensor entropiesGrad;         /* [N] h */
  papo_tensor maskedEntropiesGrad;   /* [N] h' */
  papo_tensor exactPerceptionKlGrad; /* [N] d */
  int32_t gradNorm;                  /* 1: compute PAPO_METRIC_gradNorm from the logits gradients */
} papo_loss_args;

PAPO_API papo_status papo_loss_workspace(const papo_engine* engine, const papo_loss_args* args,
                                         size_t* bytes);
PAPO_API papo_status papo_loss(papo_engine* engine, const papo_loss_args* args, void* workspace,
                               size_t workspaceBytes);

/* --- advantages ---------------------------------------------------------------------------------- */

typedef enum papo_advantage_estimator {
  PAPO_ADVANTAGE_GRPO = 0,    /* (r - mean) / (std + epsilon), std unbiased */
  PAPO_ADVANTAGE_DR_GRPO = 1, /* r - mean */
  PAPO_ADVANTAGE_RLOO = 2,    /* r - mean of the other members */
  PAPO_ADVANTAGE_REMAX = 3,   /* r - baseline */
  PAPO_ADVANTAGE_REINFORCE_PLUS_PLUS =
      4 /* discounted returns per token, whitened over counted tokens */
} papo_advantage_estimator;

typedef enum papo_advantage_scale {
  PAPO_SCALE_GROUP = 0, /* standard deviation of the group */
  PAPO_SCALE_BATCH = 1, /* of all rewards of the call */
  PAPO_SCALE_NONE = 2
} papo_advantage_scale;

typedef struct papo_advantages_args {
  size_t size;
  int32_t estimator; /* papo_advantage_estimator */
  int32_t scale;     /* papo_advantage_scale, for GRPO */
  double epsilon;  /* 1e-6 in the authors' code, 1e-4 in TRL; 1e-8 under the root for REINFORCE++ */
  double discount; /* REINFORCE++ */
  const int64_t* cuSeqlens; /* [responses + 1], REINFORCE++, optional */
  int64_t responses;        /* B, REINFORCE++ */
  papo_tensor rewards;      /* [B] float32 or float64; [N] per token for REINFORCE++ */
  papo_tensor groupIds;     /* [B] int32; any values, any order (not for REMAX and REINFORCE++) */
  papo_tensor baselines;    /* [B], REMAX */
  papo_tensor responseMask; /* [N] uint8, REINFORCE++ */
  papo_tensor advantages;   /* out, shape of rewards, float32 or float64 */
  papo_tensor returns;      /* out [N], REINFORCE++, optional */
} papo_advantages_args;

PAPO_API papo_status papo_advantages_workspace(const papo_engine* engine,
                                               const papo_advantages_args* args, size_t* bytes);
PAPO_API papo_status papo_group_advantages(papo_engine* engine, const papo_advantages_args* args,
                                           void* workspace, size_t workspaceBytes);

/* --- image masking ------------------------------------------------------------------------------- */

typedef enum papo_image_layout {
  PAPO_LAYOUT_INTERLEAVED = 0, /* [frames, height, width, channels] */
  PAPO_LAYOUT_PLANAR = 1       /* [frames, channels, height, width] */
} papo_image_layout;

/* A cell is mergeSize x mergeSize patches of patchSize x patchSize pixels; the grid of
 * ceil(height / side) x ceil(width / side) cells, side = mergeSize * patchSize, starts at the top-left
 * and is row-major; cells at the right and bottom edges may be partial. All channels of the cells with
 * patchMask 1, alpha too, become fill; everything else is copied. out may be image's own view (in place).
 * height, width, channels, frames, patchSize and mergeSize: 1 to 2^20 each. */
typedef struct papo_mask_patches_args {
  size_t size;
  int32_t layout; /* papo_image_layout */
  int64_t frames, height, width, channels;
  int64_t patchSize, mergeSize;
  papo_tensor image;     /* uint8 or any float; interleaved [frames * height, width * channels],
                            planar [frames * channels * height, width] */
  papo_tensor patchMask; /* uint8 [cells] for every frame, or [frames * cells] */
  papo_tensor fill;      /* float64 [1] or [channels], finite in image's dtype, for uint8 a whole
                            number of 0 to 255; absent: 0 */
  papo_tensor out;       /* like image, with a row stride of its own */
} papo_mask_patches_args;

PAPO_API papo_status papo_mask_patches(papo_engine* engine, const papo_mask_patches_args* args);

typedef enum papo_mask_unit {
  PAPO_UNIT_PATCH = 0, /* patchMask has a value for each patch, [t, h, w] of each image */
  PAPO_UNIT_TOKEN = 1  /* for each mergeSize x mergeSize patches, [t, h / merge, w / merge] */
} papo_mask_unit;

/* Patches as the processor of Qwen2-VL makes them, one a row: images one after the other, and within
 * an image t, h / merge, w / merge, merge, merge, so that the patches of a visual token follow each
 * other. Values of a row are ordered channel, time, y, x: equal parts of it belong to the channels.
 * Rows of masked patches become fill, all others are copied. out may be rows' own view (in place). */
typedef struct papo_mask_patch_rows_args {
  size_t size;
  int32_t unit; /* papo_mask_unit */
  int64_t mergeSize;
  papo_tensor rows;    /* [sum of t * h * w, features] uint8 or any float */
  papo_tensor gridThw; /* int32 [images, 3]: t, h, w in patches; mergeSize divides h and w */
  papo_tensor
      patchMask;    /* uint8, row-major in the grid of each image, images one after the other */
  papo_tensor fill; /* as above, [1] or [channels]; channels divide features */
  papo_tensor out;  /* like rows, with a row stride of its own */
} papo_mask_patch_rows_args;

PAPO_API papo_status papo_mask_patch_rows(papo_engine* engine,
                                          const papo_mask_patch_rows_args* args);

/* patchMask[i] = 1 with probability ratio, independently, from Philox 4x32-10 (Salmon et al. 2011,
 * "Parallel random numbers: as easy as 1, 2, 3"): key = seed, counter = (i / 4, image, prompt low
 * and high), word i % 4.
 * The mask depends on nothing else, so every batch split and device gives the same one. */
typedef struct papo_random_patch_mask_args {
  size_t size;
  uint64_t seed;
  uint64_t prompt;
  uint32_t image;
  double ratio;          /* 0 .. 1 */
  papo_tensor patchMask; /* out [patches] uint8 */
} papo_random_patch_mask_args;

PAPO_API papo_status papo_random_patch_mask(papo_engine* engine,
                                            const papo_random_patch_mask_args* args);

/* In each frame the count cells with the largest mean of their patches' saliency are 1, of equal ones
 * the first; all others 0. Means in float64; NaN, also as a mean, is refused. */
typedef struct papo_saliency_patch_mask_args {
  size_t size;
  int64_t frames, height, width; /* of the saliency, in patches; 1 to 2^20 each */
  int64_t mergeSize;             /* patches along a side of a cell; partial ones as above */
  int64_t count;                 /* 0 to the cells of a frame */
  papo_tensor saliency;          /* [frames * height, width] any float */
  papo_tensor patchMask;         /* out uint8 [frames * cells] */
} papo_saliency_patch_mask_args;

PAPO_API papo_status papo_saliency_patch_mask(papo_engine* engine,
                                              const papo_saliency_patch_mask_args* args);

#ifdef __cplusplus
}
#endif
#endif
