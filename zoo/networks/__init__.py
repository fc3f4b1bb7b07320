"""The networks of the zoo, each the published architecture operator by operator.

A new network is a module in one of the folders here, and an entry in that folder's ``NETWORKS``.
"""

from __future__ import annotations

from collections.abc import Mapping

from zoo.networks import classifiers, detectors, pixelwise
from zoo.networks.chains import EXAMPLES, chain_named, conv_chain, dense_chain
from zoo.networks.network import Network

CHAINS = "chains"
"""The group of those that come in any size."""
GROUPS: Mapping[str, tuple[Network, ...]] = {
    "classifiers": classifiers.NETWORKS,
    "detectors": detectors.NETWORKS,
    "segmentation and poses": pixelwise.NETWORKS,
    CHAINS: tuple(chain for name in EXAMPLES if (chain := chain_named(name)) is not None),
}
"""All networks that have a name of their own, and some chains, by what they are for."""


def network_named(name: str) -> Network | None:
    """The network of that name, chains of any size included; ``None`` when there is none."""
    for networks in GROUPS.values():
        for network in networks:
            if network.name == name:
                return network
    return chain_named(name)


__all__ = ["CHAINS", "GROUPS", "Network", "conv_chain", "dense_chain", "network_named"]
