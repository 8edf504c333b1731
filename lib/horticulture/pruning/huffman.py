"""Huffman coding (1952) of small whole numbers, with canonical codes: their lengths say everything."""

import heapq

import numpy as np


def lengths(counts: np.ndarray) -> np.ndarray:
    """Bits of each symbol's code, uint8: 0 for a symbol that does not occur.

    A symbol that is the only one has 1, to say which it is; it needs no code, and `pack` writes none.

    counts: (symbols,), how often each occurs. Equal counts are merged smallest symbol first, so that the
    same counts give the same code everywhere.
    """
    bits = np.zeros(len(counts), dtype=np.uint8)
    heap = [(int(counts[symbol]), symbol, [symbol]) for symbol in np.flatnonzero(counts).tolist()]
    if len(heap) == 1:
        bits[heap[0][1]] = 1
    heapq.heapify(heap)
    while len(heap) > 1:
        (few, first, left), (more, second, right) = heapq.heappop(heap), heapq.heappop(heap)
        bits[left + right] += 1
        heapq.heappush(heap, (few + more, min(first, second), left + right))
    return bits


def codes(lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The canonical code: the symbols that occur in the order of their codes, and those codes, int64.

    Shorter codes come first, equally long ones by symbol; each is the one before plus one, lengthened.
    """
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    values, code, before = [], 0, 0
    for length in lengths[order].tolist():
        code <<= length - before
        values.append(code)
        code, before = code + 1, length
    return order, np.array(values, dtype=np.int64)


def pack(symbols: np.ndarray, lengths: np.ndarray) -> bytes:
    """The codes of these symbols one after the other, filled up with zeros to whole bytes.

    Where all are one symbol their number says everything: no bytes.
    """
    if np.count_nonzero(lengths) <= 1:
        return b""
    order, values = codes(lengths)
    table = np.zeros(len(lengths), dtype=np.int64)
    table[order] = values
    code, length = table[symbols], lengths[symbols].astype(np.int64)
    ends = np.cumsum(length)
    bits = np.zeros(ends[-1] if len(ends) else 0, dtype=np.uint8)
    for place in range(int(length.max(initial=0))):  # from the last bit of every code to the first
        there = length > place
        bits[ends[there] - 1 - place] = code[there] >> place & 1
    return np.packbits(bits).tobytes()


def unpack(data: bytes, lengths: np.ndarray, count: int) -> np.ndarray:
    """The first `count` symbols of what `pack` wrote with these lengths."""
    order, values = codes(lengths)
    if count == 0 or len(order) == 1:
        return np.repeat(order[:1], count)
    longest = int(lengths.max())
    bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8))
    padded = np.concatenate([bits, np.zeros(longest, dtype=np.uint8)])
    window = np.zeros(len(bits), dtype=np.int64)  # the bits from each place on, as many as the longest code
    for place in range(longest):
        window = window << 1 | padded[place : place + len(bits)]
    # Canonical codes rise from symbol to symbol when filled up to the same length. So one search says
    # for every place what symbol would begin there; only the walk from one to the next is a loop.
    rank = np.searchsorted(values << longest - lengths[order].astype(np.int64), window, side="right") - 1
    steps = lengths[order][rank].tobytes()
    places, place = [], 0
    for _ in range(count):
        places.append(place)
        place += steps[place]
    return order[rank[places]]
