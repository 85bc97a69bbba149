"""95 % intervals of figures that are no shares: on the logit scale, by the bootstrap, by inverting a test.

The contract: images are independent draws from where later images come from. Nothing here knows labels or classes.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from imgcls._intervals import Z

LEVEL = 0.95
_DRAWS = 2_000  # of the weights of images
_SUMS, _NOISES = 126, 500  # true sums of distances that are tried, and draws of noise
_MORE = 2  # predictions that are wrong and not seen, see `sum_of_distances`
_RARE_FROM_ZERO = 0.04  # see `sum_of_distances`
_LOOKED_AT = 50_000  # images in which it is sought what classes share, at most
_BLOCKS = 2_000  # of images, weighted instead of images where there are more

Floats = NDArray[np.float64]


class Interval(NamedTuple):
    """What a figure may be, judged from these images.

    Attributes:
        lower: The lower end.
        upper: The upper end.
        method: How it was found.

    Examples:
        >>> import numpy as np
        >>> from imgcls.metrics import Evaluation
        >>> for count in (50, 5_000):  # nine of ten are right each time; of more images more is known
        ...     y_true, wrong = np.arange(count) % 2, np.arange(count) % 10 == 0
        ...     probabilities = np.where(np.eye(2)[y_true ^ wrong] == 1, 0.8, 0.2)
        ...     interval = Evaluation(y_true, probabilities, classes=["cat", "dog"]).intervals["accuracy"]
        ...     print(f"{count} images: {interval.lower:.3f} to {interval.upper:.3f} ({interval.method})")
        50 images: 0.786 to 0.957 (Wilson)
        5000 images: 0.891 to 0.908 (Wilson)
    """

    lower: float
    upper: float
    method: str


def logit_interval(value: Any, error: Any) -> tuple[Floats, Floats]:
    """Return the normal interval of a figure between 0 and 1, made on the logit scale, where it cannot leave them.

    On that scale 0 and 1 lie nowhere: a figure nearer to them than its error counts as that far away.

    Args:
        value: The figure.
        error: Its standard error.

    Examples:
        >>> lower, upper = logit_interval(0.9, 0.05)
        >>> round(float(lower), 3), round(float(upper), 3)
        (0.752, 0.964)
    """
    value, error = np.asarray(value, float), np.asarray(error, float)
    inside = np.clip(value, np.minimum(error, 0.5), 1 - np.minimum(error, 0.5))
    inside = np.clip(inside, 1e-9, 1 - 1e-9)
    middle, half = np.log(inside / (1 - inside)), Z * error / (inside * (1 - inside))
    lower, upper = (1 / (1 + np.exp(-np.clip(middle + sign * half, -700, 700))) for sign in (-1, 1))
    return np.minimum(lower, value), np.maximum(upper, value)


def looked_at(count: int, *, seed: int = 0) -> NDArray[np.int64]:
    """Return the positions of at most 50,000 images, drawn at random: enough to see what classes share."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:_LOOKED_AT])


@final
class Shared:
    """By how much the error of a sum of figures exceeds that of independent ones, as all are of the same images.

    The square root of what Kish calls the design effect (Survey Sampling, 1965): an image that is hard for one class is
    often hard for others, and each image's influence is summed over the figures first. To those seen, one mistake is
    added, as if every image made an N-th of it: where nothing is wrong yet, figures of the same images would still go
    wrong together.

    Args:
        count: N, how many images.

    Examples:
        >>> import numpy as np
        >>> shared, wrong = Shared(100), np.arange(100) < 10
        >>> for _ in range(4):  # four labels that are wrong for the same images: no surer than one
        ...     shared.add((0.1 - wrong) / 100, np.full(100, -0.9 / 100))
        >>> shared.factor
        2.0
    """

    def __init__(self, count: int) -> None:
        self._together, self._alone = np.zeros((2, count)), 0.0

    def add(self, influence: Floats, mistake: Floats) -> None:
        """Add a figure.

        Args:
            influence: `float (N,)`: what each image adds to the figure, beside what it is.
            mistake: `float (N,)`: the same if it were wrong for this figure.
        """
        both = np.stack([influence, mistake / np.sqrt(len(mistake))])
        self._together += both
        self._alone += float(np.square(both).sum())

    @property
    def factor(self) -> float:
        """At least 1: that classes make up for each other's mistakes is not counted on."""
        return float(np.sqrt(max(np.square(self._together).sum() / self._alone, 1.0))) if self._alone else 1.0


