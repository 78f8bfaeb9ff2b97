"""What a contract says: its operations, its schemas as JSON Schema, what changed between two, and who breaks it."""
