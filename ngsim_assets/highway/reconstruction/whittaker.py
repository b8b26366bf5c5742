"""Penalised least squares on one trajectory: the banded solvers.

A Whittaker smoother finds the z that minimises

    sum w_i (y_i - z_i)^2  +  stiffness * sum p_i (d3 z)_i^2  +  sway * sum (d2 z)_i^2
                           +  hold * sum s_i (d1 z)_i^2

with d1, d2, d3 the first to third differences: third differences are jerk, so the penalty acts
on jerk. A frame without observation has w = 0 and is filled by the same solve.

Belongs here: the linear systems. Does not belong here: how stiff (stiffness.py), what is done
with outliers and limits (reconstruct.py).

Source: Eilers (2003), Analytical Chemistry 75(14), 3631: a perfect smoother.
"""

from __future__ import annotations

from typing import Any

from numba import njit


@njit(cache=True, nogil=True)
def solve(
    y: Any,
    w: Any,
    p: Any,
    s: Any,
    stiffness: float,
    sway: float,
    hold: float,
    scratch: Any,
    z: Any,
) -> None:
    """Write the minimiser described in the module's docstring to `z` (LDL' of seven diagonals).

    Args:
        y, w: observations and their weights; y must be finite where w is 0.
        p: weights of third differences, n of them of which the last three are not read.
        s: weights of first differences, n of them of which the last is not read.
        scratch: at least 3 x n.
    """
    n = len(y)
    # c, b, a: columns i-1, i-2, i-3 of L times D, as far as they reach row i; l_…: of L
    c1 = c2 = c3 = b2 = b3 = a3 = 0.0
    z1 = z2 = z3 = 0.0
    l_c1 = l_c2 = l_c3 = l_b2 = l_b3 = l_a3 = 0.0
    p1 = p2 = p3 = 0.0
    q1 = q2 = 0.0
    s1 = 0.0
    for i in range(n):
        p0 = stiffness * p[i] if i < n - 3 else 0.0
        q0 = sway if i < n - 2 else 0.0
        s0 = hold * s[i] if i < n - 1 else 0.0
        d = w[i] + p0 + 9.0 * (p1 + p2) + p3 + q0 + 4.0 * q1 + q2 + s0 + s1
        e1 = -3.0 * (p0 + p2) - 9.0 * p1 - 2.0 * (q0 + q1) - s0
        e2 = 3.0 * (p0 + p1) + q0
        e3 = -p0
        d -= l_c1 * c1 + l_b2 * b2 + l_a3 * a3
        e1 -= l_c1 * c2 + l_b2 * b3
        e2 -= l_c1 * c3
        value = w[i] * y[i] - l_c1 * z1 - l_b2 * z2 - l_a3 * z3
        inverse = 1.0 / d
        # shift: the column just made becomes column i-1 of the next row
        a3, l_a3 = b3, l_b3
        b2, b3, l_b2, l_b3 = c2, c3, l_c2, l_c3
        c1, c2, c3 = e1, e2, e3
        l_c1, l_c2, l_c3 = e1 * inverse, e2 * inverse, e3 * inverse
        scratch[0, i] = l_c1
        scratch[1, i] = l_c2
        scratch[2, i] = l_c3
        z3, z2, z1 = z2, z1, value
        z[i] = value * inverse
        p3, p2, p1 = p2, p1, p0
        q2, q1 = q1, q0
        s1 = s0
    z1 = z2 = z3 = 0.0
    for i in range(n - 1, -1, -1):
        value = z[i] - scratch[0, i] * z1 - scratch[1, i] * z2 - scratch[2, i] * z3
        z[i] = value
        z3, z2, z1 = z2, z1, value


@njit(cache=True, nogil=True)
def solve_all(y: Any, w: Any, n: int, stiffness: Any, sway: float, scratch: Any, z: Any) -> None:
    """`solve` for every stiffness at once (p = 1, s = 0); `scratch` 3 x n x k, `z` n x k."""
    size = len(stiffness)
    for i in range(n):
        r0 = 1.0 if i < n - 3 else 0.0
        r1 = 1.0 if 1 <= i < n - 2 else 0.0
        r2 = 1.0 if 2 <= i < n - 1 else 0.0
        r3 = 1.0 if i >= 3 else 0.0
        t0 = 1.0 if i < n - 2 else 0.0
        t1 = 1.0 if 1 <= i < n - 1 else 0.0
        t2 = 1.0 if i >= 2 else 0.0
        diagonal = r0 + 9.0 * (r1 + r2) + r3
        next1 = -3.0 * (r0 + r2) - 9.0 * r1
        next2 = 3.0 * (r0 + r1)
        for k in range(size):
            lam = stiffness[k]
            mu = sway * lam
            d = w[i] + lam * diagonal + mu * (t0 + 4.0 * t1 + t2)
            e1 = lam * next1 - 2.0 * mu * (t0 + t1)
            e2 = lam * next2 + mu * t0
            e3 = -lam * r0
            value = w[i] * y[i]
            if i > 0:
                low = scratch[0, i - 1, k]
                column = scratch[3, i - 1, k]
                d -= low * low * column
                e1 -= low * scratch[1, i - 1, k] * column
                e2 -= low * scratch[2, i - 1, k] * column
                value -= low * z[i - 1, k]
            if i > 1:
                low = scratch[1, i - 2, k]
                column = scratch[3, i - 2, k]
                d -= low * low * column
                e1 -= low * scratch[2, i - 2, k] * column
                value -= low * z[i - 2, k]
            if i > 2:
                low = scratch[2, i - 3, k]
                d -= low * low * scratch[3, i - 3, k]
                value -= low * z[i - 3, k]
            inverse = 1.0 / d
            scratch[0, i, k] = e1 * inverse
            scratch[1, i, k] = e2 * inverse
            scratch[2, i, k] = e3 * inverse
            scratch[3, i, k] = d
            z[i, k] = value
    for i in range(n - 1, -1, -1):
        for k in range(size):
            value = z[i, k] / scratch[3, i, k]
            if i + 1 < n:
                value -= scratch[0, i, k] * z[i + 1, k]
            if i + 2 < n:
                value -= scratch[1, i, k] * z[i + 2, k]
            if i + 3 < n:
                value -= scratch[2, i, k] * z[i + 3, k]
            z[i, k] = value
