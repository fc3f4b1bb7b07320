"""What follows from the measurements of a search, worked out without the search."""

from __future__ import annotations

from partitioner.certificate.checker import check_report, digest_of
from partitioner.certificate.claims import claims_of

__all__ = ["check_report", "claims_of", "digest_of"]
