"""Networks that find objects: boxes, and how likely each of COCO's classes is in them."""

from __future__ import annotations

from zoo.networks.detectors import efficientdet, ssd, ssd_fpn, ssdlite

NETWORKS = (
    *ssd.NETWORKS,
    *ssd_fpn.NETWORKS,
    *ssdlite.NETWORKS,
    *efficientdet.NETWORKS,
)
