"""Work of the memory that runs apart from requests."""
