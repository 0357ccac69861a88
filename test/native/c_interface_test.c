/* A C program against papo.h alone: what a binding in another language relies on. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "papo.h"

static int passed = 0, failed = 0;

static void check(int condition, const char* what, int line) {
  if (condition) {
    ++passed;
  } else {
    ++failed;
    printf("c_interface_test.c:%d: %s; last message: %s\n", line, what, papo_last_message());
  }
}
#define CHECK(condition) check(condition, #condition, __LINE__)

/* The call failed with this status, and the message starts with the argument's name. */
static void check_refused(papo_status got, papo_status expected, const char* argument, int line) {
  check(got == expected, "status", line);
  check(strncmp(papo_last_message(), argument, strlen(argument)) == 0, argument, line);
}
#define CHECK_REFUSED(call, status, argument) check_refused(call, status, argument, __LINE__)

static papo_tensor tensor(void* data, int64_t rows, int64_t columns, papo_dtype dtype) {
  papo_tensor t = {data, rows, columns, columns, dtype, PAPO_CPU};
  return t;
}

static papo_engine* open_engine(const char* instruction_set) {
  papo_engine_options options = {sizeof(papo_engine_options), PAPO_CPU, 1, instruction_set, NULL};
  papo_engine* engine = NULL;
  CHECK(papo_engine_open(&options, &engine) == PAPO_OK);
  return engine;
}

enum { ROWS = 4, VOCAB = 5 };
static float logits[ROWS * VOCAB], masked_logits[ROWS * VOCAB];
static float logits_grad[ROWS * VOCAB], log_probs[ROWS], advantages[2] = {1.0f, -0.5f};
static int32_t tokens[ROWS] = {0, 1, 2, 4};
static uint8_t response_mask[ROWS] = {1, 1, 1, 0};
static double metrics[PAPO_METRIC_COUNT];
static papo_objective objective;

static papo_loss_args loss_args(void) {
  papo_loss_args args;
  int i;
  for (i = 0; i < ROWS * VOCAB; ++i) {
    logits[i] = (float)((i * 7) % 11) * 0.25f;
    masked_logits[i] = (float)((i * 5) % 13) * 0.25f;
    logits_grad[i] = 42.0f;
  }
  for (i = 0; i < PAPO_METRIC_COUNT; ++i) metrics[i] = 42.0;
  memset(&args, 0, sizeof args);
  args.size = sizeof args;
  args.objective = &objective;
  args.responses = 2;
  args.logits = tensor(logits, ROWS, VOCAB, PAPO_FLOAT32);
  args.maskedLogits = tensor(masked_logits, ROWS, VOCAB, PAPO_FLOAT32);
  args.tokens = tensor(tokens, ROWS, 1, PAPO_INT32);
  args.responseMask = tensor(response_mask, ROWS, 1, PAPO_UINT8);
  args.advantages = tensor(advantages, 2, 1, PAPO_FLOAT32);
  args.metrics = tensor(metrics, PAPO_METRIC_COUNT, 1, PAPO_FLOAT64);
  args.logitsGrad = tensor(logits_grad, ROWS, VOCAB, PAPO_FLOAT32);
  args.outLogProbs = tensor(log_probs, ROWS, 1, PAPO_FLOAT32);
  return args;
}

static papo_status run(papo_engine* engine, const papo_loss_args* args) {
  size_t bytes = 0;
  void* workspace;
  papo_status status = papo_loss_workspace(engine, args, &bytes);
  if (status != PAPO_OK) return status;
  workspace = aligned_alloc(64, (bytes + 63) / 64 * 64);
  status = papo_loss(engine, args, workspace, bytes);
  free(workspace);
  return status;
}

static double log_prob(const float* row, int32_t token) {
  double sum = 0;
  int v;
  for (v = 0; v < VOCAB; ++v) sum += exp((double)row[v]);
  return (double)row[token] - log(sum);
}

