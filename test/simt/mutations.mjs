// Errors to plant in the kernels, one at a time: edits of exact text, and the test that has to
// notice.

const barrier = '__syncthreads();'
const fill = '      if (hasRow(turn ^ 1)) slots.fill(slot, state->rows[turn ^ 1].row);\n'

export const mutations = [
  // --- advantages ---
  {
    name: 'sort without a barrier between its steps',
    file: 'cuda/group_order.cu',
    test: 'advantages',
    edits: [
      [`        }\n      }\n      ${barrier}\n    }\n  }\n}`, '        }\n      }\n    }\n  }\n}'],
    ],
  },
  {
    name: 'merge that takes the last run for a whole one',
    file: 'cuda/group_order.cu',
    test: 'advantages',
    edits: [['left < 0 ? 0 : left < run ? left : run;', 'left < 0 ? 0 : run;']],
  },
  {
    name: 'group that ends one position too late',
    file: 'cuda/group_advantages.cu',
    test: 'advantages',
    edits: [
      ['first + __ffs(static_cast<int>(others)) - 1;', 'first + __ffs(static_cast<int>(others));'],
    ],
  },
  {
    name: 'shuffle that names half of the warp',
    file: 'cuda/group_advantages.cu',
    test: 'advantages',
    edits: [['add(__shfl_sync(kAllLanes, own, i))', 'add(__shfl_sync(0x0000ffffu, own, i))']],
  },
  {
    name: 'sums that leave out the last chunk',
    file: 'cuda/batch_sums.cu',
    test: 'advantages',
    edits: [
      ['chunk < batch.chunks; chunk += gridDim.x', 'chunk + 1 < batch.chunks; chunk += gridDim.x'],
    ],
  },
  {
    name: 'returns carried over padding',
    file: 'cuda/returns.cu',
    test: 'advantages',
    edits: [['static_cast<uint8_t>(counts >> i & 1u)', 'uint8_t{1}']],
  },
  {
    name: 'returns written in spite of a finding',
    file: 'cuda/returns.cu',
    test: 'advantages',
    edits: [['  if (error->key != 0) return;\n  const int lane', '  const int lane']],
  },
  {
    name: 'the last finding reported instead of the lowest',
    file: 'cuda/findings.cuh',
    test: 'advantages',
    edits: [['atomicMax(&error->pending, finding', 'atomicExch(&error->pending, finding']],
  },
  {
    name: 'a check that ends at the first finding of another block',
    file: 'cuda/findings.cuh',
    test: 'advantages',
    edits: [
      [
        'atomicMax(&error->pending, findingKey(finding, index));',
        'atomicMax(&error->key, findingKey(finding, index));',
      ],
    ],
  },

  // --- masking ---
  {
    name: 'vector that runs over the end of a pixel row',
    file: 'cuda/masked_copy.cuh',
    test: 'masking',
    edits: [['isVector && first >= 0 && end <= row.elements', 'isVector && first >= 0']],
  },
  {
    name: 'vectors of rows that are not aligned alike',
    file: 'cuda/masked_copy.cuh',
    test: 'masking',
    edits: [['in % 16 == out % 16 && fill.isWhole()', 'fill.isWhole()']],
  },
  {
    name: 'channels of another slice of the fill',
    file: 'cuda/masked_copy.cuh',
    test: 'masking',
    edits: [['    if (!walk.isOfSlice()) continue;\n', '']],
  },
  {
    name: 'runs of the mask taken from the first element of a vector',
    file: 'cuda/masked_copy.cuh',
    test: 'masking',
    edits: [['      if (first + i >= run.end) run = runAt(first + i);\n', '']],
  },
  {
    name: '32-bit offset of a pixel row',
    file: 'cuda/mask_patches.cu',
    test: 'masking',
    edits: [
      ['call.out + row * call.outStride', 'call.out + static_cast<int32_t>(row * call.outStride)'],
    ],
  },
  {
    name: 'patches of the second batch of images',
    file: 'cuda/mask_patch_rows.cu',
    test: 'masking',
    edits: [['= images.firstRows[0] + item / call.segments', '= item / call.segments']],
  },
  {
    name: 'counts read before all threads have counted',
    file: 'cuda/saliency_patch_mask.cu',
    test: 'masking',
    edits: [[`    ${barrier}\n    threshold.narrow`, '    threshold.narrow']],
  },
  {
    name: 'one equal cell too many',
    file: 'cuda/saliency_patch_mask.cu',
    test: 'masking',
    edits: [
      [
        'equalBefore + equal.below < threshold.equal',
        'equalBefore + equal.below <= threshold.equal',
      ],
    ],
  },
  {
    name: 'drawn values behind the end of the mask',
    file: 'cuda/random_patch_mask.cu',
    test: 'masking',
    edits: [['      if (first + i < patches) mask', '      mask']],
  },
  {
    name: 'patch masks that nobody looks at',
    file: 'cuda/patch_mask_values.cu',
    test: 'masking',
    edits: [['if (mask[i] > 1) found', 'if (mask[i] > 255) found']],
  },

  // --- rows ---
  {
    name: 'tile that reads one element behind its row',
    file: 'cuda/row_tile.cuh',
    test: 'rows',
    edits: [['i < count) elements[i] = vector', 'i <= count) elements[i] = vector']],
  },
  {
    name: 'maximum that starts at 0',
    file: 'cuda/row_sums.cuh',
    test: 'rows',
    edits: [['largerOrNan(x, -FLT_MAX)', 'largerOrNan(x, 0)']],
  },
  {
    name: '2^t t of -inf',
    file: 'cuda/row_sums.cuh',
    test: 'rows',
    edits: [['return t < -200 ? -200 : t;', 'return t;']],
  },
  {
    name: 'gradient of the entropy dropped beside the exact KL',
    file: 'cuda/row_gradient.cuh',
    test: 'rows',
    edits: [['__fmul_rn(p, __fmaf_rn(image.slope, u, constant))', '__fmul_rn(p, constant)']],
  },
  {
    name: 'tokens that the masked branch excludes taken for shared ones',
    file: 'cuda/row_gradient.cuh',
    test: 'rows',
    edits: [['isShared ? inside : image.constant', 'inside']],
  },
  {
    name: 'statistics written in spite of a finding',
    file: 'cuda/row_statistics.cu',
    test: 'rows',
    edits: [['  if (call.error->key != 0) return;\n', '']],
  },

  // --- clusters ---
  {
    name: 'sums of other blocks read before they are there',
    file: 'cuda/pair_cluster.cu',
    test: 'pair_cluster',
    edits: [['      readTiles(turn);\n      clusterSync();\n', '      readTiles(turn);\n']],
  },
  {
    name: 'block that leaves while a peer reads its memory',
    file: 'cuda/pair_cluster.cu',
    test: 'pair_cluster',
    edits: [['    clusterSync();  // a peer may still read', '    // a peer may still read']],
  },
  {
    name: 'sampled logit read after it was overwritten in place',
    file: 'cuda/pair_cluster.cu',
    test: 'pair_cluster',
    edits: [['live.isShared ? nullptr : state->gatheredSampled', 'nullptr']],
  },
  {
    name: 'last slot of a block left out',
    file: 'cuda/row_slots.cuh',
    test: 'pair_cluster',
    edits: [
      [
        '(place.tiles - place.rank + place.blocks - 1) / place.blocks',
        '(place.tiles - place.rank) / place.blocks',
      ],
    ],
  },
  {
    name: 'sums of the last row overwritten while a peer reads them',
    file: 'cuda/pair_cluster.cu',
    test: 'pair_cluster',
    modes: ['thread'],
    edits: [
      [
        'slots.bar(doubles)) + turn * state->place.capacity',
        'slots.bar(doubles)) + (turn == 2 ? 2 : 0) * state->place.capacity',
      ],
    ],
  },
  {
    name: 'slot filled again before it was read',
    file: 'cuda/pair_cluster.cu',
    test: 'pair_cluster',
    modes: ['thread'],
    edits: [
      [fill, ''],
      [
        '      Tile<T> image = emptyTile<T>(), masked = image;\n      if (plan',
        `${fill}      Tile<T> image = emptyTile<T>(), masked = image;\n      if (plan`,
      ],
    ],
  },
  {
    name: 'copy that nobody waits for',
    file: 'cuda/row_slots.cuh',
    test: 'pair_cluster',
    edits: [['    mbarWait(bar(slot), parity);\n', '']],
  },
  {
    name: 'wait for the wrong phase',
    file: 'cuda/pair_cluster.cu',
    test: 'pair_cluster',
    edits: [['slots.wait(slot, turn)', 'slots.wait(slot, turn ^ 1)']],
  },
  {
    name: 'no fence between stores of leftovers and the copy engine',
    file: 'cuda/row_slots.cuh',
    test: 'pair_cluster',
    modes: ['thread'],
    edits: [
      [
        '    fenceAsync();\n    __syncwarp();\n    if (laneIndex() == 0) startCopies',
        '    __syncwarp();\n    if (laneIndex() == 0) startCopies',
      ],
    ],
  },
  {
    name: 'bytes announced of the first branch only',
    file: 'cuda/row_slots.cuh',
    test: 'pair_cluster',
    edits: [['      total += bytes[branch];', '      total = bytes[0];']],
  },

  // --- tokens ---
  {
    name: 'place in a row that counts the token itself',
    file: 'cuda/token_sort.cu',
    test: 'loss_rows',
    edits: [['sort.unordered[i] < token', 'sort.unordered[i] <= token']],
  },
  {
    name: 'quantile that takes the next value for an equal one',
    file: 'cuda/selection.cu',
    test: 'loss',
    edits: [['rank + 1 < s->count', 'rank < s->count']],
  },
  {
    name: 'digits counted before the counts are 0',
    file: 'cuda/selection.cu',
    test: 'loss',
    edits: [[`    ${barrier}\n    const uint32_t known`, '    const uint32_t known']],
  },
  {
    name: 'metrics without the last chunk of tokens',
    file: 'cuda/reduction.cu',
    test: 'loss',
    edits: [
      ['chunk < chunks; chunk += kTokenThreads', 'chunk + 1 < chunks; chunk += kTokenThreads'],
    ],
  },
  {
    name: 'slope of a clamped ratio of a response',
    file: 'cuda/sequence.cu',
    test: 'loss',
    edits: [
      [
        'static_cast<float>(slope / count) * ratio.slope',
        'static_cast<float>(slope) * ratio.slope',
      ],
    ],
  },
  {
    name: 'counts of the response before',
    file: 'cuda/batch.cu',
    test: 'loss',
    edits: [
      [
        'call.memory.counts + 2 + place.response, record',
        'call.memory.counts + 1 + place.response, record',
      ],
    ],
  },
]
