"""Results of bench/gpu/run.sh as one file, and as the tables of docs/performance.md.

    python3 bench/gpu/table.py --merge FOLDER     gathers FOLDER/result.json
    python3 bench/gpu/table.py RESULT.json        prints Markdown
"""

import json
import os
import sys


def merge(folder):
    result = {}
    with open(os.path.join(folder, "stages"), encoding="utf-8") as file:
        result["stages"] = dict(line.strip().split("=") for line in file if "=" in line)
    for name in ("contract", "timing", "timing-others"):
        path = os.path.join(folder, name + ".json")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                result[name] = json.load(file)
    result["sweep"] = {}
    for name in sorted(os.listdir(folder)):
        if name.startswith("sweep-"):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                result["sweep"][name[len("sweep-"):-len(".json")]] = json.load(file)
    path = os.path.join(folder, "result.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
    print(path)


def table(timing):
    machine = timing["machine"]
    where = (f"{machine['device']}, driver {machine['driver']}, CUDA {machine['cuda']}, "
             if "driver" in machine else f"{machine['device']}, ")
    yield (f"{where}PyTorch {timing['torch']}, {timing['date']}; {timing['tokens']} tokens, "
           f"V = {timing['vocab']}; copy {timing['copyGigabytesPerSecond']:.0f} GB/s.")
    yield ""
    names = sorted({name for case in timing["cases"] for name in case["peers"]})
    yield "| operation | dtype | bytes | time | GB/s | of copy | " + " | ".join(names) + " |"
    yield "|" + " --- |" * (6 + len(names))
    for case in timing["cases"]:
        yield row(case, names)


def row(case, names):
    cells = [case["name"], case["dtype"], f"{case['bytes'] / 1e9:.2f} GB", spread(case["milliseconds"]),
             f"{case['gigabytesPerSecond']:.0f}", f"{100 * case['fractionOfCopy']:.0f} %"]
    for name in names:
        peer = case["peers"].get(name, {})
        if "ratio" in peer:
            memory = f", {peer['peakBytes'] / 1e9:.1f} GB" if "peakBytes" in peer else ""
            cells.append(f"{peer['milliseconds']['median']:.2f} ms ({peer['ratio']:.1f}x{memory})")
        else:
            cells.append(peer.get("note", "")[:40] or "-")
    return "| " + " | ".join(cells) + " |"


def spread(time):
    return f"{time['median']:.3f} ms (p10 {time['p10']:.3f}, p90 {time['p90']:.3f})"


def main():
    if sys.argv[1] == "--merge":
        return merge(sys.argv[2])
    with open(sys.argv[1], encoding="utf-8") as file:
        result = json.load(file)
    for name in ("timing", "timing-others"):
        if name in result:
            print("\n".join(table(result[name])), end="\n\n")
    return None


if __name__ == "__main__":
    main()
