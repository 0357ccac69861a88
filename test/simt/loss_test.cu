// stand-in
#include "cuda/rows.h"
#include "engine/status.h"
namespace papo::cuda {
papo_status launchRowStatistics(Context&, const RowsCall&) { return fail(PAPO_UNAVAILABLE, "rows"); }
papo_status launchRowGradients(Context&, const RowsCall&) { return fail(PAPO_UNAVAILABLE, "rows"); }
papo_status launchLocalRows(Context&, const RowsCall&) { return fail(PAPO_UNAVAILABLE, "rows"); }
}
