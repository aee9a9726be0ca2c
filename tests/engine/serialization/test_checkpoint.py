"""What is saved comes back the same, whole or not at all, and bad files are told from good ones."""

from __future__ import annotations

import io
import os
import pickle
import random
import signal
import subprocess
import sys
import time
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from allgrad.dtypes import DTYPES, bfloat16, float32
from allgrad.serialization import SerializationError, load, save
from allgrad.serialization.safetensors import write
from allgrad.tensors.parameter import Parameter
from allgrad.tensors.tensor import Tensor


def tensor(values: Any, dtype: Any = np.float32) -> Tensor:
    return Tensor._wrap(np.array(values, dtype))


def there_and_back(value: object) -> Any:
    file = io.BytesIO()
    save(value, file)
    file.seek(0)
    return load(file)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -7,
        2**200,
        0.1,
        float("inf"),
        1.5 - 2j,
        "schräg \ud800 \x00 \"allgrad.header_crc32\":\"00000000\"",
        b"\x00\xff",
        b"",
        (),
        [1, [2.0, (3, "x")], {}],
        {"step": 3, 4: "int key", (1, 2): "tuple key", None: True, "__metadata__": [b"trap"]},
        {1, 2, 3},
        frozenset({"a"}),
        OrderedDict([("b", 1), ("a", 2)]),
        Counter("abca"),
        float32,
        {"tensor": "not a tensor"},
    ],
    ids=lambda value: ascii(value)[:30],
)  # fmt: skip
def test_plain_values_come_back_with_their_types(value: object) -> None:
    found = there_and_back(value)
    assert found == value
    assert type(found) is type(value)


def test_nan_comes_back() -> None:
    assert np.isnan(there_and_back({"loss": float("nan")})["loss"])


@pytest.mark.parametrize("shape", [(), (3,), (0, 4), (2, 3, 4)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_tensors_of_every_dtype_and_shape_come_back_bit_for_bit(dtype: Any, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    raw = rng.integers(0, 2 if dtype.name == "bool" else 256, (*shape, dtype.itemsize), dtype=np.uint8)
    array = raw.view(dtype.numpy).reshape(shape)
    found = there_and_back({"x": Tensor._wrap(array)})["x"]
    assert found.dtype is dtype
    assert found.shape == shape
    assert found.numpy().tobytes() == array.tobytes()
    assert found.numpy().flags.writeable


def test_numpy_arrays_and_scalars_come_back_as_such() -> None:
    big_endian = np.arange(3, dtype=">i4")
    found = there_and_back({"array": big_endian, "scalar": np.float64(0.1), "complex": np.complex128(1 + 2j)})
    assert type(found["array"]) is np.ndarray
    assert found["array"].tolist() == [0, 1, 2]
    assert type(found["scalar"]) is np.float64
    assert found == {"array": found["array"], "scalar": np.float64(0.1), "complex": np.complex128(1 + 2j)}


def test_a_transposed_tensor_keeps_its_values() -> None:
    array = np.arange(6.0).reshape(2, 3).T
    assert there_and_back(Tensor._wrap(array)).tolist() == array.tolist()


def test_parameters_and_requires_grad_come_back() -> None:
    found = there_and_back([Parameter(tensor([1.0])), Parameter(tensor([1.0]), False), tensor([2.0]).requires_grad_()])
    assert [type(x) for x in found] == [Parameter, Parameter, Tensor]
    assert [x.requires_grad for x in found] == [True, False, True]


def test_tied_tensors_are_stored_once_and_stay_tied() -> None:
    shared = tensor(np.zeros(1000))
    file = io.BytesIO()
    save({"a": shared, "b": shared.detach()}, file)
    assert len(file.getvalue()) < 1.5 * 4000
    file.seek(0)
    found = load(file)
    found["a"].numpy()[0] = 5
    assert found["b"].numpy()[0] == 5


def test_two_values_with_the_same_path_do_not_clash() -> None:
    found = there_and_back({"a.b": tensor([1.0]), "a": {"b": tensor([2.0])}})
    assert found["a.b"].tolist() == [1.0]
    assert found["a"]["b"].tolist() == [2.0]


def test_files_in_one_stream_are_read_one_after_the_other() -> None:
    file = io.BytesIO()
    save([tensor([1.0])], file)
    save("second", file)
    file.seek(0)
    assert load(file)[0].tolist() == [1.0]
    assert load(file) == "second"


def test_mapped_tensors_can_be_changed_without_changing_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save({"a": tensor([1.0, 2.0]), "empty": tensor([])}, path)
    before = path.read_bytes()
    found = load(path, mmap=True)
    found["a"].numpy()[0] = 9
    assert found["a"].tolist() == [9.0, 2.0]
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match="needs the path"):
        load(io.BytesIO(before), mmap=True)


def test_pytorchs_arguments_are_accepted(tmp_path: Path) -> None:
    path = str(tmp_path / "x.pt")
    save({"a": 1}, path)
    assert load(path, map_location="cpu", weights_only=True) == {"a": 1}
    assert load(path, lambda storage, location: storage, weights_only=False) == {"a": 1}
    with pytest.raises(RuntimeError, match="CPU only"):
        load(path, map_location="cuda")


class Opaque:
    """Something that cannot be stored."""


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"opt": [1, Opaque()]}, r"the value at 'opt\.1' is a .*Opaque; what can be saved is tensors"),
        (lambda: None, "the value is a builtins.function"),
        (np.array(["text"]), "dtype <U4, which cannot be stored"),
        ({"x": np.longdouble(1)}, "'x' is a NumPy value of dtype (float128|longdouble)"),
    ],
)
def test_what_cannot_be_stored_is_named_with_its_path(value: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        save(value, io.BytesIO())


def test_an_object_with_a_state_dict_is_told_to_save_that() -> None:
    class Model:
        def state_dict(self) -> dict[str, Any]:
            return {}

    with pytest.raises(TypeError, match=r"save\(x\.state_dict\(\), path\)"):
        save(Model(), io.BytesIO())


def test_a_container_in_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ValueError, match="the value at '0' contains itself"):
        save(value, io.BytesIO())


