"""The dendrogram of a mixing measure: atoms merged two by two, each merge with its height.

From the K atoms of an over-specified fit the two closest become one, again and again. With masses
p_i, the mean weights of the atoms on the data, and parameters θ_i the height of merging i and j is

    d(i, j) = p_i p_j / (p_i + p_j) · ‖θ_i − θ_j‖²,

the p-weighted sum of squares of both about their mean, and the merged atom has their masses' sum
and the weighted mean of θ: it keeps the first moments, and f changes by about the height. (θ is
measured in standard deviations of the inputs. Atoms of one cell have proportional weights in the
limit, and p could be the weights at any x: e^β0 in the papers. Means over the data do not depend on
the origin, and no atom that matters somewhere is without mass.) Where
over-fitted atoms come together at n^-1/4, heights above k* fall like n^-1/2, while that of merging
two of k* true atoms stays. Under a gate whose atoms of one cell have β1 → 0 (``from_zero``) slopes
enter as p_i‖β1_i‖² + p_j‖β1_j‖², and merging an atom with a slope is never cheap.

Sources: Do, Do, McKinley, Terhorst, Nguyen, arXiv 2403.01684 (mixtures); Thai, Nguyen, Do, Ho,
Drovandi, arXiv 2505.13052, and Hai, Mai, Nguyen, Ho, Nguyen, Drovandi, arXiv 2510.12744 (mixtures
of experts with a Gaussian density; what they do with densities is done here with f, under least
squares). The rule for each gate is its :class:`~identkit.gates.merging.Merging`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from identkit.choice.frame import Frame
from identkit.fit.starts import spread
from identkit.mixing import MixingMeasure

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Merge:
    """One merge: the nodes ``left`` < ``right``, as SciPy numbers them, and its height.

    Nodes 0 … K − 1 are the atoms; the merge number m makes node K + m.
    """

    left: int
    right: int
    height: float
    atoms: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Dendrogram:
    """``levels`` are the measures of K, K − 1, … atoms, ``merges`` what lies between them.

    ``masses`` (K,) are those of the atoms of the first level. It ends above one atom where no atom
    of the gate has the masses of two. ``variances`` has those of each level, (K,), (K − 1,), …,
    None of atoms without.
    """

    levels: tuple[MixingMeasure, ...]
    merges: tuple[Merge, ...]
    masses: tuple[float, ...]
    variances: tuple[Array, ...] | None = None

    @property
    def atoms(self) -> int:
        """K, the number of atoms it begins with."""
        return self.levels[0].atoms

    @property
    def heights(self) -> dict[int, float]:
        """Level κ -> the height at which its closest two atoms merge, from K down to 2."""
        return {self.atoms - m: merge.height for m, merge in enumerate(self.merges)}

    @property
    def complete(self) -> bool:
        """Whether it ends with one atom."""
        return len(self.merges) == self.atoms - 1

    @property
    def linkage(self) -> Array:
        """(merges, 4), what :func:`scipy.cluster.hierarchy.dendrogram` draws if it is complete."""
        return np.array([[m.left, m.right, m.height, len(m.atoms)] for m in self.merges]).reshape(
            -1, 4
        )


def dendrogram(
    frame: Frame, measure: MixingMeasure, x: Array, variances: Array | None = None
) -> Dendrogram:
    """The dendrogram of one measure of K atoms of the frame's model, on the inputs x (n, d).

    ``variances`` (K,) of atoms that are densities are one more parameter: they are in the distance,
    and the merged atom has their weighted mean, as location and scale in the papers. (Its variance
    as that of the mixture would have the spread of the h besides, which goes to 0 within a cell.)

    >>> from identkit.fit.model import Model
    >>> frame = Frame.of(Model.of("tanh", "softmax"))
    >>> G = MixingMeasure([0.0, 0.0, 0.0], [[0.0], [0.0], [1.0]], [[2, 0], [2.2, 0], [-1, 1]])
    >>> tree = dendrogram(frame, G, np.linspace(-1.0, 1.0, 50)[:, None])
    >>> {level: round(height, 4) for level, height in tree.heights.items()}
    {3: 0.0023, 2: 1.058}
    >>> tree.levels[1].eta.round(3)
    array([[-1. ,  1. ],
           [ 2.1,  0. ]])
    """
    joined = _Atoms.of(frame, measure, x, variances)
    nodes, start = list(range(measure.atoms)), tuple(map(float, joined.masses))
    members: dict[int, tuple[int, ...]] = {i: (i,) for i in nodes}
    levels, merges, spreads = [measure], [], [variances]
    while len(nodes) > 1:
        heights = joined.heights()
        i, j = divmod(int(heights.argmin()), len(nodes))
        height = float(heights[i, j])
        if not np.isfinite(height):
            break
        joined = joined.merged(i, j)
        left, right = sorted((nodes[i], nodes[j]))
        node = measure.atoms + len(merges)
        members[node] = tuple(sorted(members[left] + members[right]))
        merges.append(Merge(left, right, height, members[node]))
        nodes = [n for a, n in enumerate(nodes) if a not in (i, j)] + [node]
        levels.append(joined.measure(measure))
        spreads.append(joined.variances)
    known = tuple(v for v in spreads if v is not None)
    return Dendrogram(tuple(levels), tuple(merges), start, known or None)


@dataclass(frozen=True, eq=False)
class _Atoms:
    """Atoms in the user's units: β0 (k,), β1 (k, d), η (k, q), and their weights on x (k, n).

    ``standard`` (k, q) is η on standardised inputs. A variance is a last column of both.
    """

    frame: Frame
    x: Array
    score: Array
    slope: Array
    eta: Array
    standard: Array
    weights: Array

    @classmethod
    def of(cls, frame: Frame, measure: MixingMeasure, x: Array, variances: Array | None) -> _Atoms:
        eta, standard = measure.eta, frame.standard(measure.eta, x)
        if variances is not None:
            eta, standard = (
                np.column_stack([eta, variances]),
                np.column_stack([standard, variances]),
            )
        weights = frame.model.weights(measure, x)
        return cls(frame, x, measure.beta0, measure.beta1, eta, standard, weights)

    @property
    def variances(self) -> Array | None:
        """(k,), where there are any."""
        own = self.frame.flips.shape[1]
        return self.eta[:, own] if self.eta.shape[1] > own else None

    @cached_property
    def masses(self) -> Array:
        """p (k,)."""
        return self.weights.mean(axis=1)

    def _flip(self, i: int, j: int) -> tuple[Array, float]:
        """The signs of η_j that bring it closest to η_i, and the square of the distance left."""
        flips = self.frame.flips
        more = self.eta.shape[1] - flips.shape[1]
        flips = np.pad(flips, ((0, 0), (0, more)), constant_values=1.0)
        if not self.frame.compared:
            return flips[0], 0.0
        gaps = ((self.standard[i] - flips * self.standard[j]) ** 2).sum(axis=-1)
        best = int(gaps.argmin())
        return flips[best], float(gaps[best])

    def _gate(self, i: int, j: int) -> tuple[float, Array]:
        """β0 and β1 of the merged atom; gates are expanded about the mean of x where both weigh."""
        weight = self.weights[i] + self.weights[j]
        total = weight.sum()
        centre = (weight @ self.x) / total if total > 0 else self.x.mean(axis=0)
        pair = [i, j]
        score, slope = self.frame.merging.join(
            self.score[pair] + self.slope[pair] @ centre, self.slope[pair]
        )
        return float(score - slope @ centre), slope

    def heights(self) -> Array:
        """The heights (k, k) of all merges i < j, infinite where there is none."""
        p, slope = self.masses, self.slope * spread(self.x)
        found = np.full((len(p), len(p)), np.inf)
        for i, j in combinations(range(len(p)), 2):
            if not np.isfinite(self._gate(i, j)[0]):
                continue
            # p_i p_j/(p_i + p_j), without a product that underflows
            both = p[i] / (1.0 + p[i] / p[j]) if p[j] > 0 else 0.0
            height = both * self._flip(i, j)[1]
            if self.frame.merging.from_zero:
                height += float(p[[i, j]] @ (slope[[i, j]] ** 2).sum(axis=-1))
            else:
                height += both * float(((slope[i] - slope[j]) ** 2).sum())
            found[i, j] = height
        return found

    def merged(self, i: int, j: int) -> _Atoms:
        """With atoms i and j replaced by one at the end."""
        p, rest = self.masses, [a for a in range(len(self.masses)) if a not in (i, j)]
        share = p[[i, j]] / (p[i] + p[j]) if p[i] + p[j] > 0 else np.full(2, 0.5)
        flip = self._flip(i, j)[0]
        score, slope = self._gate(i, j)

        def mean(eta: Array) -> Array:
            return np.concatenate([eta[rest], [share[0] * eta[i] + share[1] * flip * eta[j]]])

        return replace(
            self,
            score=np.append(self.score[rest], score),
            slope=np.concatenate([self.slope[rest], [slope]]),
            eta=mean(self.eta),
            standard=mean(self.standard),
            weights=np.concatenate([self.weights[rest], [self.weights[i] + self.weights[j]]]),
        )

    def measure(self, like: MixingMeasure) -> MixingMeasure:
        """As a measure in the layout of another one, its last gate at 0 where one is held."""
        eta = self.eta[:, : self.frame.flips.shape[1]]
        values = {"beta0": self.score, "beta1": self.slope, "eta": eta}
        return self.frame.model.gate.held(MixingMeasure.of(like.layout, values))
