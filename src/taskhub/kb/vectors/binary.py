"""Vectors in Postgres's binary formats: as text, 512 numbers take twenty times as long."""

import struct
from collections.abc import Iterable, Sequence
from typing import Any

import numpy
from numpy.typing import NDArray
from psycopg import Connection
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format

Vector = NDArray[numpy.float32]

REAL_ARRAY_OID = 1021
_HEADER = struct.pack("!iiIii", 1, 0, 700, 0, 1)
_ELEMENT = numpy.dtype([("length", ">i4"), ("value", ">f4")])
_SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + struct.pack("!ii", 0, 0)
_END = struct.pack("!h", -1)


class RealArray:
    """A vector as a parameter of type real[]."""

    def __init__(self, vector: Vector) -> None:
        self.vector = vector


class _RealArrayDumper(Dumper):
    format = Format.BINARY
    oid = REAL_ARRAY_OID

    def dump(self, obj: RealArray) -> bytes:
        return real_array(obj.vector)


class _RealArrayLoader(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> Vector:
        elements = numpy.frombuffer(data, _ELEMENT, offset=len(_HEADER))
        return elements["value"].astype(numpy.float32)


def adapt(connection: Connection[Any]) -> None:
    """Let this connection take RealArray and give real[] as arrays of numpy."""
    connection.adapters.register_dumper(RealArray, _RealArrayDumper)
    connection.adapters.register_loader(REAL_ARRAY_OID, _RealArrayLoader)


def real_array(vector: Vector) -> bytes:
    """real[]"""
    elements = numpy.empty(len(vector), _ELEMENT)
    elements["length"] = 4
    elements["value"] = vector
    return _HEADER[:12] + struct.pack("!ii", len(vector), 1) + elements.tobytes()


def single(vector: Vector) -> bytes:
    """pgvector's vector."""
    return struct.pack("!hh", len(vector), 0) + vector.astype(">f4").tobytes()


def half(vector: Vector) -> bytes:
    """pgvector's halfvec."""
    return struct.pack("!hh", len(vector), 0) + vector.astype(">f2").tobytes()


def bigint(number: int) -> bytes:
    """bigint"""
    return struct.pack("!q", number)


def integer(number: int) -> bytes:
    """integer"""
    return struct.pack("!i", number)


def copy_rows(rows: Iterable[Sequence[bytes]]) -> bytes:
    """The rows as COPY … WITH (FORMAT binary) reads them."""
    parts = [_SIGNATURE]
    for row in rows:
        parts.append(struct.pack("!h", len(row)))
        for value in row:
            parts += (struct.pack("!i", len(value)), value)
    return b"".join((*parts, _END))
