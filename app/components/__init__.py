"""What the dashboard draws in the browser itself."""
