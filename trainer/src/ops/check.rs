//! Checks of the operations against the plain unrolled graph.
