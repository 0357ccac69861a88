// Chooses how the rows of an objective that is local to a token are worked.
#include "cuda/local_rows.h"

#include <cstdlib>

#include "engine/dtype.h"
#include "engine/status.h"

namespace papo::cuda {
namespace {

// For measuring on a GPU: results do not depend on them.
papo_status readOverride(RowLaunchOverride* asked) {
  const char* const cluster = std::getenv("PAPO_KERNELS_CUDA_CLUSTER");
  if (!parseClusterSize(cluster, &asked->clusterSize))
    return fail(PAPO_INVALID_ARGUMENT,
                "PAPO_KERNELS_CUDA_CLUSTER: expected 0, 1, 2, 4 or 8, got '%.40s'", cluster);
  const char* const threads = std::getenv("PAPO_KERNELS_CUDA_THREADS");
  if (!parseThreads(threads, &asked->threads))
    return fail(PAPO_INVALID_ARGUMENT,
                "PAPO_KERNELS_CUDA_THREADS: expected a multiple of %d up to %d, got '%.40s'", kWarp,
                kMostThreads, threads);
  return PAPO_OK;
}

RowShape shapeOf(const RowsCall& call) {
  return {call.vocabSize, static_cast<int>(dtypeBytes(call.dtype)), call.maskedLogits.data ? 2 : 1};
}

}  // namespace

papo_status launchLocalRows(Context& context, const RowsCall& call) {
  RowLaunchOverride asked;
  PAPO_TRY(readOverride(&asked));
  const bool wantsGradient = call.logitsGrad.data || call.maskedLogitsGrad.data;
  RowLaunch launch;
  if (wantsGradient) launch = chooseRowLaunch(context.properties(), shapeOf(call), asked);
  bool launched = false;
  if (launch.isCluster()) PAPO_TRY(launchRowsInClusters(context, call, launch, &launched));
  // Without gradients one sweep is all there is.
  return launched ? PAPO_OK : launchLocalRowsInTwoSweeps(context, call);
}

}  // namespace papo::cuda
