// Events: order between the streams of engines, and time.
#include "device_support.h"

using namespace papo_test;

namespace {

papo_event* createEvent(papo_engine* engine) {
  papo_event* event = nullptr;
  CHECK(papo_event_create(engine, &event) == PAPO_OK && event);
  return event;
}

// What one engine reads of memory that another one set just before, with and without waiting.
unsigned char readAfter(bool waits) {
  const Machine machine;
  simt::options().lazyStreams = true;
  OpenEngine writer(cudaDevice(0)), reader(cudaDevice(0));
  papo_event* event = createEvent(writer);
  void* data = nullptr;
  unsigned char value = 0;
  CHECK(papo_memory_allocate(writer, 1, &data) == PAPO_OK);
  CHECK(papo_memory_set(writer, data, 1, 1) == PAPO_OK);
  CHECK(papo_engine_synchronize(writer) == PAPO_OK);
  CHECK(papo_memory_set(writer, data, 2, 1) == PAPO_OK);
  CHECK(papo_event_record(writer, event) == PAPO_OK);
  if (waits) CHECK(papo_event_wait(reader, event) == PAPO_OK);
  CHECK(papo_memory_copy(reader, &value, data, 1) == PAPO_OK);
  CHECK(papo_engine_synchronize(reader) == PAPO_OK);
  CHECK(papo_memory_free(writer, data) == PAPO_OK);
  papo_event_destroy(event);
  return value;
}

void ordersStreams() {
  CHECK(readAfter(false) == 1);
  CHECK(readAfter(true) == 2);
}

void measuresTime() {
  const Machine machine;
  simt::options().lazyStreams = true;
  OpenEngine engine(cudaDevice(1));
  papo_event *first = createEvent(engine), *second = createEvent(engine);
  float milliseconds = -1;
  CHECK_REFUSED(papo_event_elapsed(first, second, &milliseconds), PAPO_INVALID_ARGUMENT,
                "from: expected an event in a stream, got one never recorded");
  void* data = nullptr;
  CHECK(papo_memory_allocate(engine, 1 << 20, &data) == PAPO_OK);
  CHECK(papo_event_record(engine, first) == PAPO_OK);
  CHECK_REFUSED(papo_event_elapsed(first, second, &milliseconds), PAPO_INVALID_ARGUMENT, "to: ");
  for (int i = 0; i < 8; ++i) CHECK(papo_memory_set(engine, data, 1, 1 << 20) == PAPO_OK);
  CHECK(papo_event_record(engine, second) == PAPO_OK);
  CHECK_REFUSED(papo_event_elapsed(first, second, &milliseconds), PAPO_INVALID_ARGUMENT,
                "expected an event that has passed, got one to come");
  CHECK(milliseconds == -1);
  CHECK(papo_event_synchronize(second) == PAPO_OK);
  CHECK(papo_event_elapsed(first, second, &milliseconds) == PAPO_OK && milliseconds >= 0);
  CHECK_REFUSED(papo_event_elapsed(first, second, nullptr), PAPO_INVALID_ARGUMENT, "milliseconds");
  CHECK(papo_event_elapsed(first, first, &milliseconds) == PAPO_OK && milliseconds == 0);
  CHECK(papo_memory_free(engine, data) == PAPO_OK);
  papo_event_destroy(first);
  papo_event_destroy(second);
}

void refuses() {
  const Machine machine;
  OpenEngine engine(cudaDevice(0)), other(cudaDevice(1)), cpu(PAPO_CPU);
  papo_event *event = createEvent(engine), *foreign = createEvent(other), *none = event;
  float milliseconds = 0;
  CHECK_REFUSED(papo_event_create(engine, nullptr), PAPO_INVALID_ARGUMENT, "event");
  CHECK_REFUSED(papo_event_create(cpu, &none), PAPO_INVALID_ARGUMENT, "engine: expected a CUDA");
  CHECK(none == nullptr);
  CHECK_REFUSED(papo_event_record(engine, nullptr), PAPO_INVALID_ARGUMENT, "event: expected");
  CHECK_REFUSED(papo_event_record(cpu, event), PAPO_INVALID_ARGUMENT, "engine");
  CHECK_REFUSED(papo_event_record(other, event), PAPO_INVALID_ARGUMENT,
                "event: expected one of cuda:1, got one of cuda:0");
  CHECK_REFUSED(papo_event_wait(engine, event), PAPO_INVALID_ARGUMENT, "never recorded");
  CHECK_REFUSED(papo_event_wait(engine, nullptr), PAPO_INVALID_ARGUMENT, "got null");
  CHECK_REFUSED(papo_event_synchronize(event), PAPO_INVALID_ARGUMENT, "never recorded");
  CHECK_REFUSED(papo_event_synchronize(nullptr), PAPO_INVALID_ARGUMENT, "got null");
  CHECK(papo_event_record(engine, event) == PAPO_OK);
  CHECK(papo_event_record(other, foreign) == PAPO_OK);
  CHECK(papo_event_wait(engine, foreign) == PAPO_OK);  // of any device
  CHECK_REFUSED(papo_event_elapsed(event, foreign, &milliseconds), PAPO_INVALID_ARGUMENT,
                "to: expected an event of cuda:0, got one of cuda:1");
  CHECK_REFUSED(papo_event_elapsed(nullptr, event, &milliseconds), PAPO_INVALID_ARGUMENT, "from");
  CHECK_REFUSED(papo_event_elapsed(event, nullptr, &milliseconds), PAPO_INVALID_ARGUMENT, "to");
  simt::failCall("cudaEventRecord", 1, cudaErrorNotSupported);
  CHECK_REFUSED(papo_event_record(engine, event), PAPO_DEVICE_ERROR, "in papo_event_record");
  papo_event_destroy(event);
  papo_event_destroy(foreign);
  papo_event_destroy(nullptr);
}

// An event outlives the engine that made it.
void outlivesItsEngine() {
  papo_event* event = nullptr;
  {
    OpenEngine engine(cudaDevice(0));
    event = createEvent(engine);
    CHECK(papo_event_record(engine, event) == PAPO_OK);
  }
  CHECK(papo_event_synchronize(event) == PAPO_OK);
  papo_event_destroy(event);
}

}  // namespace

int main() {
  ordersStreams();
  measuresTime();
  refuses();
  outlivesItsEngine();
  return finish();
}
