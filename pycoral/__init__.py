"""The names Coral programs import, so that they run unchanged on simulated or real Edge TPUs.

``pycoral.utils`` opens devices and models, ``pycoral.adapters`` reads results, ``pycoral.learn``
trains last layers, and ``pycoral.pipeline`` runs a model's segments over several devices.
Behaviour, exception types and message texts follow pycoral 2.0.0 where programs can depend on them;
its crashes are not kept.
"""

import edgetpu_pipeline

edgetpu_pipeline.check("pycoral", *edgetpu_pipeline.BUILDS_ON["pycoral"])

__version__ = "2.0.0"
"""The pycoral release whose interface this package offers."""