def test_a_failed_save_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    save("old", path)
    with pytest.raises(TypeError):
        save([tensor([1.0]), Opaque()], path)
    assert load(path) == "old"
    assert os.listdir(tmp_path) == ["x.pt"]


def test_a_disk_that_fills_up_leaves_the_old_file(tmp_path: Path) -> None:
    script = """
import resource, sys, numpy as np
from allgrad.serialization import save
save("old", sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    save(np.zeros(1_000_000), sys.argv[1])
except OSError as error:
    print("refused:", error.strerror)
"""
    path = tmp_path / "x.pt"
    result = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert result.stdout == "refused: File too large\n"
    assert load(path) == "old"
    assert os.listdir(tmp_path) == ["x.pt"]


def test_a_process_killed_while_saving_leaves_a_whole_file(tmp_path: Path) -> None:
    script = """
import sys, numpy as np
from allgrad.serialization import save
for step in range(10_000):
    save({"step": step, "values": np.full(200_000, step)}, sys.argv[1])
    print(step, flush=True)
"""
    path = tmp_path / "x.pt"
    for delay in (0.0, 0.003, 0.006):
        with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
        found = load(path)
        assert (found["values"] == found["step"]).all()


def test_a_saved_file_has_the_usual_mode_and_links_are_followed(tmp_path: Path) -> None:
    target, link, usual = tmp_path / "target", tmp_path / "link", tmp_path / "usual"
    link.symlink_to(target)
    usual.touch()
    save("x", link)
    assert link.is_symlink()
    assert load(target) == "x"
    assert target.stat().st_mode == usual.stat().st_mode


def test_what_is_no_regular_file_is_written_directly() -> None:
    save("x", "/dev/null")
    assert not Path("/dev/null").is_file()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"the folder .*nowhere does not exist; make it first"):
        save("x", tmp_path / "nowhere" / "x.pt")


def sample(path: Path) -> bytes:
    save({"model": {"weight": tensor(np.arange(50.0))}, "step": 12, "seed": b"abc"}, path)
    return path.read_bytes()


def test_every_truncation_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    whole = sample(path)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(SerializationError, match=r"truncated|is empty|not a safetensors file"):
            load(path)
        with pytest.raises(SerializationError):
            load(io.BytesIO(whole[:length]))


def test_every_flipped_bit_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    whole = sample(path)
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << random.Random(position).randrange(8)
        with pytest.raises(SerializationError):
            load(io.BytesIO(bytes(damaged)))


def test_trailing_bytes_in_a_file_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(sample(path) + b"x")
    with pytest.raises(SerializationError, match="damaged: its header tells of"):
        load(path)


def test_random_bytes_never_do_more_than_raise() -> None:
    rng = random.Random(0)
    for _ in range(2000):
        length = rng.randrange(60)
        header = rng.randbytes(length) if rng.random() < 0.5 else bytes(rng.choices(b'{}[]":,0123abe_', k=length))
        with pytest.raises(SerializationError):
            load(io.BytesIO(len(header).to_bytes(8, "little") + header))


