"""papo.h through ctypes: the library as a program without Node sees it.

Structs and enums are read from the header itself, so that they cannot differ from it. Tensors are
numpy arrays on the CPU and DeviceArray, or anything with a data_ptr(), on a CUDA engine.
"""

import ctypes
import os
import re

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
INCLUDE = os.path.join(ROOT, "native", "include")
CTYPES = {
    "size_t": ctypes.c_size_t, "int32_t": ctypes.c_int32, "int64_t": ctypes.c_int64,
    "uint32_t": ctypes.c_uint32, "uint64_t": ctypes.c_uint64, "double": ctypes.c_double,
    "char*": ctypes.c_char_p,
}
NUMPY_DTYPES = {"float32": np.float32, "float16": np.float16, "float64": np.float64,
                "int32": np.int32, "uint8": np.uint8, "bfloat16": np.uint16}


class PapoError(Exception):
    def __init__(self, status, message):
        super().__init__(f"{status}: {message}")
        self.status = status


def _header(name):
    with open(os.path.join(INCLUDE, name), encoding="utf-8") as file:
        return re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)


_TEXT = _header("papo_objective.h") + _header("papo.h")
CONSTANTS = {name: int(value) for name, value in re.findall(r"\b(PAPO_\w+) = (\d+)", _TEXT)}
METRICS = [name[len("PAPO_METRIC_"):] for name in CONSTANTS
           if name.startswith("PAPO_METRIC_") and name != "PAPO_METRIC_COUNT"]
DTYPES = {name: CONSTANTS["PAPO_" + name.upper()] for name in NUMPY_DTYPES}
STATUSES = {value: name for name, value in re.findall(
    r"\b(PAPO_\w+) = (\d+)", re.search(r"typedef enum papo_status \{(.*?)\}", _TEXT, re.S)[1])}


def _field_type(text, structs):
    text = re.sub(r"\bconst\b|\s", "", text)
    if text in CTYPES:
        return CTYPES[text]
    if text in structs:
        return structs[text]
    if text.endswith("*"):
        return ctypes.c_void_p
    raise TypeError(f"papo.h has a field of a type that this reader does not know: {text}")


def _structs():
    structs = {}
    for name, body in re.findall(r"typedef struct (papo_\w+) \{(.*?)\} \1;", _TEXT, re.S):
        fields = []
        for declaration in filter(None, map(str.strip, body.split(";"))):
            declaration = " ".join(declaration.split())
            parts = re.fullmatch(r"((?:const )?\w+\*? )(\w+(?:, \w+)*)(?:\[(\w+)\])?", declaration)
            if not parts:
                raise TypeError(f"papo.h has a field that this reader cannot read: {declaration}")
            kind = ctypes.c_char if parts[1].strip() == "char" else (
                ctypes.c_uint8 if parts[1].strip() == "uint8_t" else _field_type(parts[1], structs))
            if parts[3]:
                length = parts[3] if parts[3].isdigit() else re.search(
                    rf"#define {parts[3]} (\d+)", _TEXT)[1]
                kind = kind * int(length)
            fields += [(field, kind) for field in parts[2].split(", ")]
        structs[name] = type(name, (ctypes.Structure,), {"_fields_": fields})
    return structs


STRUCTS = _structs()
Tensor = STRUCTS["papo_tensor"]


def struct(name, **values):
    made = STRUCTS[name]()
    made.size = ctypes.sizeof(made)
    for field, value in values.items():
        setattr(made, field, value)
    return made


class DeviceArray:
    """[rows, columns] on an engine's device; freed with the object."""

    def __init__(self, engine, shape, dtype, values=None):
        self.engine, self.shape, self.dtype = engine, tuple(shape), dtype
        self.nbytes = int(np.prod(shape)) * np.dtype(NUMPY_DTYPES[dtype]).itemsize
        self.pointer = ctypes.c_void_p()
        engine.call("papo_memory_allocate", ctypes.c_size_t(self.nbytes),
                    ctypes.byref(self.pointer))
        if values is not None:
            values = np.ascontiguousarray(values)
            engine.call("papo_memory_copy", self.pointer, values.ctypes.data_as(ctypes.c_void_p),
                        ctypes.c_size_t(self.nbytes))

    def data_ptr(self):
        return self.pointer.value

    def numpy(self):
        out = np.empty(self.shape, NUMPY_DTYPES[self.dtype])
        self.engine.call("papo_memory_copy", out.ctypes.data_as(ctypes.c_void_p), self.pointer,
                         ctypes.c_size_t(self.nbytes))
        self.engine.synchronize()
        return out

    def __del__(self):
        if self.pointer and self.engine.handle:
            self.engine.library.papo_memory_free(self.engine.handle, self.pointer)