@final
class Blocks:
    """Images dealt at random into at most 2,000 blocks, which are weighted at random in place of images.

    The variance of the mean of blocks is that of the mean of images, and a million images take a second.

    Args:
        count: How many images.
        seed: Of the deal and of the weights.

    Examples:
        >>> import numpy as np
        >>> blocks = Blocks(100)
        >>> lower, upper = blocks.ends(blocks.means([np.zeros(100)]), np.array([5.0]))  # nothing was lost yet
        >>> float(lower[0]), bool(0.16 < upper[0] < 0.2)  # 0.18: up to 3.6 % may cost 5 (Clopper and Pearson)
        (0.0, True)
    """

    def __init__(self, count: int, *, seed: int = 0) -> None:
        self._random, self._count = np.random.default_rng(seed), min(count, _BLOCKS)
        dealt = np.arange(count) % self._count
        self._of_image = self._random.permutation(dealt) if count > _BLOCKS else dealt
        self._sizes = np.bincount(dealt)

    def means(self, columns: Sequence[NDArray[Any]]) -> Floats:
        """Return the mean in each block of F numbers an image, `(blocks, F)`."""
        sums = [np.bincount(self._of_image, column, self._count) for column in columns]
        return np.stack(sums, axis=1) / self._sizes[:, None]

    def means_in_bins(self, values: Floats, bins: NDArray[np.int64], count: int) -> Floats:
        """Return, for each block and bin, what the images of the bin add to the block's mean, `(blocks, count)`.

        Args:
            values: `float (N * R,)`: R numbers an image.
            bins: The bin of each.
            count: How many bins.
        """
        block = np.repeat(self._of_image, len(values) // len(self._of_image))
        sums = np.bincount(block * count + bins, values, self._count * count).reshape(self._count, count)
        return sums / self._sizes[:, None] / (len(values) // len(self._of_image))

    def ends(self, means: Floats, mistake: Floats) -> tuple[Floats, Floats]:
        """Return the ends `(F,)` of the intervals of means of losses, which are 0 or more.

        Every image has a random weight (the Bayesian bootstrap: Rubin, Annals of Statistics 9, 1981), and so has one
        image more, which was not seen: for the lower end it costs nothing, and for the upper end what a mistake costs.
        If images cost either, these are the ends of Clopper and Pearson's exact interval of a share. That is Gaffke's
        bound (Three Test Statistics for a Nonparametric One-Sided Hypothesis on the Mean of a Nonnegative Variable,
        Mathematical Methods of Statistics 14, 2005; Learned-Miller and Thomas, A New Confidence Interval for the Mean
        of a Bounded Random Variable, arXiv:1905.06208, 2019), but for one thing: there the image costs the most that
        is possible, and the log loss would reach far up whenever an image could cost 36.

        Args:
            means: `float (blocks, F)`, as `means` returns them.
            mistake: `float (F,)`: what a mistake costs.
        """
        weights = self._random.standard_exponential((_DRAWS, self._count))
        weights *= self._sizes
        unseen = self._random.standard_exponential((_DRAWS, 1))
        sums, whole = weights @ means, weights.sum(axis=1, keepdims=True) + unseen
        lower = np.quantile(sums / whole, (1 - LEVEL) / 2, axis=0)
        upper = np.quantile((sums + unseen * mistake) / whole, (1 + LEVEL) / 2, axis=0)
        return lower, upper


def sum_of_distances(
    values: Floats, errors: Floats, shares: Floats, count: int, *, seed: int = 0
) -> tuple[float, float]:
    """Return the interval of a sum of absolute values that are known with errors, such as the calibration error.

    Chance adds to a distance and never takes from it, so that a bootstrap lies too high. Here it is asked, for true
    values that add up to ever more, which sums would then be measured; the interval holds those sums under which what
    was measured is none of the rarest 5 %.

    How the true values differ among each other is not what was measured either: chance makes some small and others
    large. The lower end supposes that few are off, those beyond two errors, and the rest is chance. The upper end
    supposes that many are, and takes their root mean squares, given what was measured, if they come from one normal
    distribution (empirical Bayes: Efron and Morris, Stein's Estimation Rule and Its Competitors, JASA 68, 1973).

    Where the lower end is 0 it cannot be wrong, and the upper end may be in 4 % of cases instead of 2.5: less than
    the 5 % that would make up for it, as larger true sums give a lower end of 0 too.

    Where all predictions of a bin are right, its error would be 0, and the next may be wrong. So two more that are
    wrong are spread over the bins, as many as Wilson's interval adds to a share. And predictions are right or wrong: a
    distance comes in steps. Half of one is added to what was measured, and taken from it (the continuity correction);
    where several are added up, the steps of the sum are as many times smaller.

    Args:
        values: `float (M,)`, with signs.
        errors: Their standard errors.
        shares: `float (M,)`: what share of all images each value speaks for; that many times a distance is what comes
            from one distribution.
        count: How many predictions there are.
        seed: Of the noise.

    Examples:
        >>> import numpy as np
        >>> values, errors, shares = np.array([0.01, -0.01]), np.array([0.02, 0.02]), np.array([0.5, 0.5])
        >>> lower, upper = sum_of_distances(values, errors, shares, 500)
        >>> lower, 0.02 < upper < 0.1  # it may all be noise
        (0.0, True)
    """
    filled = shares > 0
    values, errors, shares = values[filled], errors[filled], shares[filled]
    errors = np.sqrt(errors**2 + _MORE / len(values) / count**2)
    measured, step = float(np.abs(values).sum()), 0.5 / count / len(values)
    distances, spread = values / shares, (errors / shares) ** 2
    variance = max(float(shares @ (distances**2 - spread)) / float(shares.sum()), 1e-12)
    kept = variance / (variance + spread)
    many = shares * np.sqrt(kept**2 * distances**2 + kept * spread)
    few = np.maximum(np.abs(values) - 2 * errors, 1e-6 * (np.abs(values) + errors))
    noise = errors * np.random.default_rng(seed).normal(size=(_NOISES, len(values)))
    tried = np.linspace(0, measured + 3 * float(np.sqrt(np.square(errors).sum())), _SUMS)

    def end(likely: Floats, rarest: float, found: float) -> float:
        """Return the true sum under which a sum below the one found is measured in so many cases."""
        true = np.where(values < 0, -1.0, 1.0) * likely / likely.sum()
        sums = np.abs(tried[:, None, None] * true + noise).sum(axis=2)
        return float(np.interp(found, np.maximum.accumulate(np.quantile(sums, rarest, axis=1)), tried))

    lower = end(few, (1 + LEVEL) / 2, measured - step)
    upper = end(many, (1 - LEVEL) / 2 if lower > 0 else _RARE_FROM_ZERO, measured + step)
    return min(lower, measured), max(upper, measured)
