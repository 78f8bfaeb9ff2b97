"""The base of generated code: JSON decoding, deadlines on the network, errors. It imports no other package of ours."""
