// Generated from native/loss/options.json by scripts/generate-options.mjs; edit that list.
// clang-format off
#pragma once

#include <cmath>
#include <cstddef>

#include "papo.h"

namespace papo {

struct OptionRow {
  const char* name;
  size_t offset;    // in papo_objective
  bool isNumber;    // double, else int32_t
  double min;       // NaN: no bound
  double above;     // exclusive lower bound, NaN: none
  double max;
  const char* word; // "off": INFINITY is allowed; "unset": 0 is allowed
  double initial;
};

struct OptionSetting {
  int option;  // index into kOptions
  double value;
};

struct ProfileRow {
  const char* name;
  const OptionSetting* first;
  int count;
};

constexpr double kNone = NAN;

constexpr OptionRow kOptions[] = {
    {"temperature", offsetof(papo_objective, temperature), true, kNone,
     0, kNone, "", 1},
    {"clipRatioLow", offsetof(papo_objective, clipRatioLow), true, 0,
     kNone, 1, "", 0.2},
    {"clipRatioHigh", offsetof(papo_objective, clipRatioHigh), true, 0,
     kNone, kNone, "", 0.2},
    {"dualClip", offsetof(papo_objective, dualClip), true, kNone,
     1, kNone, "off", INFINITY},
    {"ratioCap", offsetof(papo_objective, ratioCap), true, kNone,
     0, kNone, "off", INFINITY},
    {"logRatioClamp", offsetof(papo_objective, logRatioClamp), true, kNone,
     0, kNone, "off", INFINITY},
    {"ratioLevel", offsetof(papo_objective, ratioLevel), false, 0,
     kNone, 1, "", 0},
    {"surrogate", offsetof(papo_objective, surrogate), false, 0,
     kNone, 1, "", 0},
    {"topEntropyFraction", offsetof(papo_objective, topEntropyFraction), true, kNone,
     0, 1, "", 1},
    {"topEntropyScope", offsetof(papo_objective, topEntropyScope), false, 0,
     kNone, 1, "", 0},
    {"refKlCoef", offsetof(papo_objective, refKlCoef), true, 0,
     kNone, kNone, "", 0},
    {"refKlEstimator", offsetof(papo_objective, refKlEstimator), false, 0,
     kNone, 3, "", 3},
    {"refKlRatioCorrection", offsetof(papo_objective, refKlRatioCorrection), false, 0,
     kNone, 1, "", 0},
    {"perceptionKlCoef", offsetof(papo_objective, perceptionKlCoef), true, 0,
     kNone, kNone, "", 0},
    {"perceptionKlEstimator", offsetof(papo_objective, perceptionKlEstimator), false, 0,
     kNone, 4, "", 3},
    {"perceptionRatio", offsetof(papo_objective, perceptionRatio), false, 0,
     kNone, 1, "", 0},
    {"perceptionGradient", offsetof(papo_objective, perceptionGradient), false, 0,
     kNone, 1, "", 0},
    {"perceptionKlCap", offsetof(papo_objective, perceptionKlCap), true, kNone,
     0, kNone, "off", INFINITY},
    {"perceptionTopFraction", offsetof(papo_objective, perceptionTopFraction), true, kNone,
     0, 1, "", 1},
    {"klLogRatioClamp", offsetof(papo_objective, klLogRatioClamp), true, kNone,
     0, kNone, "off", 20},
    {"klValueClamp", offsetof(papo_objective, klValueClamp), true, kNone,
     0, kNone, "off", 10},
    {"entropyCoef", offsetof(papo_objective, entropyCoef), true, kNone,
     kNone, kNone, "", 0},
    {"maskedEntropyCoef", offsetof(papo_objective, maskedEntropyCoef), true, kNone,
     kNone, kNone, "", 0},
    {"entropyEstimator", offsetof(papo_objective, entropyEstimator), false, 0,
     kNone, 1, "", 0},
    {"entropyGradient", offsetof(papo_objective, entropyGradient), false, 0,
     kNone, 1, "", 1},
    {"sftCoef", offsetof(papo_objective, sftCoef), true, 0,
     kNone, kNone, "", 0},
    {"reduction", offsetof(papo_objective, reduction), false, 0,
     kNone, 2, "", 0},
    {"paddingInAuxiliaryTerms", offsetof(papo_objective, paddingInAuxiliaryTerms), false, 0,
     kNone, 1, "", 0},
    {"maxLength", offsetof(papo_objective, maxLength), true, kNone,
     0, kNone, "unset", 0},
    {"normalizer", offsetof(papo_objective, normalizer), true, kNone,
     0, kNone, "unset", 0},
    {"tokenNormalizer", offsetof(papo_objective, tokenNormalizer), true, kNone,
     0, kNone, "unset", 0},
    {"sftNormalizer", offsetof(papo_objective, sftNormalizer), true, kNone,
     0, kNone, "unset", 0},
    {"countEpsilon", offsetof(papo_objective, countEpsilon), true, 0,
     kNone, kNone, "", 1e-8},
    {"lossScale", offsetof(papo_objective, lossScale), true, kNone,
     kNone, kNone, "", 1},
};

constexpr OptionSetting kProfile_grpo[] = {
    {2, 0.3},  // clipRatioHigh
    {3, 3},  // dualClip
    {5, 20},  // logRatioClamp
    {10, 0.01},  // refKlCoef
};
constexpr OptionSetting kProfile_dapo[] = {
    {2, 0.28},  // clipRatioHigh
    {3, 3},  // dualClip
    {5, 20},  // logRatioClamp
};
constexpr OptionSetting kProfile_papoG[] = {
    {2, 0.3},  // clipRatioHigh
    {3, 3},  // dualClip
    {5, 20},  // logRatioClamp
    {10, 0.01},  // refKlCoef
    {13, 0.02},  // perceptionKlCoef
    {21, 0.05},  // entropyCoef
    {22, 0.05},  // maskedEntropyCoef
};
constexpr OptionSetting kProfile_papoG3b[] = {
    {2, 0.3},  // clipRatioHigh
    {3, 3},  // dualClip
    {5, 20},  // logRatioClamp
    {10, 0.01},  // refKlCoef
    {13, 0.02},  // perceptionKlCoef
};
constexpr OptionSetting kProfile_papoGNoRef[] = {
    {2, 0.3},  // clipRatioHigh
    {3, 3},  // dualClip
    {5, 20},  // logRatioClamp
    {13, 0.01},  // perceptionKlCoef
    {21, 0.03},  // entropyCoef
    {22, 0.03},  // maskedEntropyCoef
};
constexpr OptionSetting kProfile_papoD[] = {
    {2, 0.28},  // clipRatioHigh
    {3, 3},  // dualClip
    {5, 20},  // logRatioClamp
    {13, 0.01},  // perceptionKlCoef
    {21, 0.03},  // entropyCoef
    {22, 0.03},  // maskedEntropyCoef
};
constexpr OptionSetting kProfile_papoPaper[] = {
    {2, 0.3},  // clipRatioHigh
    {10, 0.01},  // refKlCoef
    {13, 0.02},  // perceptionKlCoef
    {15, 1},  // perceptionRatio
    {16, 1},  // perceptionGradient
    {19, INFINITY},  // klLogRatioClamp
    {20, INFINITY},  // klValueClamp
    {21, 0.05},  // entropyCoef
    {22, 0.05},  // maskedEntropyCoef
    {26, 1},  // reduction
};
constexpr OptionSetting kProfile_papoExact[] = {
    {2, 0.3},  // clipRatioHigh
    {3, 3},  // dualClip
    {5, 20},  // logRatioClamp
    {10, 0.01},  // refKlCoef
    {13, 0.02},  // perceptionKlCoef
    {14, 4},  // perceptionKlEstimator
    {16, 1},  // perceptionGradient
    {21, 0.05},  // entropyCoef
    {22, 0.05},  // maskedEntropyCoef
    {23, 1},  // entropyEstimator
};
constexpr OptionSetting kProfile_trlPapo[] = {
    {19, INFINITY},  // klLogRatioClamp
    {20, INFINITY},  // klValueClamp
    {13, 0.1},  // perceptionKlCoef
    {17, 0.2},  // perceptionKlCap
    {16, 1},  // perceptionGradient
    {21, 0.03},  // entropyCoef
    {22, 0.03},  // maskedEntropyCoef
    {23, 1},  // entropyEstimator
    {24, 0},  // entropyGradient
    {27, 1},  // paddingInAuxiliaryTerms
    {26, 1},  // reduction
    {32, 0},  // countEpsilon
};
constexpr OptionSetting kProfile_drGrpo[] = {
    {19, INFINITY},  // klLogRatioClamp
    {20, INFINITY},  // klValueClamp
    {26, 2},  // reduction
    {32, 0},  // countEpsilon
};
constexpr OptionSetting kProfile_gspo[] = {
    {6, 1},  // ratioLevel
    {1, 0.0003},  // clipRatioLow
    {2, 0.0004},  // clipRatioHigh
    {19, INFINITY},  // klLogRatioClamp
    {20, INFINITY},  // klValueClamp
    {26, 1},  // reduction
    {32, 0},  // countEpsilon
};
constexpr OptionSetting kProfile_cispo[] = {
    {7, 1},  // surrogate
    {1, 1},  // clipRatioLow
    {2, 4},  // clipRatioHigh
    {19, INFINITY},  // klLogRatioClamp
    {20, INFINITY},  // klValueClamp
    {32, 0},  // countEpsilon
};

constexpr ProfileRow kProfiles[] = {
    {"grpo", kProfile_grpo, 4},
    {"dapo", kProfile_dapo, 3},
    {"papoG", kProfile_papoG, 7},
    {"papoG3b", kProfile_papoG3b, 5},
    {"papoGNoRef", kProfile_papoGNoRef, 6},
    {"papoD", kProfile_papoD, 6},
    {"papoPaper", kProfile_papoPaper, 10},
    {"papoExact", kProfile_papoExact, 10},
    {"trlPapo", kProfile_trlPapo, 12},
    {"drGrpo", kProfile_drGrpo, 4},
    {"gspo", kProfile_gspo, 7},
    {"cispo", kProfile_cispo, 6},
};

}  // namespace papo
// clang-format on
