"""Masking of one image as a training loop in Python does it: patch by patch, a random number each.

Started by `papo-kernels bench --peers`; speaks one JSON object a line. First line out: versions.
Commands: load (raw image and patch mask in a folder), run (one timed call), result (masks with the
given patch mask instead of random numbers and writes the image to the folder), quit.
"""

import json
import os
import random
import sys
import time

import numpy as np

PATCH = 14
RATIO = 0.6


def blacken(image, is_black):
    """A copy of an image [H, W, C] in which is_black() decides for each patch, row by row."""
    masked = image.copy()
    height, width = masked.shape[:2]
    for top in range(0, height, PATCH):
        for left in range(0, width, PATCH):
            if is_black():
                masked[top:top + PATCH, left:left + PATCH] = 0
    return masked


def main():
    reply({"numpy": np.__version__, "python": sys.version.split()[0]})
    folder = image = None
    for line in sys.stdin:
        command = json.loads(line)
        if command["command"] == "load":
            folder = command["folder"]
            image = np.fromfile(os.path.join(folder, "image"), np.uint8).reshape(command["shape"])
            reply({})
        elif command["command"] == "run":
            start = time.perf_counter()
            blacken(image, lambda: random.random() < RATIO)
            reply({"milliseconds": (time.perf_counter() - start) * 1000})
        elif command["command"] == "result":
            given = iter(np.fromfile(os.path.join(folder, "patchMask"), np.uint8))
            blacken(image, lambda: next(given) == 1).tofile(os.path.join(folder, "out.masked"))
            reply({})
        else:
            return


def reply(values):
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    main()
