// What the emulator finds: right programs are clean in every order of threads, and each planted
// error is found in exactly the builds its case names. Every case and order is a process of its own,
// since some errors end it: emulator_test CASE ORDER runs one.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "../native/check.h"
#include "emu/options.h"
#include "emulator_cases.h"

using namespace emulator_test;

namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr unsigned kThisBuild = address;
#elif defined(__SANITIZE_THREAD__)
constexpr unsigned kThisBuild = thread;
#else
constexpr unsigned kThisBuild = plain;
#endif

constexpr int kFound = 3;
const char* const kOrders[] = {"forward", "reverse", "random:1", "random:2"};

std::vector<Case> allCases() {
  std::vector<Case> out = blockCases();
  for (const Case& one : clusterCases()) out.push_back(one);
  return out;
}

int runHere(const Case& one) {
  simt::options().arch = one.arch;
  int* data = nullptr;
  cudaMalloc(reinterpret_cast<void**>(&data), kInts * sizeof(int));
  for (int i = 0; i < kInts; i++) data[i] = i < kInts / 2 ? 0 : 7 * i;
  const cudaError_t error = one.launch(data);
  if (error != cudaSuccess) std::printf("%s\n", simt::lastError());
  const bool right = error == cudaSuccess && (!one.isRight || one.isRight(data));
  if (error == cudaSuccess && !right) std::printf("a wrong result\n");
  const int races = simt::raceReports();
  if (error == cudaSuccess) cudaFree(data);
  return right && !races ? 0 : kFound;
}

// Whether the process of this case ends other than cleanly; its words go to a file.
bool isFound(const char* self, const Case& one, const char* order, const std::string& log) {
  setenv("PAPO_SIMT_ORDER", order, 1);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  std::string name = one.name, program = self;
  char* const arguments[] = {program.data(), name.data(), nullptr};
  pid_t child = 0;
  const int spawned = posix_spawn(&child, self, &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  if (spawned != 0 || waitpid(child, &status, 0) != child) std::abort();
  return status != 0;
}

void show(const std::string& log) {
  std::FILE* file = std::fopen(log.c_str(), "r");
  char line[400];
  for (int i = 0; file && i < 6 && std::fgets(line, sizeof line, file); i++)
    std::printf("    %s", line);
  if (file) std::fclose(file);
}

void runAll(const char* self) {
  // The first report is enough, and the names of functions take longer than the case.
  setenv("TSAN_OPTIONS", "halt_on_error=1:symbolize=0", 1);
  setenv("ASAN_OPTIONS", "symbolize=0", 1);
  const std::string log = std::string(self) + ".log";
  for (const Case& one : allCases()) {
    bool found = false;
    for (const char* order : kOrders) {
      found = isFound(self, one, order, log);
      if (found && one.foundBy == nowhere) show(log);
      if (found) break;
    }
    const bool expected = (one.foundBy & kThisBuild) != 0;
    std::snprintf(papo_test::checkContext, sizeof papo_test::checkContext, "%s: %s", one.name,
                  found ? "found" : "not found");
    CHECK(found == expected);
  }
  std::remove(log.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    runAll(argv[0]);
    return papo_test::finish();
  }
  for (const Case& one : allCases())
    if (!std::strcmp(one.name, argv[1])) return runHere(one);
  std::printf("no case \"%s\"\n", argv[1]);
  return 2;
}
