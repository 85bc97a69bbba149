"""Images unlike those that were learnt from: how far their features lie from known ones, and how little says any class.

Two scores, because each misses what the other sees: the distance to the k-th nearest known features (Sun, Ming, Zhu and
Li, ICML 2022, arXiv 2204.06507) and the energy of the scores before softmax (Liu, Wang, Owens and Li, NeurIPS 2020,
arXiv 2010.03759). Both are ranked among images held out, so that no scale has to be known.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_NEIGHBOURS = 10
_BLOCK = 4_096


@final
@dataclass(frozen=True, slots=True)
class Familiarity:
    """What is needed to say whether an image is like those that were learnt from: plain arrays.

    Attributes:
        known: `float16 (M, D)`: features of images that were learnt from, each of length 1.
        distances: `float32 (n,)`, rising: of images held out.
        energies: `float32 (n,)`, rising: the same.

    Examples:
        >>> import numpy as np
        >>> from imgcls.metrics import Familiarity
        >>> random = np.random.default_rng(0)
        >>> features, scores = random.normal([5, 0, 0], 1, (300, 3)), random.normal([4, 0], 1, (300, 2))
        >>> familiarity = Familiarity.learnt(features[:200], features[200:], scores[200:])
        >>> like, unlike = [5.0, 0.0, 0.0], [0.0, 0.0, 5.0]
        >>> p_values = familiarity.p_values(np.array([like, unlike]), np.array([[4.0, 0.0], [0.0, 0.0]]))
        >>> (p_values < 0.05).tolist()  # which images are unlike what was learnt from
        [False, True]
    """

    MOST: ClassVar[int] = 1_000  # features of images that were learnt from; more are not kept

    known: NDArray[np.float16]
    distances: NDArray[np.float32]
    energies: NDArray[np.float32]

    @classmethod
    def learnt(
        cls,
        features: NDArray[np.floating],
        held_out: NDArray[np.floating],
        scores: NDArray[np.floating],
        *,
        seed: int = 0,
    ) -> "Familiarity":
        """Learn what is familiar.

        Args:
            features: `float (N, D)` of images that were learnt from.
            held_out: `float (n, D)` of others of the same kinds.
            scores: `float (n, K)` of the latter, before softmax.
            seed: Of the features that are kept, where there are more than 1,000.
        """
        if len(features) > cls.MOST:
            features = features[np.sort(np.random.default_rng(seed).permutation(len(features))[: cls.MOST])]
        known = _unit(features).astype(np.float16)
        distances = np.sort(_distances(held_out, known)).astype(np.float32)
        return cls(known, distances, np.sort(energy(scores)).astype(np.float32))

    def p_values(self, features: NDArray[np.floating], scores: NDArray[np.floating]) -> Floats:
        """Return for each image how often a familiar one looks at least as strange, `(N,)`.

        A familiar image is below p in at most p of all cases (a conformal p-value, for two scores by Bonferroni).
        """
        each = [
            _rank(self.distances, _distances(features, self.known)),
            _rank(self.energies, energy(scores)),
        ]
        return np.asarray(np.minimum(2 * np.minimum(*each), 1.0))


def energy(scores: NDArray[np.floating]) -> Floats:
    """Return `-log sum exp` of each row `(N,)`: the higher, the less any class is supported.

    Args:
        scores: `float (N, K)`, before softmax.

    Examples:
        >>> import numpy as np
        >>> from imgcls.metrics import energy
        >>> energy(np.array([[9.0, 0.0, 0.0], [0.0, 0.0, 0.0]])).round(1).tolist()  # one class, and none
        [-9.0, -1.1]
    """
    scores = np.asarray(scores, np.float64)
    highest = scores.max(axis=1)
    return np.asarray(-(highest + np.log(np.exp(scores - highest[:, None]).sum(axis=1))))


def _rank(known: NDArray[np.float32], found: Floats) -> Floats:
    as_strange = len(known) - np.searchsorted(known, found.astype(np.float32), side="left")
    return np.asarray((1 + as_strange) / (1 + len(known)))


def _distances(features: NDArray[np.floating], known: NDArray[np.float16]) -> Floats:
    """Return the Euclidean distance of each unit vector to its k-th nearest known one."""
    reference = known.astype(np.float32)
    place = min(_NEIGHBOURS, len(reference)) - 1
    found = []
    for start in range(0, len(features), _BLOCK):
        cosine = _unit(features[start : start + _BLOCK]) @ reference.T
        nearest = np.partition(-cosine, place, axis=1)[:, place]
        found.append(np.sqrt(np.maximum(2 + 2 * nearest.astype(np.float64), 0)))
    return np.concatenate(found) if found else np.empty(0)


def _unit(features: NDArray[np.floating]) -> NDArray[np.float32]:
    features = np.asarray(features, np.float32)
    return np.asarray(features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12), np.float32)
