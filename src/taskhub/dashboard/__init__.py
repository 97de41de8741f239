"""The web dashboard: one screen a file under pages/, on the queries of queue.insight."""
