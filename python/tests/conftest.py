"""The golden cases: files that other packages computed, or definitions (tests/golden/README.md)."""

import json
from pathlib import Path

import numpy as np
import pytest

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "golden"
CASES = sorted(p.parent.name for p in GOLDEN.glob("*/arch.json"))


def read_safetensors(path):
    """The tensors of a safetensors file: eight bytes of length, a JSON header, the data."""
    blob = path.read_bytes()
    length = int.from_bytes(blob[:8], "little")
    header = json.loads(blob[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        kind = {"F32": "<f4", "F64": "<f8"}[entry["dtype"]]
        tensors[name] = np.frombuffer(blob[begin:end], kind).reshape(entry["shape"])
    return tensors


class Case:
    def __init__(self, name):
        folder = GOLDEN / name
        self.arch = folder / "arch.json"
        self.weights = read_safetensors(folder / "model.safetensors")
        self.expected = read_safetensors(folder / "expected.safetensors")
        self.inputs = np.load(folder / "x.npy")
        self.targets = np.load(folder / "y.npy")
        self.labels = np.load(folder / "y_mc.npy") if (folder / "y_mc.npy").exists() else None

    def vectors(self):
        return {k: v for k, v in self.expected.items() if k.startswith(("matvec.v.", "probe."))}


@pytest.fixture(params=CASES)
def case(request):
    return Case(request.param)


@pytest.fixture
def first_case():
    return Case(CASES[0])
