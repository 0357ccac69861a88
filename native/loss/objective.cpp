// Objective: profiles and range checks, both from the generated table.
#include <cmath>
#include <cstdio>
#include <cstring>

#include "engine/status.h"
#include "loss/objective_table.h"

namespace papo {
namespace {

double readOption(const papo_objective& objective, const OptionRow& row) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(&objective) + row.offset;
  if (!row.isNumber) {
    int32_t value;
    std::memcpy(&value, bytes, sizeof value);
    return value;
  }
  double value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

void writeOption(papo_objective* objective, const OptionRow& row, double value) {
  auto* bytes = reinterpret_cast<unsigned char*>(objective) + row.offset;
  const auto integer = static_cast<int32_t>(row.isNumber ? 0 : value);
  if (row.isNumber)
    std::memcpy(bytes, &value, sizeof value);
  else
    std::memcpy(bytes, &integer, sizeof integer);
}

bool isInRange(const OptionRow& row, double value) {
  if (std::isfinite(value) && !(value < row.min) && !(value <= row.above) && !(value > row.max))
    return true;
  if (std::strcmp(row.word, "off") == 0) return std::isinf(value) && value > 0;
  return std::strcmp(row.word, "unset") == 0 && value == 0;
}

papo_status outOfRange(const OptionRow& row, double value) {
  char low[48] = "finite", high[48] = "", word[16] = "";
  if (!std::isnan(row.min)) std::snprintf(low, sizeof low, ">= %g", row.min);
  if (!std::isnan(row.above)) std::snprintf(low, sizeof low, "> %g", row.above);
  if (!std::isnan(row.max)) std::snprintf(high, sizeof high, " and <= %g", row.max);
  if (row.word[0]) std::snprintf(word, sizeof word, " or %s", row.word);
  return fail(PAPO_INVALID_OPTION, "%s: expected a number %s%s%s, got %g", row.name, low, high,
              word, value);
}

}  // namespace
}  // namespace papo

extern "C" papo_status papo_objective_init(const char* profile, papo_objective* objective) {
  using namespace papo;
  if (!profile || !objective)
    return fail(PAPO_INVALID_ARGUMENT,
                "papo_objective_init: expected profile and objective, got null");
  for (const ProfileRow& row : kProfiles) {
    if (std::strcmp(row.name, profile) != 0) continue;
    std::memset(objective, 0, sizeof *objective);
    objective->size = sizeof *objective;
    for (const OptionRow& option : kOptions) writeOption(objective, option, option.initial);
    for (int i = 0; i < row.count; ++i)
      writeOption(objective, kOptions[row.first[i].option], row.first[i].value);
    return PAPO_OK;
  }
  return fail(PAPO_INVALID_OPTION, "profile: \"%s\" is not a profile of docs/options.md", profile);
}

extern "C" papo_status papo_objective_validate(const papo_objective* objective) {
  using namespace papo;
  if (!objective) return fail(PAPO_INVALID_ARGUMENT, "objective: expected an objective, got null");
  if (objective->size != sizeof *objective)
    return fail(PAPO_INVALID_ARGUMENT, "objective: expected size %zu, got %zu", sizeof *objective,
                objective->size);
  for (const OptionRow& row : kOptions) {
    const double value = readOption(*objective, row);
    if (!isInRange(row, value)) return outOfRange(row, value);
  }
  if (objective->reduction == PAPO_REDUCTION_CONSTANT && objective->maxLength == 0 &&
      objective->normalizer == 0)
    return fail(PAPO_INVALID_OPTION,
                "maxLength: expected a number > 0 with the constant reduction (or a normalizer), "
                "got unset");
  return PAPO_OK;
}