/* On-policy papoG without reference, written out: -mean A - gamma mean k3 - eta mean(l + l'). */
static void loss_of_a_small_batch(void) {
  papo_engine* engine = open_engine(NULL);
  papo_loss_args args = loss_args();
  double policy = 0, kl = 0, entropy = 0, masked_entropy = 0;
  int row;
  CHECK(run(engine, &args) == PAPO_OK);
  for (row = 0; row < 3; ++row) {
    const double l = log_prob(logits + row * VOCAB, tokens[row]);
    const double m = log_prob(masked_logits + row * VOCAB, tokens[row]);
    CHECK(fabs(log_probs[row] - l) < 1e-6);
    policy -= advantages[row / 2] / 3;
    kl += (exp(m - l) - (m - l) - 1) / 3;
    entropy -= l / 3;
    masked_entropy -= m / 3;
  }
  CHECK(log_probs[3] == 0);
  CHECK(fabs(metrics[PAPO_METRIC_policy] - policy) < 1e-6);
  CHECK(fabs(metrics[PAPO_METRIC_perceptionKl] - kl) < 1e-6);
  CHECK(fabs(metrics[PAPO_METRIC_loss] -
             (policy - 0.02 * kl + 0.05 * entropy + 0.05 * masked_entropy)) < 1e-6);
  CHECK(metrics[PAPO_METRIC_tokenCount] == 3);

  /* The paper's ratio is the inverse one: another value. */
  args = loss_args();
  objective.perceptionRatio = PAPO_PERCEPTION_RATIO_PAPER;
  CHECK(run(engine, &args) == PAPO_OK);
  for (kl = 0, row = 0; row < 3; ++row) {
    const double l = log_prob(logits + row * VOCAB, tokens[row]);
    const double m = log_prob(masked_logits + row * VOCAB, tokens[row]);
    kl += (exp(l - m) - (l - m) - 1) / 3;
  }
  CHECK(fabs(metrics[PAPO_METRIC_perceptionKl] - kl) < 1e-6);
  CHECK(papo_objective_init("papoG", &objective) == PAPO_OK);
  papo_engine_close(engine);
}

static void refuse(papo_engine* engine, papo_loss_args args, papo_status status,
                   const char* argument, int line) {
  int i;
  check_refused(run(engine, &args), status, argument, line);
  for (i = 0; i < ROWS * VOCAB; ++i) check(logits_grad[i] == 42.0f, "untouched", line);
  for (i = 0; i < PAPO_METRIC_COUNT; ++i) check(metrics[i] == 42.0, "untouched", line);
}
#define REFUSE(change, status, argument)              \
  do {                                                \
    papo_loss_args args = loss_args();                \
    change;                                           \
    refuse(engine, args, status, argument, __LINE__); \
  } while (0)

static void bad_arguments(void) {
  papo_engine* engine = open_engine(NULL);
  const int64_t cu_bad[3] = {0, 3, 2};
  REFUSE(args.size = 8, PAPO_INVALID_ARGUMENT, "args");
  REFUSE(args.objective = NULL, PAPO_INVALID_ARGUMENT, "objective");
  REFUSE(args.logits.data = NULL, PAPO_INVALID_ARGUMENT, "logits");
  REFUSE(args.logits.dtype = PAPO_INT32, PAPO_INVALID_DTYPE, "logits");
  REFUSE(args.logits.dtype = 77, PAPO_INVALID_DTYPE, "logits");
  REFUSE(args.logits.dtype = PAPO_FLOAT64, PAPO_INVALID_DTYPE, "logits");
  REFUSE(args.logits.rowStride = VOCAB - 1, PAPO_INVALID_SHAPE, "logits");
  REFUSE(args.logits.rowStride = INT64_MAX / 4, PAPO_INVALID_SHAPE, "logits");
  REFUSE(args.logits.data = (char*)logits + 1, PAPO_INVALID_ARGUMENT, "logits");
  REFUSE(args.logits.device = PAPO_CUDA, PAPO_INVALID_ARGUMENT, "logits");
  REFUSE(args.maskedLogits.columns = VOCAB - 1, PAPO_INVALID_SHAPE, "maskedLogits");
  REFUSE(args.maskedLogits.data = NULL, PAPO_INVALID_ARGUMENT, "maskedLogits");
  REFUSE(args.tokens.data = NULL, PAPO_INVALID_ARGUMENT, "tokens");
  REFUSE(args.tokens.rows = 3, PAPO_INVALID_SHAPE, "tokens");
  REFUSE(args.advantages.rows = 3, PAPO_INVALID_SHAPE, "advantages");
  REFUSE(args.advantages.data = NULL, PAPO_INVALID_ARGUMENT, "advantages");
  REFUSE(args.responses = 3, PAPO_INVALID_SHAPE, "responses");
  REFUSE(args.responses = 0, PAPO_INVALID_SHAPE, "responses");
  REFUSE(args.cuSeqlens = cu_bad, PAPO_INVALID_VALUE, "cuSeqlens");
  REFUSE(args.metrics.rows = 3, PAPO_INVALID_SHAPE, "metrics");
  REFUSE(args.logitsGrad.data = masked_logits, PAPO_OVERLAP, "logitsGrad");
  REFUSE(args.logitsGrad.data = logits + 1, PAPO_OVERLAP, "logitsGrad");
  REFUSE(args.outLogProbs.data = logits_grad, PAPO_OVERLAP, "outLogProbs");
  REFUSE(args.logProbs = args.outLogProbs, PAPO_INVALID_ARGUMENT, "logits");
  objective.refKlCoef = NAN;
  REFUSE((void)0, PAPO_INVALID_OPTION, "refKlCoef");
  CHECK(papo_objective_init("papoG", &objective) == PAPO_OK);
  objective.reduction = 3;
  REFUSE((void)0, PAPO_INVALID_OPTION, "reduction");
  CHECK(papo_objective_init("papoG", &objective) == PAPO_OK);
  tokens[1] = VOCAB;
  REFUSE((void)0, PAPO_INVALID_VALUE, "tokens");
  tokens[1] = -1;
  REFUSE((void)0, PAPO_INVALID_VALUE, "tokens");
  tokens[1] = 1;
  response_mask[2] = 2;
  REFUSE((void)0, PAPO_INVALID_VALUE, "responseMask");
  response_mask[2] = 1;
  papo_engine_close(engine);
}

