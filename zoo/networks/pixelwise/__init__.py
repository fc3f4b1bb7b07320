"""Networks that say something of every place in an image: segments, key points."""

from __future__ import annotations

from zoo.networks.pixelwise import deeplab, posenet, unet

NETWORKS = (*deeplab.NETWORKS, *posenet.NETWORKS, *unet.NETWORKS)
