"""How far a gain may lie from the truth: the primary's standard error and degrees of freedom.

Three mean squares are observed: V_p, the cluster-robust variance of the gain averaged over S seeds;
V_s = Var_s(gain_s) / S; and V_c, the variance of the interaction residuals, which both contain.
Three runs may agree by luck, so V_s is moderated by what runs of every condition show (q, see
``run_variance``), as limma moderates a variance (Smyth 2004), and never taken below itself:

    V~ = (2 q + (S - 1) V_s) / (S + 1)      V* = max(V_s, V~)      nu = S + 1 if V~ > V_s else S - 1
    V  = V_p + max(V* - V_c, 0)
    df = V^2 / (V_p^2 / df_p + V*^2 / nu + V_c^2 / (df_p (S - 1)))

with the exact degrees of freedom of Satterthwaite (1946). Where levels of one language stand in one
table they lend to each other as well: q is then the larger of the means of V_s and q over the
levels, with four degrees of freedom instead of two.

With two conditions q says nothing new. Then the run variance is averaged over what it may be, the
fiducial distribution V_s (S - 1) / W with W ~ chi2(S - 1): the tails of the gain are

    P = mean over W of T_df_p(-x / sqrt(V_p + max((S - 1) V_s / W - V_c, 0))).

Everything here takes arrays of any unit, so that simulations can call it.
"""

from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from scipy import special

PRIOR, PRIOR_OF_LEVELS = 2, 4  # degrees of freedom that the pooled run variance counts for
QUANTILES = (np.arange(2000) + 0.5) / 2000  # of W, by the midpoint rule
REFERENCE = 0.05  # the error rate at which a fiducial interval defines its standard error


def satterthwaite(parts, otherwise: float = np.inf):
    """Degrees of freedom of a sum of variances: (sum V)^2 / sum(V^2 / df) (Satterthwaite 1946).

    parts: pairs (V, df) of arrays that broadcast; ``otherwise`` where every V is 0.
    """
    total = sum(np.asarray(variance, float) for variance, _ in parts)
    spread = sum(np.square(variance) / df for variance, df in parts)
    default = np.full(np.shape(total), float(otherwise))
    return np.divide(total**2, spread, out=default, where=spread > 0)


def chi2_quantile(share, df):
    """Below which a share of chi-squared lies; ``scipy.stats`` takes half a second to import."""
    return 2 * special.gammaincinv(np.divide(df, 2), share)


def moderate(v_s, df_s, q, weight=PRIOR):
    """V* and its degrees of freedom: the larger of V_s and its mean with q (``weight`` df)."""
    mixed = (weight * np.asarray(q) + df_s * np.asarray(v_s)) / (weight + df_s)
    larger = mixed > np.multiply(v_s, 1 + 1e-9)  # equal up to rounding is not larger
    return np.where(larger, mixed, v_s), np.where(larger, np.add(df_s, weight), df_s)


def two_way(v_p, df_p, v_s, df_s, v_c, q, weight=PRIOR):
    """Standard error and degrees of freedom of a gain by the module's formula; arrays broadcast.

    v_p, v_s, v_c, q: variances in squared units of the gain; df_p: G - 1 or its like over several
    tasks; df_s: S - 1, or Satterthwaite's of two sides that are not paired. A further independent
    variance, such as that of languages, enters with V_p.
    """
    v_star, df_star = moderate(v_s, df_s, q, weight)
    variance = v_p + np.maximum(v_star - v_c, 0)
    parts = ((v_p, df_p), (v_star, df_star), (v_c, np.multiply(df_p, df_s)))
    noise = sum(np.square(part) / df for part, df in parts)
    df = np.full(np.shape(variance), np.inf)
    varies = (noise > 0) & (variance > 0)
    return np.sqrt(variance), np.divide(np.square(variance), noise, out=df, where=varies)


