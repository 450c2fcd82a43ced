"""The version that serves: batches of queries in, ranked products out."""
