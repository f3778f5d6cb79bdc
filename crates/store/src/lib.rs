//! The database: append-only entries, their projections, and the commit that binds a step to its basis.
