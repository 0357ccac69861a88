#include "../kernels/micro.h"

#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
int main(int argc, char** argv) {
  const int only = argc > 1 ? atoi(argv[1]) : -1;
  int rc = 0;
  for (int n = 0; n < 30; n++) {
    if (only >= 0 ? n != only : n > 6) continue;
    for (int o = 0; o < 3; o++) {
      simt::options().order = (simt::Order)o;
      int* out;
      cudaMalloc((void**)&out, 4096 * 4);
      memset(out, 0, 4096 * 4);
      for (int i = 0; i < 1024; i++) out[1024 + i] = n == 0 ? 0 : 7 * i;
      if (n == 29) out[4094] = 1;
      if (n == 28) out[4095] = 1;
      const int th = n == 6 || n == 29                        ? 48
                     : n == 5 || n == 27 || n == 4 || n == 24 ? 1024
                                                              : 128,
                bl = n == 2 || n == 22 ? 5 : 1;
      simt::race_reports(true);
      cudaError_t e = micro(n, out, th, bl, nullptr);
      int wrong = 0;
      for (int t = 0; !e && t < th; t++) {
        int l = t & 31, b8 = l & ~7;
        if (n == 0) {
          int up = l - 3 < b8 ? l : l - 3, dn = l + 3 > (b8 | 7) ? l : l + 3, x = l ^ 5,
              ix = b8 | 1;
          unsigned bal = 0, mt = 0;
          for (int j = 0; j < 32; j++) {
            if (j % 3 == 0) bal |= 1u << j;
            if (j / 5 == l / 5) mt |= 1u << j;
          }
          wrong += out[t] != up + dn * 100 + x * 10000 + ix * 1000000;
          wrong += out[256 + t] != (int)bal;
          wrong += out[512 + t] != (int)mt;
          wrong += out[768 + t] != 496 + 1000 * -9;
          wrong += out[1024 + t] != 1;
          wrong += out[1280 + t] != (l < 12 ? l ^ 1 : l ^ 3);
          wrong += out[1536 + t] != th / 2 + 1000;
        }
        if (n == 1 || n == 20 || n == 21) wrong += out[t] != (t ^ 1);
        if (n == 3 || n == 23) wrong += t < 64 && out[t] != t;
        if (n == 4 || n == 24) wrong += out[t] != th - 1 - t;
        if (n == 5 || n == 27) wrong += out[t] != 7 * (t ^ 33);
        if (n == 6 || n == 29) wrong += out[t] != (l ^ (n == 6 ? 8 : 16));
        if (n == 28) wrong += out[t] != 3;
      }
      if (!e && n == 0) {
        float f;
        memcpy(&f, &out[1794], 4);
        wrong += out[1792] != th * (th - 1) / 2;
        wrong += out[1793] != th - 1;
        wrong += f != th * .5f;
      }
      if (!e && (n == 2 || n == 22)) wrong += out[0] != 15 || (n == 2 && out[2] != 15);
      const bool ok = !e && !wrong && !simt::race_reports();
      rc |= !ok;
      printf("case %2d order %d: %s%s", n, o, ok ? "clean" : "FOUND", ok ? "\n" : " ");
      if (!ok)
        printf("(%d wrong, %d races) %.400s\n", wrong, simt::race_reports(),
               e ? cudaGetErrorString(e) : "");
      cudaFree(out);
    }
  }
  return rc;
}
