"""Networks that find objects: boxes, and how likely each of COCO's classes is in them."""

from __future__ import annotations

from zoo.networks.detectors import efficientdet, mobiledet, ssd, ssd_fpn

NETWORKS = (
    *ssd.NETWORKS,
    *ssd_fpn.NETWORKS,
    *mobiledet.NETWORKS,
    *efficientdet.NETWORKS,
)
