"""Streams: what scales with traffic. Row encoding, write-ahead files, segments, proofs, kernels.

Formats and pure code of docs/spec/segments.md. The writing side (``schema``, ``rows``, ``ids``, ``wal``) needs the
standard library alone; ``columnar`` and ``segment`` need numpy and pyarrow and are imported by the sealer.
"""
