"""The form of the API: strict bodies in, problem+json out, pages with cursors, rates. What is said is the apps' own."""
