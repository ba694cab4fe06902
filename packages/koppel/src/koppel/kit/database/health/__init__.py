"""The health of the installation: its processes report to the database, and faults become alarms.

`heartbeats` stores that a process lives, `alarms` says what is wrong now, `monitor` does both every 15 s in
each web process and worker. `readiness` answers load balancers, and `service_notifications` tells the
supervisor and systemd that a process is not hung.
"""
