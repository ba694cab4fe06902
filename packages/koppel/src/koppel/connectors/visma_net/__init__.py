"""Visma.net ERP, from its published API descriptions and documentation.

Never tried against the live service.
"""

from koppel.connectors.visma_net.connector import VismaNet

connector = VismaNet()