static void bad_workspace(void) {
  papo_engine* engine = open_engine(NULL);
  papo_loss_args args = loss_args();
  size_t bytes = 0;
  char* memory;
  CHECK(papo_loss_workspace(engine, &args, &bytes) == PAPO_OK);
  memory = aligned_alloc(64, (bytes + 127) / 64 * 64);
  CHECK_REFUSED(papo_loss(engine, &args, memory, bytes - 1), PAPO_WORKSPACE_TOO_SMALL, "workspace");
  CHECK_REFUSED(papo_loss(engine, &args, NULL, bytes), PAPO_WORKSPACE_TOO_SMALL, "workspace");
  CHECK_REFUSED(papo_loss(engine, &args, memory + 4, bytes), PAPO_INVALID_ARGUMENT, "workspace");
  CHECK_REFUSED(papo_loss(NULL, &args, memory, bytes), PAPO_INVALID_ARGUMENT, "engine");
  CHECK_REFUSED(papo_loss(engine, NULL, memory, bytes), PAPO_INVALID_ARGUMENT, "args");
  CHECK(logits_grad[0] == 42.0f);
  free(memory);
  papo_engine_close(engine);
}

static void engines(void) {
  papo_engine_options options = {sizeof options, PAPO_CPU, 0, NULL, NULL};
  papo_engine* engine = NULL;
  const char* names[16];
  const int32_t count = papo_instruction_sets(names, 16);
  int32_t i;
  CHECK(papo_abi_version() == PAPO_ABI_VERSION);
  CHECK(count >= 2);
  CHECK(strcmp(names[count - 1], "reference") == 0);
  for (i = 0; i < count; ++i) {
    engine = open_engine(names[i]);
    CHECK(strcmp(papo_engine_instruction_set(engine), names[i]) == 0);
    CHECK(papo_engine_synchronize(engine) == PAPO_OK);
    papo_engine_close(engine);
  }
  options.instructionSet = "mmx";
  CHECK_REFUSED(papo_engine_open(&options, &engine), PAPO_UNAVAILABLE, "instructionSet");
  CHECK(engine == NULL);
  options.instructionSet = NULL;
  options.device = PAPO_CUDA + 16 * 999; /* more than any machine has */
  CHECK_REFUSED(papo_engine_open(&options, &engine), PAPO_UNAVAILABLE, "device");
  options.device = PAPO_CPU;
  options.threads = -1;
  CHECK_REFUSED(papo_engine_open(&options, &engine), PAPO_INVALID_OPTION, "threads");
  options.size = 3;
  CHECK_REFUSED(papo_engine_open(&options, &engine), PAPO_INVALID_ARGUMENT, "options");
  CHECK_REFUSED(papo_objective_init("papo", &objective), PAPO_INVALID_OPTION, "profile");
  papo_engine_close(NULL);
}

