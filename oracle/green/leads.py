"""Surface Green's functions of semi-infinite leads, from which a finite broadening is removed.

Decimation (Lopez Sancho, Lopez Sancho and Rubio, J. Phys. F 15, 851, 1985) needs an imaginary part,
which causes an error of the same size. Starting from its result, Newton's method then solves
Dyson's equation of the surface, ``g (z - D - V g V^+) = 1``, on the real axis.
"""

from __future__ import annotations

import torch

Tensor = torch.Tensor
_BROADENING = 1e-7  # relative to the squared bandwidth
_STEPS = 3  # of Newton's method
_ITERATIONS = 60


def surfaces(
    squared: Tensor, onsite: Tensor, towards: Tensor, refine: bool = True
) -> tuple[Tensor, Tensor]:
    """Green's functions of the last cell of a lead.

    Args:
        squared: (p,), squared frequencies.
        onsite: (p, n, n) or (n, n), block of a cell.
        towards: (p, n, n) or (n, n), block that couples a cell to the next one deeper into the
            lead.
        refine: whether the broadening is removed.

    Returns:
        The surface Green's functions (p, n, n), and the relative residual (p,) of Dyson's equation
        without broadening, which is small except at band edges.
    """
    size = onsite.shape[-1]
    onsite = onsite.expand(len(squared), size, size)
    towards = towards.expand(len(squared), size, size)
    scale = float(torch.linalg.matrix_norm(onsite, 2).max())
    real = squared.to(torch.complex128)[:, None, None] * torch.eye(size, dtype=torch.complex128)
    broad = real + 1j * _BROADENING * scale * torch.eye(size, dtype=torch.complex128)
    surface = _decimated(broad, onsite, towards)
    residual = _residual(real, onsite, towards, surface)
    for _ in range(_STEPS if refine else 0):
        better = _newton(real, onsite, towards, surface)
        smaller = _residual(real, onsite, towards, better)
        improved = smaller < residual
        surface = torch.where(improved[:, None, None], better, surface)
        residual = torch.where(improved, smaller, residual)
    return surface, residual


def _decimated(z: Tensor, onsite: Tensor, towards: Tensor) -> Tensor:
    """Surface functions at complex squared frequencies; each step doubles the lead's length."""
    alpha, beta = towards, towards.mH
    surface, bulk = z - onsite, z - onsite
    for _ in range(_ITERATIONS):
        # One factorisation serves both sides.
        solved = torch.linalg.solve(bulk, torch.cat([alpha, beta], dim=-1))
        a, b = solved.chunk(2, dim=-1)
        surface = surface - alpha @ b
        bulk = bulk - alpha @ b - beta @ a
        alpha, beta = alpha @ a, beta @ b
        if max(float(alpha.abs().max()), float(beta.abs().max())) < 1e-14 * float(z.abs().max()):
            break
    return torch.linalg.inv(surface)


def _dyson(z: Tensor, onsite: Tensor, towards: Tensor, surface: Tensor) -> Tensor:
    """The surface function after one more cell is added to the lead."""
    return torch.linalg.inv(z - onsite - towards @ surface @ towards.mH)


def _residual(z: Tensor, onsite: Tensor, towards: Tensor, surface: Tensor) -> Tensor:
    change = _dyson(z, onsite, towards, surface) - surface
    relative = torch.linalg.matrix_norm(change) / torch.linalg.matrix_norm(surface)
    return torch.nan_to_num(relative, nan=float("inf"))


def _newton(z: Tensor, onsite: Tensor, towards: Tensor, surface: Tensor) -> Tensor:
    """One Newton step: solve the linearised Dyson equation ``X - A X B = R`` by eigenvectors."""
    image = _dyson(z, onsite, towards, surface)
    a, b = image @ towards, towards.mH @ image
    left, p = torch.linalg.eig(a)
    right, q = torch.linalg.eig(b)
    inner = torch.linalg.solve(p, (image - surface) @ q)
    inner = inner / (1.0 - left[:, :, None] * right[:, None, :])
    change = p @ torch.linalg.solve(q, inner, left=False)
    return torch.where(torch.isfinite(change.abs()), surface + change, surface)
