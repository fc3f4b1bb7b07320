"""What exactly is claimed of a partition, and the checks that do not trust the search."""

from __future__ import annotations

from partitioner.certificate.checker import check_report
from partitioner.certificate.claim import Certificate, certificate_of, check_certificate

__all__ = [
    "Certificate",
    "certificate_of",
    "check_certificate",
    "check_report",
]