static papo_status advantages_of(papo_engine* engine, float* rewards, int32_t* ids, int64_t count,
                                 float* out) {
  papo_advantages_args args;
  size_t bytes = 0;
  void* workspace;
  papo_status status;
  memset(&args, 0, sizeof args);
  args.size = sizeof args;
  args.epsilon = 1e-6;
  args.rewards = tensor(rewards, count, 1, PAPO_FLOAT32);
  args.groupIds = tensor(ids, count, 1, PAPO_INT32);
  args.advantages = tensor(out, count, 1, PAPO_FLOAT32);
  CHECK(papo_advantages_workspace(engine, &args, &bytes) == PAPO_OK);
  workspace = aligned_alloc(64, (bytes + 63) / 64 * 64);
  status = papo_group_advantages(engine, &args, workspace, bytes);
  free(workspace);
  return status;
}

/* Groups interleaved, unequal and with ids of any value; equal rewards give exactly 0. */
static void group_advantages(void) {
  papo_engine* engine = open_engine(NULL);
  float rewards[7] = {1, 0.1f, 0, 0.1f, 1, 0.1f, 0.1f}, near_[7], far_[7];
  int32_t ids[7] = {3, 5, 3, 5, 3, 5, 5};
  int32_t wide[7] = {INT32_MIN, INT32_MAX, INT32_MIN, INT32_MAX, INT32_MIN, INT32_MAX, INT32_MAX};
  const double deviation = sqrt(1.0 / 3);
  int i;
  CHECK(advantages_of(engine, rewards, ids, 7, near_) == PAPO_OK);
  CHECK(advantages_of(engine, rewards, wide, 7, far_) == PAPO_OK);
  CHECK(memcmp(near_, far_, sizeof near_) == 0);
  for (i = 0; i < 7; ++i) {
    const double expected = ids[i] == 5 ? 0 : (rewards[i] - 2.0 / 3) / (deviation + 1e-6);
    CHECK(ids[i] == 5 ? near_[i] == 0 : fabs(near_[i] - expected) < 1e-6);
  }
  ids[6] = 9;
  near_[0] = 42;
  CHECK(advantages_of(engine, rewards, ids, 7, near_) == PAPO_INVALID_VALUE);
  CHECK(strstr(papo_last_message(), "group 9") != NULL);
  CHECK(near_[0] == 42);
  rewards[2] = NAN;
  CHECK_REFUSED(advantages_of(engine, rewards, wide, 7, near_), PAPO_INVALID_VALUE, "rewards");
  papo_engine_close(engine);
}

/* Philox 4x32-10 known answer for counter 0, key 0: first word 6627e8d5 (Random123 kat_vectors). */
static void random_patch_mask(void) {
  papo_engine* engine = open_engine(NULL);
  uint8_t mask[1000], again[1000];
  papo_random_patch_mask_args args;
  int i, black = 0;
  memset(&args, 0, sizeof args);
  args.size = sizeof args;
  args.patchMask = tensor(mask, 1, 1, PAPO_UINT8);
  args.ratio = (double)0x6627e8d5u / 4294967296.0;
  CHECK(papo_random_patch_mask(engine, &args) == PAPO_OK && mask[0] == 0);
  args.ratio = (double)0x6627e8d6u / 4294967296.0;
  CHECK(papo_random_patch_mask(engine, &args) == PAPO_OK && mask[0] == 1);
  args.seed = 7;
  args.prompt = 3;
  args.ratio = 0.6;
  args.patchMask = tensor(mask, 1000, 1, PAPO_UINT8);
  CHECK(papo_random_patch_mask(engine, &args) == PAPO_OK);
  args.patchMask = tensor(again, 10, 1, PAPO_UINT8);
  CHECK(papo_random_patch_mask(engine, &args) == PAPO_OK);
  CHECK(memcmp(mask, again, 10) == 0);
  for (i = 0; i < 1000; ++i) black += mask[i];
  CHECK(black > 540 && black < 660); /* 600 +- 4 standard deviations */
  args.ratio = 1;
  args.patchMask = tensor(mask, 1000, 1, PAPO_UINT8);
  CHECK(papo_random_patch_mask(engine, &args) == PAPO_OK);
  for (i = 0; i < 1000; ++i) CHECK(mask[i] == 1);
  args.ratio = 1.5;
  CHECK_REFUSED(papo_random_patch_mask(engine, &args), PAPO_INVALID_OPTION, "ratio");
  papo_engine_close(engine);
}

int main(void) {
  CHECK(papo_objective_init("papoG", &objective) == PAPO_OK);
  loss_of_a_small_batch();
  bad_arguments();
  bad_workspace();
  CHECK(papo_objective_init("papoG", &objective) == PAPO_OK);
  engines();
  CHECK(papo_objective_init("papoG", &objective) == PAPO_OK);
  group_advantages();
  random_patch_mask();
  printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}
