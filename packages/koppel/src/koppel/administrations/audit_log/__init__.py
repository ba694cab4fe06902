"""The firm's audit log, within what a member may see."""
