"""What the queue tells other systems: metrics, traces, logs, probes, error trackers."""
