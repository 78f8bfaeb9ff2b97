"""CSV pages and the export to a file."""
