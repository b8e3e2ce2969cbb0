//! Reading state: tables, plug-in queries, waiting for a position.
