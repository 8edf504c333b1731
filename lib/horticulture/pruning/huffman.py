"""Huffman coding (1952) of small integers with canonical codes, which their lengths determine."""

import heapq

import numpy as np


def lengths(counts: np.ndarray) -> np.ndarray:
    """The length in bits of each symbol's code, uint8: 0 for a symbol that does not occur.

    A single symbol has length 1, to mark which one it is, but `pack` writes no code for it.

    counts: (symbols,), the frequency of each. Ties are merged smallest symbol first, so that the same counts
    give the same code everywhere.
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
    """The canonical code: the symbols that occur, in the order of their codes, and the codes, int64.

    Shorter codes come first, then smaller symbols; each code is the previous one plus one, lengthened.
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
    """Concatenate the codes of these symbols, padded with zeros to whole bytes.

    If there is only one symbol, its count suffices and no bytes are written.
    """
    if np.count_nonzero(lengths) <= 1:
        return b""
    order, values = codes(lengths)
    code_of = np.zeros(len(lengths), dtype=np.int64)
    code_of[order] = values
    code, length = code_of[symbols], lengths[symbols].astype(np.int64)
    ends = np.cumsum(length)
    bits = np.zeros(ends[-1] if len(ends) else 0, dtype=np.uint8)
    for bit in range(int(length.max(initial=0))):  # from the last bit of each code to the first
        longer = length > bit
        bits[ends[longer] - 1 - bit] = code[longer] >> bit & 1
    return np.packbits(bits).tobytes()


def unpack(data: bytes, lengths: np.ndarray, count: int) -> np.ndarray:
    """Decode the first `count` symbols of what `pack` wrote with these lengths."""
    order, values = codes(lengths)
    if count == 0 or len(order) == 1:
        return np.repeat(order[:1], count)
    longest = int(lengths.max())
    bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8))
    padded = np.concatenate([bits, np.zeros(longest, dtype=np.uint8)])
    # The bits from each position on, as many as the longest code.
    window = np.zeros(len(bits), dtype=np.int64)
    for position in range(longest):
        window = window << 1 | padded[position : position + len(bits)]
    # Padded to the same length, canonical codes increase from symbol to symbol. So one search finds the
    # symbol that would start at every position; only stepping from one to the next needs a loop.
    rank = np.searchsorted(values << longest - lengths[order].astype(np.int64), window, side="right") - 1
    steps = lengths[order][rank].tobytes()
    starts, position = [], 0
    for _ in range(count):
        starts.append(position)
        position += steps[position]
    return order[rank[starts]]