@dataclass(frozen=True)
class Spread:
    """The symmetric distribution of n gains around the truth: t, or fiducial where runs is known.

    se, df: (n,). clusters, runs, cells, df_runs: (n,) V_p, V_s, V_c and S - 1 of the fiducial, NaN
    for a t; its df is that of the clusters, and its se the half-width of a 95% interval over t's.
    """

    se: np.ndarray
    df: np.ndarray
    clusters: np.ndarray
    runs: np.ndarray
    cells: np.ndarray
    df_runs: np.ndarray

    @classmethod
    def of(cls, table: pd.DataFrame) -> "Spread":
        """From a frame that has the fields as columns."""
        return cls(*(table[one.name].to_numpy(float) for one in fields(cls)))

    @property
    def is_fiducial(self) -> np.ndarray:
        """Which of them are not t, (n,) bool."""
        return ~np.isnan(self.runs)

    def tail(self, x) -> np.ndarray:
        """P(estimate - truth > x) for x (n,)."""
        x = np.broadcast_to(np.asarray(x, float), self.se.shape)
        found = special.stdtr(self.df, -_over(x, self.se))
        mixed = self.is_fiducial
        if mixed.any():
            found[mixed] = self._mixture().tail(x[mixed])
        return found

    def reach(self, rate) -> np.ndarray:
        """The x that is exceeded with probability ``rate`` < 0.5, (n,)."""
        rate = np.broadcast_to(np.asarray(rate, float), self.se.shape)
        found = -special.stdtrit(self.df, rate) * self.se
        mixed = self.is_fiducial
        if mixed.any():
            found[mixed] = self._mixture().reach(rate[mixed])
        return found

    def _mixture(self) -> "Mixture":
        parts = (self.clusters, self.df, self.runs, self.df_runs, self.cells)
        return Mixture.of(*(part[self.is_fiducial] for part in parts))


@dataclass(frozen=True)
class Mixture:
    """The fiducial distribution of n gains: t with df (n, 1) at scales (n, 2000)."""

    scales: np.ndarray
    df: np.ndarray

    @classmethod
    def of(cls, v_p, df_p, v_s, df_s, v_c) -> "Mixture":
        """From the mean squares, (n,) each."""
        df_s = np.asarray(df_s, float)
        known, place = np.unique(df_s, return_inverse=True)
        w = np.stack([chi2_quantile(QUANTILES, one) for one in known])[place]
        between = np.multiply(df_s, v_s)[:, None] / w - np.asarray(v_c)[:, None]
        scales = np.sqrt(np.asarray(v_p)[:, None] + np.maximum(between, 0))
        return cls(scales, np.minimum(np.asarray(df_p, float)[:, None], 1e9))

    def tail(self, x: np.ndarray) -> np.ndarray:
        """P(estimate - truth > x) for x (n,)."""
        return special.stdtr(self.df, -_over(x[:, None], self.scales)).mean(1)

    def reach(self, rate: np.ndarray) -> np.ndarray:
        """The x (n,) that is exceeded with probability ``rate`` (n,)."""
        from scipy.optimize import elementwise  # here, as few studies need it and it is slow

        t = -special.stdtrit(self.df[:, 0], rate)
        high = t * self.scales.max(1)
        low = np.maximum(t * self.scales.min(1), 1e-12 * high)

        def error(log_x, i):
            i = i.astype(int)
            return np.log(Mixture(self.scales[i], self.df[i]).tail(np.exp(log_x)) / rate[i])

        wide = np.flatnonzero(high > low * (1 + 1e-12))
        if len(wide):
            ends = np.log(low[wide]) - 1e-9, np.log(high[wide]) + 1e-9
            found = elementwise.find_root(error, ends, args=(wide,), tolerances={"xrtol": 1e-13})
            inside = np.isfinite(found.x)  # else all but a tail of it is certain
            high[wide] = np.where(inside, np.exp(found.x), low[wide])
        return high


def fiducial(v_p, df_p, v_s, df_s, v_c) -> Spread:
    """The spread of gains with two conditions, whose q says nothing new; arrays (n,)."""
    given = (v_p, df_p, v_s, df_s, v_c)
    v_p, df_p, v_s, df_s, v_c = (np.atleast_1d(np.asarray(part, float)) for part in given)
    half = Mixture.of(v_p, df_p, v_s, df_s, v_c).reach(np.full(len(v_p), REFERENCE / 2))
    return Spread(-half / special.stdtrit(df_p, REFERENCE / 2), df_p, v_p, v_s, v_c, df_s)


def _over(x, scale) -> np.ndarray:
    """x / scale; where nothing varies 0 for no difference at all, else infinite with x's sign."""
    certain = np.where(np.abs(x) < 1e-9, 0.0, np.copysign(np.inf, x))
    certain = np.broadcast_to(certain, np.broadcast_shapes(np.shape(x), np.shape(scale))).copy()
    return np.divide(x, scale, out=certain, where=np.asarray(scale) > 0)
