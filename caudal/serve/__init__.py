"""state → recommender → endpoint: live answers that follow the stream."""
