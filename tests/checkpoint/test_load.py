"""Files are read as data: what unpickling would run is never run, and is named."""

from __future__ import annotations

import os
import pickle
import pickletools
import struct
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from d2align.checkpoint import load_file, restricted_pickle


class Attack:
    """What runs ``mkdir`` when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.target),)


DATA = {
    "blobs": {f"{kind}_w": np.arange(6).reshape(2, 3).astype(kind) for kind in ("f4", "i8", "b1")},
    "scalar": np.float32(0.5),
    "empty": (b"", np.zeros((0, 4), np.float32)),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "bytes": b"\x00\xff",
    "sets": [{1, 2}, frozenset({3}), 1 + 2j, Counter("aab")],
    "ordered": OrderedDict(a=1, b=None),
    "text": "COCO, caf\u00e9",
}
TENSORS = {"model": {"w": torch.arange(4.0), "p": torch.nn.Parameter(torch.ones(2))}}


def same(first: Any, second: Any) -> bool:
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(v, second[k]) for k, v in first.items())
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, np.ndarray | np.generic | torch.Tensor):
        return first.dtype == second.dtype and bool((first == second).all())
    return type(first) is type(second) and bool(first == second)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_data_are_read_in_every_protocol(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(DATA, protocol))
    found = load_file(str(path))
    assert same(DATA, found)
    assert found["fortran"].flags.f_contiguous


def test_pickles_of_python_2_are_read(tmp_path: Path) -> None:
    """By hand, as Python 2 and its NumPy wrote them: protocol 2, raw bytes in a string."""
    raw = np.array([1.5, -2.0], "<f4").tobytes()
    state = b"(K\x01K\x02\x85" + _dtype_f4() + b"\x89U" + bytes([len(raw)]) + raw + b"tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R" + state
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x02}U\x03w_b" + array + b"s.")
    found = load_file(str(path))["w_b"]
    assert found.dtype == np.float32 and found.tolist() == [1.5, -2.0]


def _dtype_f4(state: bytes = b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb") -> bytes:
    return b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R" + state


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("value", [TENSORS, {**TENSORS, **DATA}], ids=["tensors", "with arrays"])
def test_what_torch_saved_is_read(tmp_path: Path, value: Any, zipped: bool) -> None:
    path = tmp_path / "a.pth"
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    assert same(value, load_file(str(path)))


def test_tensors_in_a_plain_pickle_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(TENSORS))
    assert same(TENSORS, load_file(str(path)))


@pytest.mark.parametrize("how", ["pkl", "pth zipped", "pth", "plain pth", "tensor bytes"])
def test_code_is_never_run_and_is_named(tmp_path: Path, how: str) -> None:
    target = tmp_path / "made"
    path = tmp_path / ("a.pth" if "pth" in how else "a.pkl")
    value = {"model": {"w": np.ones(3)}, "more": Attack(target)}
    if how in ("pth zipped", "pth"):
        torch.save(value, path, _use_new_zipfile_serialization=how == "pth zipped")
    elif how == "tensor bytes":
        path.write_bytes(_pickle_of_tensor_bytes(pickle.dumps(value)))
    else:
        path.write_bytes(pickle.dumps(value))
    with pytest.raises(ValueError, match=r"a\.p(kl|th): got a file that") as e:
        load_file(str(path))
    if how != "tensor bytes":
        assert f"{os.mkdir.__module__}.mkdir" in str(e.value)
        assert "D2ALIGN.TRUST_CHECKPOINTS True" in str(e.value)
    assert not target.exists()
    if how in ("pkl", "pth zipped", "pth"):
        load_file(str(path), trust=True)
        assert target.is_dir()  # so the attack was one


def _pickle_of_tensor_bytes(data: bytes) -> bytes:
    """A pickle that hands bytes to the function by which a tensor in a pickle is read."""
    head = b"\x80\x03ctorch.storage\n_load_from_bytes\n"
    return head + b"B" + struct.pack("<I", len(data)) + data + b"\x85R."


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"cbuiltins\neval\nU\x011\x85R.", "builtins.eval"),
        (b"c__builtin__\ngetattr\n.", "__builtin__.getattr"),
        (b"cnumpy\nload\n.", "numpy.load"),
        (b"ctorch\nload\n.", "torch.load"),
        (b"ctorch.hub\nload\n.", "torch.hub.load"),
        (b"\x8c\x05numpy\x8c\x0dndarray.dumps\x93.", "numpy.ndarray.dumps"),
        (b"cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R.", "O8"),
        (b"cnumpy\ndtype\nU\x02V8K\x00K\x01\x87R.", "V8"),
        (_dtype_f4(b"(K\x03U\x01<NNNK\x40K\x01K\x00tb") + b".", "fields or flags"),
        (_dtype_f4(b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ftb") + b".", "flags"),
        (b"c_codecs\nencode\nX\x01\x00\x00\x00aU\x03hex\x86R.", "hex"),
        (b"c_codecs\nencode\n}U\x01aU\x01bsb.", "the state of a function"),
    ],
)
def test_what_is_not_data_is_refused(tmp_path: Path, body: bytes, named: str) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x04" + body)
    with pytest.raises(ValueError, match="asks for") as e:
        load_file(str(path))
    assert named in str(e.value)


def test_the_refusal_comes_before_an_import(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "side_effect.py").write_text("open('made', 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pkl").write_bytes(b"\x80\x02cside_effect\nanything\n.")
    with pytest.raises(ValueError, match=r"side_effect\.anything"):
        load_file("a.pkl")
    assert not (tmp_path / "made").exists()


def test_files_that_cannot_be_read_say_so(tmp_path: Path) -> None:
    for name in ("a.pkl", "a.pth"):
        (tmp_path / name).write_bytes(b"no checkpoint")
        with pytest.raises(ValueError, match="cannot be read"):
            load_file(str(tmp_path / name))
    with pytest.raises(FileNotFoundError):
        load_file(str(tmp_path / "none.pth"))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_files_are_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    body = bytearray(pickle.dumps({"a": [np.arange(3.0), (1, 2.5)], "b": OrderedDict(c="d")}, 2))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.pkl"
    path.write_bytes(body)
    try:
        load_file(str(path))
    except ValueError as e:
        assert str(e).startswith(str(path))


def test_every_allowed_name_stays_reachable_by_a_pickle() -> None:
    """The list holds nothing that pickles of data do not need."""
    used = set()
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        for value in (DATA, TENSORS, torch.zeros(2).shape, torch.device("cpu")):
            used |= _names(pickle.dumps(value, protocol))
    assert set(restricted_pickle._ALLOWED) <= used


def _names(data: bytes) -> set[tuple[str, str]]:
    found, strings = set(), []
    for op, argument, _ in pickletools.genops(data):
        if op.name == "GLOBAL":
            module, name = argument.split(" ")
            found.add((restricted_pickle._PLACES_TODAY.get(module, module), name))
        elif op.name == "STACK_GLOBAL":
            places = {restricted_pickle._PLACES_TODAY.get(s, s) for s in strings}
            found |= {(m, n) for m in places for n in strings}
        elif isinstance(argument, str):
            strings.append(argument)
    return found
