"""`FakeVenice`, which the other tests rely on."""
