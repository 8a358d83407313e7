"""Images that two parts or two classes of a data set share: the same pixels, or the same picture saved again.

Nearly the same pictures are found in two steps. A perceptual hash of 64 bits proposes pairs: the signs of the
64 lowest frequencies of the brightness on a 16 x 16 grid, against their median over the data set (Zauner
2010, 'pHash'; different here: the medians are the data set's, not the image's, so that each bit parts it in
halves). Whoever agrees in one of five groups of bits is compared, so that the work grows with the images, not
with their pairs. Then the pixels decide, averaged to 16 x 16 cells.

Measured on 25,000 images of Tiny-ImageNet and 7,200 of `scenes`: of 151 million pairs between parts none is
taken for copies, and none with at most 14 other bits comes closer than a root mean square of 19 grey levels.
Of 500 images of each, saved again as JPEG of quality 30 to 90, or of quality 75 at 0.75 to 2 times the size,
at least 99 % are found; of quality 50 at 0.6 times the size, about 90 %.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
"""(n, 3, H, W)."""
Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

_PARTS = {"train": "training", "validation": "validation", "test": "test"}
_GRID = 16
_GROUPS = ((0, 13), (13, 13), (26, 13), (39, 13), (52, 12))  # first bit and number of bits
_MOST_BITS = 8  # two pictures that differ in more are not compared
_MOST_RMS = 10.0  # of the cells' differences, in grey levels
_MOST_RELATIVE = 0.3  # of the same, against the picture's own deviation: haze is not like haze
_LEAST_DEVIATION = 4.0  # grey levels; plainer pictures are alike without being copies
_TRIED = 4  # nearest proposals per image whose pixels are compared
_SAMPLE = 4096  # images that the medians are taken over
_BLOCK_BYTES = 2**24
_BLOCK_PAIRS = 2**22
_MOST_PAIRS = 2**27  # per group; beyond, the fullest buckets are passed over: thousands alike are no copies
_BRIGHTNESS = np.array([0.299, 0.587, 0.114], np.float32)


def shared_images(images: Mapping[str, Images], names: Mapping[str, Sequence[str]]) -> list[str]:
    """Say which images of a later part are also in an earlier one; nothing is taken out.

    Args:
        images: `train`, `validation` and `test`.
        names: What to call the images of a part; by their number where a part has none.

    Returns:
        A sentence for each pair of parts that share images, and one for each that share nearly equal ones.
    """
    hashes = {part: [_exact(image) for image in found] for part, found in images.items()}
    centre = np.median(_frequencies_of_some(images), axis=0).astype(np.float32)
    prints = {part: _print(found, centre) for part, found in images.items()}
    messages = []
    for earlier, later in itertools.combinations(_PARTS, 2):
        rows = {digest: row for row, digest in enumerate(hashes[earlier])}
        same = {row: rows[digest] for row, digest in enumerate(hashes[later]) if digest in rows}
        near = _near(images[earlier], prints[earlier], images[later], prints[later], set(same))
        for found, how in ((same, "are also"), (near, "are, saved again or nearly, also")):
            if found:
                row, original = next(iter(found.items()))
                example = f"{_name(names, later, row)} ({_name(names, earlier, original)})"
                messages.append(
                    f"{len(found):,} of {len(images[later]):,} {_PARTS[later]} images {how} "
                    f"{_PARTS[earlier]} images, such as {example}: results on them flatter"
                )
    return messages


def images_of_two_classes(
    images: Mapping[str, Images], labels: Mapping[str, Rows], names: Mapping[str, Sequence[str]]
) -> list[str]:
    """Say which images stand in several classes, pixel for pixel, in whatever parts; nothing is taken out.

    Args:
        images: As for `shared_images`.
        labels: The classes of each part's images, (n,).
        names: As for `shared_images`.

    Returns:
        One sentence, or none.
    """
    first: dict[bytes, tuple[str, int]] = {}
    twins: dict[bytes, tuple[str, int]] = {}
    for part, found in images.items():
        for row, image in enumerate(found):
            digest = _exact(image)
            earlier, other = first.setdefault(digest, (part, row))
            if labels[earlier][other] != labels[part][row]:
                twins.setdefault(digest, (part, row))
    if not twins:
        return []
    digest, twin = next(iter(twins.items()))
    example = f"{_name(names, *first[digest])} and {_name(names, *twin)}"
    return [
        f"{len(twins):,} picture(s) stand in several classes, such as {example}: whichever label is learnt, "
        "another counts as wrong; keep each in one class"
    ]


def _name(names: Mapping[str, Sequence[str]], part: str, row: int) -> str:
    return names[part][row] if names.get(part) else f"{part} image {row}"


def _exact(image: Images) -> bytes:
    return hashlib.blake2b(image.tobytes(), digest_size=16).digest()


def _blocks_of(images: Images) -> Iterator[Images]:
    """A few megabytes of images at a time: they may be large, and more than fit into memory."""
    length = max(1, _BLOCK_BYTES // max(1, images[:1].nbytes))
    return (images[start : start + length] for start in range(0, len(images), length))


def _frequencies_of_some(images: Mapping[str, Images]) -> Floats:
    """Of evenly spaced images of every part."""
    step = -(-sum(len(found) for found in images.values()) // _SAMPLE)
    chosen = (found[::step] for found in images.values())
    return np.concatenate([_frequencies(block) for found in chosen for block in _blocks_of(found)])


@dataclass(frozen=True)
class _Prints:
    """Hashes (n,) uint64, and which images have enough in them to be compared, (n,) bool."""

    bits: NDArray[np.uint64]
    telling: NDArray[np.bool_]


def _print(images: Images, centre: Floats) -> _Prints:
    bits, telling = [np.empty(0, np.uint64)], [np.empty(0, np.bool_)]
    for block in _blocks_of(images):
        packed = np.packbits(_frequencies(block) > centre, axis=1)
        bits.append(np.ascontiguousarray(packed).view(np.uint64)[:, 0])
        telling.append(_brightness(block).std((1, 2)) >= _LEAST_DEVIATION)
    return _Prints(np.concatenate(bits), np.concatenate(telling))


def cell_means(images: Images) -> Floats:
    """Averages over a 16 x 16 grid of cells, as equal in size as they can be, (n, 3, 16, 16)."""
    size = images.shape[-1]
    starts = np.arange(_GRID) * size // _GRID
    sums = np.add.reduceat(images, starts, axis=3, dtype=np.uint32)
    sums = np.add.reduceat(sums, starts, axis=2, dtype=np.uint32)
    # Where an image has fewer pixels than cells, a pixel fills several.
    lengths = np.maximum(np.diff(np.append(starts, size)), 1)
    means: Floats = (sums / np.outer(lengths, lengths)).astype(np.float32)
    return means


def _brightness(images: Images) -> Floats:
    brightness: Floats = np.einsum("nchw,c->nhw", cell_means(images), _BRIGHTNESS)
    return brightness


def _frequencies(images: Images) -> Floats:
    """The 64 lowest coefficients of a cosine transform of the brightness, without the mean, (n, 64)."""
    frequency, place = np.arange(9)[:, None], np.arange(_GRID)[None]
    basis = np.cos(np.pi * (2 * place + 1) * frequency / (2 * _GRID)).astype(np.float32)
    squared = np.add.outer(np.arange(9) ** 2, np.arange(9) ** 2).ravel()
    lowest = np.argsort(squared, kind="stable")[1:65]
    found = basis @ _brightness(images) @ basis.T
    return found.reshape(-1, 81)[:, lowest].astype(np.float32)


def _near(
    earlier: Images, earlier_prints: _Prints, later: Images, later_prints: _Prints, known: set[int]
) -> dict[int, int]:
    """Rows of `later` that show a picture of `earlier`, with its row there; without the `known` ones."""
    first, second, distance = _proposals(earlier_prints, later_prints)
    order = np.lexsort((first, distance, second))
    first, second = first[order], second[order]
    # The place of each proposal among those of its image; the same pair may stand there several times.
    starts = np.flatnonzero(np.diff(second, prepend=-1))
    place = np.arange(len(second)) - np.repeat(starts, np.diff(np.append(starts, len(second))))
    first, second = first[place < _TRIED], second[place < _TRIED]
    found: dict[int, int] = {}
    length = max(1, _BLOCK_BYTES // max(1, earlier[:1].nbytes))
    for start in range(0, len(first), length):
        a, b = first[start : start + length], second[start : start + length]
        alike = _same_picture(earlier[a], later[b])
        for original, row in zip(a[alike].tolist(), b[alike].tolist(), strict=True):
            if row not in known:
                found.setdefault(row, original)
    return found


def _proposals(earlier: _Prints, later: _Prints) -> tuple[Rows, Rows, Rows]:
    """Pairs of rows whose hashes agree in a group of bits and differ in few others, and in how many."""
    ours, theirs = np.flatnonzero(earlier.telling), np.flatnonzero(later.telling)
    pairs: list[NDArray[np.int64]] = [np.empty((0, 3), np.int64)]
    for first_bit, length in _GROUPS:
        mask = np.uint64((1 << length) - 1)
        ours_in = (earlier.bits[ours] >> np.uint64(first_bit)) & mask
        theirs_in = (later.bits[theirs] >> np.uint64(first_bit)) & mask
        order = np.argsort(ours_in, kind="stable")
        low = np.searchsorted(ours_in[order], theirs_in, "left")
        counts = np.searchsorted(ours_in[order], theirs_in, "right") - low
        for chosen in _blocks(counts):
            a = ours[order[_ranges(low[chosen], counts[chosen])]]
            b = np.repeat(theirs[chosen], counts[chosen])
            distance = np.bitwise_count(earlier.bits[a] ^ later.bits[b]).astype(np.int64)
            close = distance <= _MOST_BITS
            pairs.append(np.stack([a[close], b[close], distance[close]], axis=1))
    together = np.unique(np.concatenate(pairs), axis=0)
    return together[:, 0], together[:, 1], together[:, 2]


def _blocks(counts: Rows) -> Iterator[Rows]:
    """Indices of buckets that are not empty, so many at a time that their sums of counts stay bounded."""
    order = np.argsort(counts, kind="stable")
    total = np.cumsum(counts[order])
    order = order[(counts[order] > 0) & (total <= _MOST_PAIRS)]
    block = np.cumsum(counts[order]) // _BLOCK_PAIRS
    yield from np.split(order, np.flatnonzero(np.diff(block)) + 1)


def _ranges(starts: Rows, lengths: Rows) -> Rows:
    """`starts[i]`, `starts[i] + 1`, ... for each i, `lengths[i]` of them, one after the other."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + lengths, lengths)


def _same_picture(first: Images, second: Images) -> NDArray[np.bool_]:
    """Whether images (m, 3, H, W) differ by no more than saving them again does, (m,)."""
    ours, theirs = cell_means(first), cell_means(second)
    rms = np.sqrt(((ours - theirs) ** 2).mean((1, 2, 3)))
    deviation = np.minimum(ours.std((2, 3)).mean(1), theirs.std((2, 3)).mean(1))
    found: NDArray[np.bool_] = (rms <= _MOST_RMS) & (rms <= _MOST_RELATIVE * deviation)
    return found
