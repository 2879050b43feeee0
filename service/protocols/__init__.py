"""One router a protocol: how scores, probes and the catalogue are asked for over HTTP."""
