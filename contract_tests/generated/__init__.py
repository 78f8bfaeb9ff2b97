"""The generated package by itself."""
