"""Webhooks: addresses of the organisation that Koppel calls about events.

From event to receiver: `enqueue` creates the deliveries, `outbox` holds them, `delivery` sends them. The use
cases are in `endpoints`, `endpoint_state` and `delivery_log`.
"""
