"""Deep Compression (Han, Mao and Dally, 2016): few distinct weights per layer, trained, then Huffman-coded.

Three stages: prune (`unstructured`), share weights, Huffman-code. A convolution becomes a codebook and a code
for every weight; norms and classifier are unchanged. `encode` and `decode` turn a network into bytes and back
without loss.
"""

import hashlib
import io
import json
import math
import struct
import zlib
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from horticulture.errors import InputError
from horticulture.pruning import huffman
from horticulture.pruning.unstructured import match_layout, match_weights, weights
from horticulture.training.callbacks import StepCallback

ROUNDS = 1000  # most rounds of Lloyd's algorithm; one costs next to nothing
MAGIC, VERSION = b"hortpack", 2
PREFIX = struct.Struct("<8sH32s")  # magic, version, SHA-256 of everything that follows
HEADER = struct.Struct("<I")  # length in bytes of the deflated JSON header


class SharedLayer(NamedTuple):
    """A layer of shared weights: `codebook[codes]` are its weights.

    codes: int32 in the weight's shape, 0 where removed. codebook: float32; entry 0 is always zero, the others
    are the centroids.
    """

    codes: Tensor
    codebook: Tensor


Shared = dict[str, SharedLayer]  # by the weight's name in state_dict


def k_means(values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Lloyd's algorithm in one dimension, until it converges or for `ROUNDS` rounds.

    values: (n,) float64. The centroids start at equal distances from the smallest value to the largest: the
    best of the paper's three initialisations (section 3.2), since it leaves some for the few large weights.
    Returns the centroids that have any values, in increasing order and at most `count`, and the index of each
    value's centroid; a value halfway between two belongs to the lower. A centroid that loses all its values
    stays where it is, and is dropped at the end if it gains none.

    Why not scikit-learn: in one dimension clusters are intervals. The values are sorted once; a round then
    looks up k - 1 borders and takes differences of one cumulative sum. KMeans computes n x k distances in
    every round and relocates empty clusters; both agree if no cluster becomes empty.
    """
    if not len(values):
        return values, np.zeros(0, dtype=np.int64)
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    centroids = np.linspace(ordered[0], ordered[-1], count)
    edges = np.zeros(0, dtype=np.int64)
    for _ in range(ROUNDS):
        borders = np.searchsorted(ordered, (centroids[1:] + centroids[:-1]) / 2, side="right")
        moved = np.concatenate([[0], borders, [len(ordered)]])
        if np.array_equal(moved, edges):
            break
        edges = moved
        used = edges[1:] > edges[:-1]
        first, end = edges[:-1][used], edges[1:][used]
        means = (sums[end] - sums[first]) / (end - first)
        # Rounding must not carry a mean out of its cluster, or centroids could change places.
        centroids[used] = np.clip(means, ordered[first], ordered[end - 1])
    numbers = np.empty(len(values), dtype=np.int64)
    numbers[order] = np.repeat(np.arange(len(first)), end - first)
    return centroids[used], numbers


@torch.no_grad()
def share_weights(network: nn.Module, masks: dict[str, Tensor], bits: int) -> Shared:
    """Find at most 2**bits values for the surviving weights of each layer by k-means. Changes no weight."""
    shared = {}
    for name, weight, mask in match_weights(network, masks):
        kept = mask.flatten()
        values = weight.flatten()[kept].double().cpu().numpy()
        centroids, numbers = k_means(values, 2**bits)
        codes = torch.zeros(len(kept), dtype=torch.int32, device=weight.device)
        codes[kept] = torch.from_numpy(numbers + 1).to(codes)
        codebook = torch.from_numpy(np.concatenate([[0.0], centroids])).float()
        shared[name] = SharedLayer(codes.reshape(weight.shape), codebook.to(weight.device))
    return shared


class WeightSharingCallback(StepCallback):
    """Trains a network of shared weights: the centroids move, and their weights with them.

    A centroid's gradient is the sum of its weights' gradients (section 3.3), and it takes a plain step of
    gradient descent at the step's learning rate: unlike all other parameters, which the optimizer moves,
    without momentum and weight decay. Removed weights stay zero.
    """

    def __init__(self, network: nn.Module, shared: Shared) -> None:
        self._weights = weights(network)
        matched = match_weights(network, {name: layer.codes for name, layer in shared.items()})
        self.shared = {name: SharedLayer(codes, shared[name].codebook.clone()) for name, _, codes in matched}
        self.after_step()

    @torch.no_grad()
    def before_step(self, lr: float) -> None:
        """Move the centroids."""
        self._follow()
        for name, weight in self._weights.items():
            if weight.grad is not None:
                codes, codebook = self.shared[name]
                gradient = torch.zeros_like(codebook)
                gradient.index_add_(0, codes.flatten(), weight.grad.flatten().to(codebook.dtype))
                codebook[1:] -= lr * gradient[1:]

    @torch.no_grad()
    def after_step(self) -> None:
        """Reset every weight to its centroid, wherever the optimizer has moved it."""
        self._follow()
        for name, weight in self._weights.items():
            codes, codebook = self.shared[name]
            weight.copy_(codebook[codes])

    def state_dict(self) -> dict[str, Tensor]:
        """Codes and codebooks, as `codes.NAME` and `codebook.NAME`."""
        return {
            f"{part}.{name}": tensor
            for name, layer in self.shared.items()
            for part, tensor in layer._asdict().items()
        }

    def load_state_dict(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned, and set the weights from the codebooks."""
        self.shared = {
            name: SharedLayer(tensors[f"codes.{name}"], tensors[f"codebook.{name}"].clone())
            for name in self._weights
        }
        self.after_step()

    def _follow(self) -> None:
        """Move to the network's device and layout, which a trainer may have changed."""
        for name, weight in self._weights.items():
            codes, codebook = self.shared[name]
            self.shared[name] = SharedLayer(match_layout(codes, weight), codebook.to(weight.device))


def relative_indices(codes: np.ndarray, index_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Entries for the nonzero codes of a layer: the number of zeros before each, and the codes.

    A gap too long for index_bits is bridged with fillers: entries of code 0 after the longest gap that fits
    (Han et al., figure 2; there the distance is written, which is one more than the zeros).
    """
    span = 2**index_bits
    nonzero = np.flatnonzero(codes)
    zeros = np.diff(nonzero, prepend=-1) - 1
    coded = np.cumsum(zeros // span + 1) - 1  # the entries that are not fillers
    entries = int(coded[-1]) + 1 if len(coded) else 0
    gaps, symbols = np.full(entries, span - 1), np.zeros(entries, dtype=np.int64)
    gaps[coded], symbols[coded] = zeros % span, codes[nonzero]
    return gaps, symbols


def _encode_symbols(symbols: np.ndarray, alphabet: int) -> list[bytes]:
    """A table of code lengths, a byte per symbol, and the codes: none if there is only one symbol."""
    lengths = huffman.lengths(np.bincount(symbols, minlength=alphabet))
    return [lengths.tobytes(), huffman.pack(symbols, lengths)]


def _decode_symbols(coded: list[bytes], count: int) -> np.ndarray:
    """The inverse of `_encode_symbols`."""
    lengths, stream = coded
    return huffman.unpack(stream, np.frombuffer(lengths, dtype=np.uint8), count)


def encode(network: nn.Module, shared: Shared, index_bits: int = 5) -> bytes:
    """Encode a network of shared weights compactly.

    Each convolution: codebook (float32), relative indices and codes, both Huffman-coded with their own
    tables. All other parameters and buffers are stored as they are. A header describes the content, a digest
    protects it. Raises InputError if the network's weights are not those of `shared`.
    """
    layers, rest, parts = [], [], []
    for name, weight, codes in match_weights(network, {name: layer.codes for name, layer in shared.items()}):
        codebook = shared[name].codebook.to(weight.device)
        if not torch.equal(weight, codebook[codes].to(weight.dtype)):
            raise InputError(f"{name} has weights that are not in its codebook: use WeightSharingCallback")
        gaps, symbols = relative_indices(codes.flatten().cpu().numpy(), index_bits)
        centroids = codebook[1:].cpu().numpy().astype("<f4")
        coded = [
            centroids.tobytes(),
            *_encode_symbols(gaps, 2**index_bits),
            *_encode_symbols(symbols, len(codebook)),
        ]
        layer = {"name": name, "shape": list(weight.shape), "centroids": len(centroids)}
        layer |= {"entries": len(symbols), "fillers": int((symbols == 0).sum())}
        layers.append({**layer, "bytes": [len(part) for part in coded]})
        parts += coded
    for name, tensor in network.state_dict().items():
        if name not in shared:
            array = tensor.cpu().numpy()
            array = array.astype(array.dtype.newbyteorder("<"))
            rest.append({"name": name, "shape": list(array.shape), "dtype": array.dtype.str})
            parts.append(array.tobytes())
    header = json.dumps({"index_bits": index_bits, "layers": layers, "rest": rest}, separators=(",", ":"))
    deflated = zlib.compress(header.encode(), 9)  # hundreds of similar names
    content = b"".join([HEADER.pack(len(deflated)), deflated, *parts])
    return PREFIX.pack(MAGIC, VERSION, hashlib.sha256(content).digest()) + content


def decode(data: bytes, network: nn.Module) -> None:
    """Load what `encode` wrote into a network of the same architecture, bit for bit.

    Raises InputError, leaving the network unchanged, if the data are damaged or of another architecture.
    """
    header, body = read_header(data)
    arrays = {}
    for layer in header["layers"]:
        centroids, *coded = (body.read(length) for length in layer["bytes"])
        gaps = _decode_symbols(coded[:2], layer["entries"])
        codes = _decode_symbols(coded[2:], layer["entries"])
        codebook = np.concatenate([np.zeros(1, dtype=np.float32), np.frombuffer(centroids, dtype="<f4")])
        flat = np.zeros(math.prod(layer["shape"]), dtype=np.float32)
        flat[np.cumsum(gaps + 1) - 1] = codebook[codes]
        arrays[layer["name"]] = flat.reshape(layer["shape"])
    for tensor in header["rest"]:
        dtype = np.dtype(tensor["dtype"])
        raw = np.frombuffer(body.read(dtype.itemsize * math.prod(tensor["shape"])), dtype)
        arrays[tensor["name"]] = raw.reshape(tensor["shape"])
    expected = network.state_dict()
    if odd := sorted(expected.keys() ^ arrays.keys()):
        raise InputError(f"the data are of another architecture: {odd[0]} is in only one of the two")
    for name, array in arrays.items():
        if array.shape != expected[name].shape:
            shape = tuple(expected[name].shape)
            raise InputError(f"{name} has shape {array.shape} in the data but {shape} in the network")
    network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in arrays.items()})


def read_header(data: bytes) -> tuple[dict, io.BytesIO]:
    """The header of what `encode` wrote, and the rest. Raises InputError if it is damaged."""
    if len(data) < PREFIX.size or not data.startswith(MAGIC):
        raise InputError("the data are not a compressed network, or incomplete")
    _, version, digest = PREFIX.unpack_from(data)
    if version != VERSION:
        raise InputError(f"the data are of version {version}; only {VERSION} can be read")
    body = io.BytesIO(data[PREFIX.size :])
    if hashlib.sha256(body.getbuffer()).digest() != digest:
        raise InputError("the data are damaged: their digest does not match")
    (length,) = HEADER.unpack(body.read(HEADER.size))
    return json.loads(zlib.decompress(body.read(length))), body


def sizes(data: bytes) -> dict[str, int]:
    """The size in bytes after each stage of the paper; "huffman" is the actual size of what `encode` wrote.

    dense: all tensors uncompressed. pruned: float32 and a relative index for each entry, fillers included.
    shared: code, index and codebook; if there are fillers, their zero is one more value to encode.
    The first three exclude headers.
    """
    header, _ = read_header(data)
    rest = sum(np.dtype(tensor["dtype"]).itemsize * math.prod(tensor["shape"]) for tensor in header["rest"])
    stages = {"dense": rest, "pruned": rest, "shared": rest}
    for layer in header["layers"]:
        width = (layer["centroids"] + bool(layer["fillers"]) - 1).bit_length() if layer["entries"] else 0
        stages["dense"] += 4 * math.prod(layer["shape"])
        pruned, shared = (layer["entries"] * (bits + header["index_bits"]) for bits in (32, width))
        stages["pruned"] += -(-pruned // 8)
        stages["shared"] += -(-shared // 8) + 4 * layer["centroids"]
    return {**stages, "huffman": len(data)}
