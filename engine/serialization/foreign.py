"""Recognising files of other formats by their first bytes, to say what they are and how to convert them."""

from __future__ import annotations

_FROM_PYTORCH = (
    "Nothing is unpickled here, since that can run code. Convert it once where PyTorch and safetensors are "
    "installed: `safetensors.torch.save_file(torch.load('x.pt', weights_only=True), 'x.safetensors')`"
)
_MEANINGS = {
    b"\x93NUMPY": "is a NumPy .npy file; read it with torch.from_numpy(numpy.load(path))",
    b"\x89HDF\r\n\x1a\n": "is an HDF5 file, such as Keras writes; read it with h5py and save its arrays",
    b"GGUF": "is a GGUF file of llama.cpp; convert it to safetensors first",
    b"\x80": f"is a Python pickle, such as PyTorch's older .pt and .pth files. {_FROM_PYTORCH}",
}


def what_else(start: bytes) -> str:
    """Say of a file that is no safetensors file what it is instead, going by its first hundred bytes."""
    if not start:
        return "is empty; whatever wrote it did not finish"
    if start.startswith(b"PK\x03\x04"):
        return _zip_archive(start)
    for signature, meaning in _MEANINGS.items():
        if start.startswith(signature):
            return meaning
    return f"is not a safetensors file: it starts with {start[:8]!r}"


def _zip_archive(start: bytes) -> str:
    """Name a zip archive by its first member, whose name follows a record of 30 bytes."""
    member = start[30 : 30 + int.from_bytes(start[26:28], "little")]
    if member.endswith(b".npy"):
        return "is a NumPy .npz archive; read it with numpy.load(path) and torch.from_numpy"
    if b"/" in member:
        return f"is a PyTorch checkpoint (.pt or .pth). {_FROM_PYTORCH}"
    return "is a zip archive, not a safetensors file"
