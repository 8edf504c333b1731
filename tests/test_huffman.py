"""Huffman codes worked by hand, never far from the entropy, and back to the same numbers."""

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from horticulture.pruning import huffman


def test_a_code_by_hand():
    # 1 + 1 = 2; 2 + 2 = 4; 4 + 4 = 8: the usual ladder. Symbol 2 does not occur.
    counts = np.array([1, 4, 0, 2, 1])
    lengths = huffman.lengths(counts)
    assert lengths.tolist() == [3, 1, 0, 2, 3]
    order, codes = huffman.codes(lengths)
    assert dict(zip(order.tolist(), [f"{code:b}" for code in codes], strict=True)) == {
        1: "0",
        3: "10",
        0: "110",
        4: "111",
    }
    symbols = np.array([1, 3, 1, 0, 1, 4, 3, 1])
    # 0 10 0 110 0 111 10 0: 14 bits, which is the entropy, since all shares are powers of two
    assert huffman.pack(symbols, lengths) == bytes([0b01001100, 0b11110000])
    assert (counts * lengths).sum() == 14
    entropy = sum(-count * math.log2(count / 8) for count in counts.tolist() if count)
    assert entropy == pytest.approx(14)


def test_a_classic_by_hand():
    # 5 + 9 = 14; 12 + 13 = 25; 14 + 16 = 30; 25 + 30 = 55; 45 + 55
    counts = np.array([45, 13, 12, 16, 9, 5])
    lengths = huffman.lengths(counts)
    assert lengths.tolist() == [1, 3, 3, 3, 4, 4]
    assert (counts * lengths).sum() == 45 + 3 * (13 + 12 + 16) + 4 * (9 + 5) == 224


@given(st.lists(st.integers(0, 1000), max_size=40))
def test_within_one_bit_of_the_entropy_and_no_code_to_spare(drawn):
    counts = np.array([*drawn, 3, 1])  # two that occur, at least
    lengths = huffman.lengths(counts)
    used, total = counts[counts > 0], counts.sum()
    entropy = -(used * np.log2(used / total)).sum()
    assert entropy - 1e-6 <= (counts * lengths).sum() < entropy + total
    assert sum(2.0 ** -int(length) for length in lengths[counts > 0]) == 1  # Kraft: a full tree
    assert (lengths[counts == 0] == 0).all()


@given(st.lists(st.integers(0, 20) | st.just(7), max_size=300))
def test_back_to_the_same_numbers(symbols):
    array = np.array(symbols, dtype=np.int64)
    lengths = huffman.lengths(np.bincount(array, minlength=21))
    data = huffman.pack(array, lengths)
    assert len(data) == (math.ceil(int(lengths[array].sum()) / 8) if len(set(symbols)) > 1 else 0)
    assert huffman.unpack(data, lengths, len(symbols)).tolist() == symbols


def test_one_number_alone_takes_nothing_however_often():
    lengths = huffman.lengths(np.array([0, 9, 0]))
    assert lengths.tolist() == [0, 1, 0]  # which it is, not what it costs
    assert huffman.pack(np.ones(9, dtype=np.int64), lengths) == b""
    assert huffman.unpack(b"", lengths, 9).tolist() == [1] * 9
    assert huffman.unpack(b"", lengths, 0).tolist() == []


def test_no_number_takes_nothing():
    nothing = huffman.lengths(np.zeros(3, dtype=np.int64))
    assert nothing.tolist() == [0, 0, 0]
    assert huffman.pack(np.zeros(0, dtype=np.int64), nothing) == b""
    assert huffman.unpack(b"", nothing, 0).tolist() == []


def test_codes_longer_than_four_bytes():
    counts = [1, 1]
    while len(counts) < 42:  # Fibonacci's numbers make the deepest tree
        counts.append(counts[-1] + counts[-2])
    lengths = huffman.lengths(np.array(counts))
    assert lengths.max() == 41
    symbols = np.array([0, 41, 1, 20, 0])
    assert huffman.unpack(huffman.pack(symbols, lengths), lengths, 5).tolist() == symbols.tolist()
