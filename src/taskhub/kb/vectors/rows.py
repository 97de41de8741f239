"""What is put into a store."""

from typing import NamedTuple

from taskhub.kb.vectors.binary import Vector


class UnknownWidth(LookupError):
    """There is no table for vectors of this width."""


class VectorRow(NamedTuple):
    """One vector; part 0 is of the segment's own text, part n of its n-th child."""

    segment_id: int
    part: int
    dataset_id: int
    vector: Vector