class Engine:
    """device: 'cpu' or 'cuda:N'. stream: a cudaStream_t as an integer, or None for its own."""

    def __init__(self, library, device="cpu", instruction_set=None, stream=None):
        self.library = ctypes.CDLL(library) if isinstance(library, str) else library
        self.library.papo_last_message.restype = ctypes.c_char_p
        self.handle = ctypes.c_void_p()
        self.device = device
        self.code = 0 if device == "cpu" else 1 + 16 * int(device.split(":")[1])
        name = None if instruction_set is None else instruction_set.encode()
        options = struct("papo_engine_options", device=self.code, instructionSet=name,
                         stream=stream)
        self._check(self.library.papo_engine_open(ctypes.byref(options),
                                                  ctypes.byref(self.handle)))
        self.workspace, self.workspace_bytes = None, 0

    def close(self):
        self.workspace = None
        if self.handle:
            self.library.papo_engine_close(self.handle)
        self.handle = ctypes.c_void_p()

    def _check(self, status):
        if status != 0:
            raise PapoError(STATUSES[str(status)], self.library.papo_last_message().decode())

    def call(self, name, *arguments):
        self._check(getattr(self.library, name)(self.handle, *arguments))

    def synchronize(self):
        self.call("papo_engine_synchronize")

    def array(self, values, dtype):
        """A copy of values, a numpy array, where this engine computes."""
        values = np.array(values, NUMPY_DTYPES[dtype], order="C")
        return values if self.code == 0 else DeviceArray(self, values.shape, dtype, values)

    def empty(self, shape, dtype):
        if self.code == 0:
            return np.full(shape, 0xFF, np.uint8) if dtype == "uint8" else np.full(
                shape, 7, NUMPY_DTYPES[dtype])
        return DeviceArray(self, shape, dtype)

    def tensor(self, array, dtype, columns=None, row_stride=None):
        """A papo_tensor on the array: a vector, or a matrix of that many columns."""
        view = Tensor()
        if array is None:
            return view
        view.data = array.ctypes.data if isinstance(array, np.ndarray) else array.data_ptr()
        view.rows = array.shape[0]
        view.columns = 1 if len(array.shape) == 1 else (columns or array.shape[1])
        view.rowStride = 1 if len(array.shape) == 1 else (row_stride or array.shape[1])
        view.dtype, view.device = DTYPES[dtype], self.code
        return view

    def compute(self, name, args):
        """A function of papo.h that takes a workspace; the workspace is kept and only grows."""
        needed = ctypes.c_size_t()
        self.call(name + "_workspace", ctypes.byref(args), ctypes.byref(needed))
        if needed.value > self.workspace_bytes:
            self.workspace = None
            if self.code:
                self.workspace = DeviceArray(self, (needed.value,), "uint8")
            else:
                self.workspace = np.empty(needed.value + 64, np.uint8)
            self.workspace_bytes = needed.value
        base = 0
        if self.workspace is not None:
            base = (self.workspace.data_ptr() if self.code
                    else (self.workspace.ctypes.data + 63) // 64 * 64)
        function = "papo_group_advantages" if name == "papo_advantages" else name
        self.call(function, ctypes.byref(args), ctypes.c_void_p(base),
                  ctypes.c_size_t(self.workspace_bytes))

    def objective(self, profile, **options):
        made = struct("papo_objective")
        self._check(self.library.papo_objective_init(profile.encode(), ctypes.byref(made)))
        for name, value in options.items():
            getattr(made, name)
            setattr(made, name, value)
        return made


def to_bfloat16(values):
    """float32 to the bit patterns of bfloat16, to the nearest even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    nan = np.isnan(values)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(nan, np.uint16(0x7FC0), rounded)


def from_bfloat16(bits):
    return (np.asarray(bits, np.uint16).astype(np.uint32) << 16).view(np.float32)


def encode(values, dtype):
    return to_bfloat16(values) if dtype == "bfloat16" else np.asarray(values, NUMPY_DTYPES[dtype])


def decode(values, dtype):
    return from_bfloat16(values) if dtype == "bfloat16" else np.asarray(values, np.float32)
