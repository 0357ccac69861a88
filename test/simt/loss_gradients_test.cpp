// The tests of the CPU engine of this name, on a CUDA engine.
#define PAPO_TEST_CUDA
#include "../native/loss_gradients_test.cpp"