def headed(header: bytes, data: bytes = b"") -> io.BytesIO:
    return io.BytesIO(len(header).to_bytes(8, "little") + header + data)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}', "do not fit its shape"),
        (b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}', "a gap or an overlap before 'a'"),
        (b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,-4]}}', "a bad number for 'a'"),
        (
            b'{"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}',
            "'F8_E4M3' of 'a', which NumPy has no",
        ),
        (b'{"a":1,"a":2}', "a name twice"),
        (b"[]", "damaged header"),
        (b"[" * 100_000, "damaged header"),
        (b'{"__metadata__":{"x":1}}', "metadata that is not text"),
    ],
)
def test_contradictory_headers_are_reported(header: bytes, message: str) -> None:
    with pytest.raises(SerializationError, match=message):
        load(headed(header))


@pytest.mark.parametrize(
    ("structure", "version", "message"),
    [
        ('{"tensor":"missing"}', "1", "damaged structure: 'missing'"),
        ('{"eval":"x"}', "1", "the unknown kind 'eval'"),
        ("{}", "1", "the unknown kind ''"),
        ('{"list":', "1", "damaged structure"),
        ('{"set":[{"list":[]}]}', "1", "damaged structure: unhashable"),
        ("1", "9", "has version 9 of allgrad's structure, and this allgrad reads 1"),
    ],
)
def test_structures_that_make_no_sense_are_reported(structure: str, version: str, message: str) -> None:
    file = io.BytesIO()
    metadata = {"allgrad.structure": structure, "allgrad.version": version}
    write(file, {"x": np.zeros(1)}, metadata)
    file.seek(0)
    with pytest.raises(SerializationError, match=message):
        load(file)


def test_a_file_that_came_from_elsewhere_gives_tensors_by_name() -> None:
    header = b'{"w":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    found = load(headed(header, b"\x80\x3f\x00\xc0"))
    assert found["w"].tolist() == [1.0, -2.0]
    assert found["w"].dtype is bfloat16


def test_bfloat16_without_its_extra_gives_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    header = b'{"w":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    monkeypatch.setattr("allgrad.serialization.safetensors._brain_float", lambda: None)
    found = load(headed(header, b"\x80\x3f\x00\xc0"))
    assert found["w"].tolist() == [1.0, -2.0]
    assert found["w"].dtype is float32


def zip_archive(member: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(member, b"x" * 100)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zip_archive("archive/data.pkl"), r"is a PyTorch checkpoint .*safetensors\.torch\.save_file"),
        (zip_archive("arr_0.npy"), r"NumPy \.npz archive; read it with numpy\.load"),
        (zip_archive("notes"), "is a zip archive"),
        (pickle.dumps({"a": 1}), "is a Python pickle"),
        (b"\x93NUMPY\x01\x00v\x00{'descr'", r"is a NumPy \.npy file"),
        (b"\x89HDF\r\n\x1a\n\x00\x00", "HDF5"),
        (b"GGUF\x03\x00\x00\x00", "GGUF"),
        (b"epoch,loss\n1,2\n", "not a safetensors file: it starts with b'epoch,lo'"),
        (b"", "is empty"),
    ],
)
def test_files_of_other_formats_are_called_by_their_names(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(SerializationError, match=message):
        load(path)


def test_a_file_open_for_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("12345678")
    with path.open() as file, pytest.raises(TypeError, match="open it with mode 'rb'"):
        load(file)  # type: ignore[arg-type]


def test_files_of_pytorch_are_recognised(tmp_path: Path) -> None:
    torch: Any = pytest.importorskip("torch")
    for zipped in (True, False):
        torch.save({"w": torch.ones(2)}, tmp_path / "x.pt", _use_new_zipfile_serialization=zipped)
        with pytest.raises(SerializationError, match=r"safetensors\.torch\.save_file"):
            load(tmp_path / "x.pt")


def test_the_safetensors_library_reads_our_files_and_we_read_its_own(tmp_path: Path) -> None:
    library: Any = pytest.importorskip("safetensors.numpy")
    rng = np.random.default_rng(0)
    arrays = {f"layer.{d.name}": rng.integers(0, 2, (3, 2)).astype(d.numpy) for d in DTYPES if d.name != "complex128"}
    arrays |= {"scalar": np.float32(3), "empty": np.zeros((0, 2))}  # type: ignore[dict-item]
    ours, theirs = tmp_path / "ours.safetensors", tmp_path / "theirs.safetensors"
    save({name: Tensor._wrap(np.asarray(array)) for name, array in arrays.items()}, ours)
    found = library.load_file(ours)
    library.save_file({name: np.asarray(array) for name, array in arrays.items()}, theirs)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert found[name].tolist() == array.tolist()
        assert load(theirs)[name].numpy().tolist() == array.tolist()
