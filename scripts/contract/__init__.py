"""The model of a contract: its operations, its schemas as JSON Schema, the diff of two, the judgement of responses."""
