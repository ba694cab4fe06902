"""Questions to name servers (DNS) that the operating system's resolver does not answer."""
