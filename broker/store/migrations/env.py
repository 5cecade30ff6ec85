"""Run by Alembic: bring the connection that it was handed to the revision that was asked for."""

from alembic import context

from broker.store.schema import METADATA

# The caller's transaction encloses everything: all revisions or none.
context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
