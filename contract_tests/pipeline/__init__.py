"""The contract and what is held against it: the pipeline, the differ, the suite's own judgement, FakeVenice."""
