"""The durable store on SQL: SQLite or PostgreSQL, from one set of queries."""
