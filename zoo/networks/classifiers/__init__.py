"""Networks that say what an image shows: ImageNet's classes."""

from __future__ import annotations

from zoo.networks.classifiers import (
    densenet,
    efficientnet,
    inception_resnet_v2,
    inception_v1,
    inception_v2,
    inception_v3,
    inception_v4,
    mobilenet_edgetpu,
    mobilenet_v1,
    mobilenet_v2,
    resnet,
    resnet_v2,
    squeezenet,
    vgg,
)

NETWORKS = (
    *mobilenet_v2.NETWORKS,
    *mobilenet_v1.NETWORKS,
    *mobilenet_edgetpu.NETWORKS,
    *resnet.NETWORKS,
    *resnet_v2.NETWORKS,
    *inception_v1.NETWORKS,
    *inception_v2.NETWORKS,
    *inception_v3.NETWORKS,
    *inception_v4.NETWORKS,
    *inception_resnet_v2.NETWORKS,
    *efficientnet.NETWORKS,
    *densenet.NETWORKS,
    *squeezenet.NETWORKS,
    *vgg.NETWORKS,
)
