"""Shapes: checked sizes, and whether a tensor fits what a model says it takes."""

from __future__ import annotations

from typing import Any, Final

from haizen_runtime.protocol.errors import InvalidInput
from haizen_runtime.protocol.limits import TENSOR_DIMENSIONS

MOST_DIMENSIONS: Final = TENSOR_DIMENSIONS[1]
MAX_ELEMENTS: Final = 2**40
"""More than any body holds. A larger product of sizes is an attack or a mistake, and numpy could not count it."""


def checked_shape(shape: Any, where: str, max_dimensions: int = MOST_DIMENSIONS) -> tuple[int, ...]:
    """A shape from the wire as a tuple of sizes; raises InvalidInput for anything but non-negative integers."""
    if type(shape) is not list:
        raise InvalidInput(f"{where}: shape must be a list of integers, e.g. [1, 4].")
    if len(shape) > max_dimensions:
        raise too_many_dimensions(len(shape), where, max_dimensions)
    for size in shape:
        if type(size) is not int or size < 0:
            raise InvalidInput(f"{where}: shape must hold integers of 0 or more, found {str(size)[:40]}.")
    return tuple(shape)


def too_many_dimensions(count: int, where: str, max_dimensions: int) -> InvalidInput:
    """The error for a tensor of more dimensions than are accepted."""
    return InvalidInput(f"{where}: shape has {count} dimensions; at most {max_dimensions} are accepted.")


def is_shape_of(count: int, shape: Any, max_dimensions: int) -> bool:
    """Whether something from the wire is a shape, as `checked_shape` wants it, of so many elements."""
    if type(shape) is not list or len(shape) > max_dimensions:
        return False
    product = 1
    for size in shape:
        if type(size) is not int or size < 0:
            return False
        product *= size
    return product == count


def element_count(shape: tuple[int, ...], where: str) -> int:
    """The number of elements, multiplied with a limit, so that no product can overflow or allocate.

    A size of 0 does not excuse the others: numpy refuses to make an empty array of them.
    """
    count = 1
    for size in shape:
        count *= size or 1
        if count > MAX_ELEMENTS:
            raise InvalidInput(f"{where}: the shape {list(shape)} has more elements than any request may hold.")
    return 0 if 0 in shape else count


def fits(shape: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    """Whether a shape is one of those that the model's shape (with -1 for any size) describes."""
    if len(shape) != len(expected):
        return False
    for size, want in zip(shape, expected):  # noqa: B905, SIM110  # a plain loop: this runs once per input
        if want != size and want != -1:
            return False
    return True
